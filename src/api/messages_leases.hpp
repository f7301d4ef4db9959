// Leases of VM instances and the events that tell of them: ramet's own calls. Field meaning and rules: messages_leases.cpp.
#pragma once

#include <optional>
#include <vector>

#include "api/message.hpp"
#include "model/event.hpp"

namespace ramet::api {

struct ExtendVmInstanceLease {
    VmId uuid;
    std::int64_t expires_in = 0;  // seconds
};
struct SetVmInstanceLease {
    VmId uuid;
    std::optional<std::int64_t> expires_in;  // seconds
};

std::vector<const MessageInfo*> lease_messages();

template <> const MessageInfo& message<ExtendVmInstanceLease>();
template <> const MessageInfo& message<SetVmInstanceLease>();

}  // namespace ramet::api

namespace ramet {
template <> const TypeInfo& describe<api::ExtendVmInstanceLease>();
template <> const TypeInfo& describe<api::SetVmInstanceLease>();
}  // namespace ramet

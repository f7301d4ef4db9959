// How VM instances and images boot (contract 4.4). Field meaning: messages_firmware.cpp.
#pragma once

#include <string>
#include <vector>

#include "api/message.hpp"

namespace ramet::api {

struct SetVmBootMode {
    VmId uuid;
    std::string boot_mode;
};
struct DeleteVmBootMode {
    VmId uuid;
};
struct SetImageBootMode {
    ImageId uuid;
    std::string boot_mode;
};

std::vector<const MessageInfo*> firmware_messages();

}  // namespace ramet::api

namespace ramet {

template <> const TypeInfo& describe<api::SetVmBootMode>();
template <> const TypeInfo& describe<api::DeleteVmBootMode>();
template <> const TypeInfo& describe<api::SetImageBootMode>();
namespace api {
template <> const MessageInfo& message<SetVmBootMode>();
template <> const MessageInfo& message<DeleteVmBootMode>();
template <> const MessageInfo& message<SetImageBootMode>();
}  // namespace api

}  // namespace ramet

#include "api/messages_leases.hpp"

#include "api/messages_vm_examples.hpp"
#include "base/limits.hpp"
#include "model/vm.hpp"

namespace ramet {

template <> const TypeInfo& describe<api::ExtendVmInstanceLease>() {
    using api::ExtendVmInstanceLease;
    static const TypeInfo info = object<ExtendVmInstanceLease>(
        "ExtendVmInstanceLease", "Moves the end of a VM instance's lease.",
        field<&ExtendVmInstanceLease::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}),
        field<&ExtendVmInstanceLease::expires_in>("expiresIn", "Seconds added to the lease; without a lease, or after its end, from now.",
                                                  {.required = true, .at_least = 1, .at_most = limits::kLeaseSecondsMax}));
    return info;
}
template <> const TypeInfo& describe<api::SetVmInstanceLease>() {
    using api::SetVmInstanceLease;
    static const TypeInfo info = object<SetVmInstanceLease>(
        "SetVmInstanceLease", "Gives a VM instance a lease, or takes it away.",
        field<&SetVmInstanceLease::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}),
        field<&SetVmInstanceLease::expires_in>("expiresIn", "The lease ends this many seconds from now. Left out: the VM instance has no lease.",
                                               {.at_least = 1, .at_most = limits::kLeaseSecondsMax}));
    return info;
}

namespace api {
namespace {

template <class Request>
MessageInfo lease_action(std::string_view name, std::string_view key, std::string_view doc) {
    return MessageInfo{.name = name,
                       .category = "Resource Center/Resource Pool/VM Instance Operations",
                       .method = Method::put,
                       .path = "/vm-instances/{uuid}/actions",
                       .body_key = key,
                       .completion = Completion::async,
                       .doc = doc,
                       .since = "ramet 0.1",
                       .reply_key = "inventory",
                       .request = &describe<Request>,
                       .reply = &describe<VmInstance>,
                       .request_example = R"({"expiresIn":7200})",
                       .response_example = examples::kVmReply,
                       .make = &make_request<Request>};
}

const MessageInfo& query_event() {
    static const MessageInfo info{
        .name = "QueryEvent",
        .category = "Settings/Maintenance",
        .method = Method::get,
        .path = "/events",
        .doc =
            "Finds events that satisfy all conditions q, such as name=lease-warning or createDate>=2026-01-31 12:00:00; sort=-createDate gives "
            "the newest first. Events are kept for 30 days.",
        .since = "ramet 0.1",
        .reply_key = "inventories",
        .reply = &describe<Event>,
        .query_row = &describe<Event>,
        .request_example = "{}",
        .response_example =
            R"({"inventories":[{"uuid":"9c5d3a2b1f0e4d6c8b7a695847362514","name":"lease-warning","severity":"warning",)"
            R"("resourceUuid":"327b60d6b8cd31489ade6f4830bcec16","resourceName":"web02","message":"the lease of VM instance 'web02' ends soon",)"
            R"("createDate":"Nov 14, 2017 10:20:57 PM"}]})"};
    return info;
}

}  // namespace

template <> const MessageInfo& message<ExtendVmInstanceLease>() {
    static const MessageInfo info =
        lease_action<ExtendVmInstanceLease>("ExtendVmInstanceLease", "extendVmInstanceLease", "Lets a VM instance live longer: adds to its lease.");
    return info;
}
template <> const MessageInfo& message<SetVmInstanceLease>() {
    static const MessageInfo info = lease_action<SetVmInstanceLease>("SetVmInstanceLease", "setVmInstanceLease",
                                                                     "Sets when a VM instance is destroyed and expunged, or that it is not.");
    return info;
}

std::vector<const MessageInfo*> lease_messages() { return {&message<ExtendVmInstanceLease>(), &message<SetVmInstanceLease>(), &query_event()}; }

}  // namespace api
}  // namespace ramet

// The VM instance's life and settings (contract 4.1, 4.3, 4.4, 4.5).
#include <array>

#include "api/messages_vm.hpp"
#include "api/messages_vm_examples.hpp"
#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 2> kStopTypes{"grace", "cold"};
constexpr std::array<std::string_view, 2> kNicStates{"enable", "disable"};
constexpr std::array<std::string_view, 2> kDeleteModes{"Permissive", "Enforcing"};
constexpr std::array<std::string_view, 2> kVmStates{"Stopped", "Running"};
constexpr std::array<std::string_view, 5> kPlatforms{"Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio"};

template <auto Member>
FieldInfo vm_uuid_field(std::string_view name = "uuid") {
    return field<Member>(name, "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"});
}

}  // namespace

template <> const TypeInfo& describe<api::StartVmInstance>() {
    using api::StartVmInstance;
    static const TypeInfo info =
        object<StartVmInstance>("StartVmInstance", "Starts a VM instance.", vm_uuid_field<&StartVmInstance::uuid>(),
                                field<&StartVmInstance::cluster_uuid>("clusterUuid", "Start it on a host of this cluster.", {.names_a = "ClusterVO"}),
                                field<&StartVmInstance::host_uuid>("hostUuid", "Start it on this host.", {.names_a = "HostVO"}));
    return info;
}
template <> const TypeInfo& describe<api::StopVmInstance>() {
    using api::StopVmInstance;
    static const TypeInfo info = object<StopVmInstance>(
        "StopVmInstance", "Stops a VM instance.", vm_uuid_field<&StopVmInstance::uuid>(),
        field<&StopVmInstance::type>("type",
                                     "grace presses the power button and pulls the plug if the guest does not end in time; cold pulls the plug.",
                                     {.one_of = kStopTypes, .fallback = "grace"}));
    return info;
}
template <> const TypeInfo& describe<api::RebootVmInstance>() {
    static const TypeInfo info =
        object<api::RebootVmInstance>("RebootVmInstance", "Restarts a VM instance.", vm_uuid_field<&api::RebootVmInstance::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::PauseVmInstance>() {
    static const TypeInfo info =
        object<api::PauseVmInstance>("PauseVmInstance", "Pauses a VM instance.", vm_uuid_field<&api::PauseVmInstance::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::ResumeVmInstance>() {
    static const TypeInfo info =
        object<api::ResumeVmInstance>("ResumeVmInstance", "Resumes a paused VM instance.", vm_uuid_field<&api::ResumeVmInstance::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::DestroyVmInstance>() {
    using api::DestroyVmInstance;
    static const TypeInfo info = object<DestroyVmInstance>(
        "DestroyVmInstance", "Destroys a VM instance; it can be recovered until it is expunged.", vm_uuid_field<&DestroyVmInstance::uuid>(),
        field<&DestroyVmInstance::delete_mode>("deleteMode", "Permissive or Enforcing.", {.one_of = kDeleteModes, .fallback = "Permissive"}));
    return info;
}
template <> const TypeInfo& describe<api::RecoverVmInstance>() {
    static const TypeInfo info = object<api::RecoverVmInstance>("RecoverVmInstance", "Brings a destroyed VM instance back as Stopped.",
                                                                vm_uuid_field<&api::RecoverVmInstance::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::ExpungeVmInstance>() {
    static const TypeInfo info = object<api::ExpungeVmInstance>("ExpungeVmInstance", "Removes a destroyed VM instance and its root volume for ever.",
                                                                vm_uuid_field<&api::ExpungeVmInstance::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::UpdateVmInstance>() {
    using api::UpdateVmInstance;
    static const TypeInfo info = object<UpdateVmInstance>(
        "UpdateVmInstance", "Changes a VM instance's record; CPU and memory take effect at its next start.", vm_uuid_field<&UpdateVmInstance::uuid>(),
        field<&UpdateVmInstance::name>("name", "Its new name.", {.characters_max = limits::kNameCharactersMax}),
        field<&UpdateVmInstance::description>("description", "Its new description.", {.characters_max = limits::kTextCharactersMax}),
        field<&UpdateVmInstance::platform>("platform", "The guest's platform.", {.one_of = kPlatforms}),
        field<&UpdateVmInstance::state>("state", "The state it has; only StartVmInstance and StopVmInstance give it another.", {.one_of = kVmStates}),
        field<&UpdateVmInstance::guest_os_type>("guestOsType", "The guest's operating system.", {.characters_max = limits::kNameCharactersMax}),
        field<&UpdateVmInstance::default_l3_network_uuid>("defaultL3NetworkUuid", "Its default network.", {.names_a = "L3NetworkVO"}),
        field<&UpdateVmInstance::cpu_num>("cpuNum", "vCPUs; the VM must be Stopped.", {.at_least = 1, .at_most = limits::kCpuMax}),
        field<&UpdateVmInstance::memory_size>("memorySize", "Memory in bytes; the VM must be Stopped.",
                                              {.at_least = limits::kMemoryBytesMin, .at_most = limits::kMemoryBytesMax}));
    return info;
}
template <> const TypeInfo& describe<api::ChangeVmNicState>() {
    using api::ChangeVmNicState;
    static const TypeInfo info = object<ChangeVmNicState>(
        "ChangeVmNicState", "Sets a NIC's link up or down.",
        field<&ChangeVmNicState::vm_nic_uuid>("vmNicUuid", "The NIC's UUID.", {.required = true, .in_path = true, .names_a = "VmNicVO"}),
        field<&ChangeVmNicState::state>("state", "enable or disable.", {.required = true, .one_of = kNicStates}));
    return info;
}
template <> const TypeInfo& describe<api::SetVmHostname>() {
    using api::SetVmHostname;
    static const TypeInfo info = object<SetVmHostname>(
        "SetVmHostname", "Sets the host name the guest gets at its next start.", vm_uuid_field<&SetVmHostname::uuid>(),
        field<&SetVmHostname::hostname>("hostname", "A host name: letters, digits, hyphens.", {.required = true, .characters_max = 63}));
    return info;
}
template <> const TypeInfo& describe<api::GetVmHostname>() {
    static const TypeInfo info =
        object<api::GetVmHostname>("GetVmHostname", "Reads the host name that was set.", vm_uuid_field<&api::GetVmHostname::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::GetVmHostnameReply>() {
    static const TypeInfo info = object<api::GetVmHostnameReply>("GetVmHostnameReply", "The host name.",
                                                                 field<&api::GetVmHostnameReply::hostname>("hostname", "Absent when none was set."));
    return info;
}
template <> const TypeInfo& describe<api::DeleteVmHostname>() {
    static const TypeInfo info =
        object<api::DeleteVmHostname>("DeleteVmHostname", "Forgets the host name that was set.", vm_uuid_field<&api::DeleteVmHostname::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::GetVmConsoleAddress>() {
    static const TypeInfo info = object<api::GetVmConsoleAddress>("GetVmConsoleAddress", "Tells where the VM's screen can be reached.",
                                                                  vm_uuid_field<&api::GetVmConsoleAddress::uuid>());
    return info;
}
template <> const TypeInfo& describe<api::GetVmConsoleAddressReply>() {
    using api::GetVmConsoleAddressReply;
    static const TypeInfo info = object<GetVmConsoleAddressReply>("GetVmConsoleAddressReply", "A VNC server on a unix socket of the host.",
                                                                  field<&GetVmConsoleAddressReply::host_ip>("hostIp", "The host's address."),
                                                                  field<&GetVmConsoleAddressReply::port>("port", "0: a unix socket."),
                                                                  field<&GetVmConsoleAddressReply::protocol>("protocol", "vnc."),
                                                                  field<&GetVmConsoleAddressReply::path>("path", "The socket's path on the host."));
    return info;
}

namespace api {
namespace {

constexpr std::string_view kCategory = "Resource Center/Resource Pool/VM Instance Operations";

template <class Request>
MessageInfo vm_action(std::string_view name, std::string_view key, std::string_view doc, std::string_view request_example = "{}") {
    return MessageInfo{.name = name,
                       .category = kCategory,
                       .method = Method::put,
                       .path = "/vm-instances/{uuid}/actions",
                       .body_key = key,
                       .completion = Completion::async,
                       .doc = doc,
                       .reply_key = "inventory",
                       .request = &describe<Request>,
                       .reply = &describe<VmInstance>,
                       .request_example = request_example,
                       .response_example = examples::kVmReply,
                       .make = &make_request<Request>};
}

template <class Request>
MessageInfo without_reply(MessageInfo info) {
    info.reply_key = "";
    info.reply = nullptr;
    info.response_example = examples::kEmptyReply;
    return info;
}

}  // namespace

template <> const MessageInfo& message<StartVmInstance>() {
    static const MessageInfo info = vm_action<StartVmInstance>("StartVmInstance", "startVmInstance",
                                                               "Starts a VM instance that is Created or Stopped. A Running one stays as it is.");
    return info;
}
template <> const MessageInfo& message<StopVmInstance>() {
    static const MessageInfo info =
        vm_action<StopVmInstance>("StopVmInstance", "stopVmInstance", "Stops a VM instance. A Stopped one stays as it is.", R"({"type":"grace"})");
    return info;
}
template <> const MessageInfo& message<RebootVmInstance>() {
    static const MessageInfo info = vm_action<RebootVmInstance>("RebootVmInstance", "rebootVmInstance",
                                                                "Restarts a Running VM instance: the guest is asked to end, then boots again.");
    return info;
}
template <> const MessageInfo& message<PauseVmInstance>() {
    static const MessageInfo info =
        vm_action<PauseVmInstance>("PauseVmInstance", "pauseVmInstance", "Stops the vCPUs of a Running VM instance; its memory stays.");
    return info;
}
template <> const MessageInfo& message<ResumeVmInstance>() {
    static const MessageInfo info = vm_action<ResumeVmInstance>("ResumeVmInstance", "resumeVmInstance", "Lets a Paused VM instance run on.");
    return info;
}
template <> const MessageInfo& message<RecoverVmInstance>() {
    static const MessageInfo info =
        vm_action<RecoverVmInstance>("RecoverVmInstance", "recoverVmInstance", "Brings a Destroyed VM instance back; it is Stopped then.");
    return info;
}
template <> const MessageInfo& message<ExpungeVmInstance>() {
    static const MessageInfo info = without_reply<ExpungeVmInstance>(vm_action<ExpungeVmInstance>(
        "ExpungeVmInstance", "expungeVmInstance", "Removes a Destroyed VM instance and its root volume for ever; data volumes stay."));
    return info;
}
template <> const MessageInfo& message<UpdateVmInstance>() {
    static const MessageInfo info = vm_action<UpdateVmInstance>("UpdateVmInstance", "updateVmInstance",
                                                                "Changes a VM instance's name, description and other facts.", R"({"name":"web02"})");
    return info;
}
template <> const MessageInfo& message<SetVmHostname>() {
    static const MessageInfo info = without_reply<SetVmHostname>(
        vm_action<SetVmHostname>("SetVmHostname", "setVmHostname", "Sets the guest's host name.", R"({"hostname":"web01"})"));
    return info;
}
template <> const MessageInfo& message<DestroyVmInstance>() {
    static const MessageInfo info{.name = "DestroyVmInstance",
                                  .category = kCategory,
                                  .method = Method::del,
                                  .path = "/vm-instances/{uuid}",
                                  .completion = Completion::async,
                                  .doc = "Destroys a VM instance. It keeps its volumes and can be recovered until it is expunged.",
                                  .request = &describe<DestroyVmInstance>,
                                  .response_example = examples::kEmptyReply,
                                  .make = &make_request<DestroyVmInstance>};
    return info;
}
template <> const MessageInfo& message<DeleteVmHostname>() {
    static const MessageInfo info{.name = "DeleteVmHostname",
                                  .category = kCategory,
                                  .method = Method::del,
                                  .path = "/vm-instances/{uuid}/hostnames",
                                  .completion = Completion::async,
                                  .doc = "Forgets the host name that was set.",
                                  .request = &describe<DeleteVmHostname>,
                                  .response_example = examples::kEmptyReply,
                                  .make = &make_request<DeleteVmHostname>};
    return info;
}
template <> const MessageInfo& message<GetVmHostname>() {
    static const MessageInfo info{.name = "GetVmHostname",
                                  .category = kCategory,
                                  .method = Method::get,
                                  .path = "/vm-instances/{uuid}/hostnames",
                                  .doc = "Reads the host name that was set.",
                                  .reply_key = "*",
                                  .request = &describe<GetVmHostname>,
                                  .reply = &describe<GetVmHostnameReply>,
                                  .response_example = R"({"hostname":"web01","success":true})",
                                  .make = &make_request<GetVmHostname>};
    return info;
}
template <> const MessageInfo& message<GetVmConsoleAddress>() {
    static const MessageInfo info{
        .name = "GetVmConsoleAddress",
        .category = kCategory,
        .method = Method::get,
        .path = "/vm-instances/{uuid}/console-addresses",
        .doc = "Tells where a Running VM instance's screen can be reached.",
        .reply_key = "*",
        .request = &describe<GetVmConsoleAddress>,
        .reply = &describe<GetVmConsoleAddressReply>,
        .response_example =
            R"({"hostIp":"127.0.0.1","port":0,"protocol":"vnc","path":"/var/lib/ramet/run/327b60d6b8cd31489ade6f4830bcec16/vnc.sock","success":true})",
        .make = &make_request<GetVmConsoleAddress>};
    return info;
}
template <> const MessageInfo& message<ChangeVmNicState>() {
    static const MessageInfo info{
        .name = "ChangeVmNicState",
        .category = kCategory,
        .method = Method::put,
        .path = "/vm-instances/nics/{vmNicUuid}/actions",
        .body_key = "changeVmNicState",
        .completion = Completion::async,
        .doc = "Sets a NIC's link up or down, at once when the VM runs.",
        .reply_key = "inventory",
        .request = &describe<ChangeVmNicState>,
        .reply = &describe<VmNic>,
        .request_example = R"({"state":"disable"})",
        .response_example =
            R"({"inventory":{"uuid":"0a5d0fa5e4fa3a1c8c6e0d6c3a5d1d5f","vmInstanceUuid":"327b60d6b8cd31489ade6f4830bcec16","mac":"fa:5c:10:22:41:00","state":"disable"}})",
        .make = &make_request<ChangeVmNicState>};
    return info;
}

}  // namespace api
}  // namespace ramet

#include "api/messages_identity_report.hpp"

namespace ramet {

template <> const TypeInfo& describe<api::IdentityFact>() {
    using api::IdentityFact;
    static const TypeInfo info = object<IdentityFact>(
        "IdentityFact", "One identifier of a VM instance.",
        field<&IdentityFact::identifier>("identifier",
                                         "uuid, name, mac.N, ip.N, smbios-uuid, smbios-serial, vm-generation-id, instance-id, host-name, machine-id, "
                                         "dhcp-duid, ssh-host-key.TYPE.",
                                         {.example = "machine-id"}),
        field<&IdentityFact::old_value>("oldValue", "The source's value, where it is known."),
        field<&IdentityFact::new_value>("newValue", "The value that the VM instance has, or, while pending, is to have."),
        field<&IdentityFact::state>("state",
                                    "pending: given, but not seen in the guest yet; new: seen, and not the source's; kept: the source's value."),
        field<&IdentityFact::means>("means", "What set it: row, hypervisor, seed, cloud-init, agent; none when nothing did.",
                                    {.example = "cloud-init"}),
        field<&IdentityFact::reason>("reason", "Why it is pending or kept."));
    return info;
}

template <> const TypeInfo& describe<api::GetVmInstanceIdentity>() {
    using api::GetVmInstanceIdentity;
    static const TypeInfo info = object<GetVmInstanceIdentity>(
        "GetVmInstanceIdentity", "Asks for every identifier of a VM instance.",
        field<&GetVmInstanceIdentity::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}));
    return info;
}

template <> const TypeInfo& describe<api::VmIdentityReport>() {
    using api::VmIdentityReport;
    static const TypeInfo info = object<VmIdentityReport>(
        "VmIdentityReport", "What tells a VM instance from its source.",
        field<&VmIdentityReport::vm_instance_uuid>("vmInstanceUuid", "The VM instance."), field<&VmIdentityReport::name>("name", "Its name."),
        field<&VmIdentityReport::mode>("mode", "reset: an identity of its own; keep: the guest was left as it is.", {.example = "reset"}),
        field<&VmIdentityReport::source_uuid>("sourceUuid", "The VM instance it was cloned from."),
        field<&VmIdentityReport::state>("state", "pending while an identifier is; kept when one was kept; else new."),
        field<&VmIdentityReport::facts>("facts", "One entry per identifier."));
    return info;
}

namespace api {

template <> const MessageInfo& message<GetVmInstanceIdentity>() {
    static const MessageInfo info{
        .name = "GetVmInstanceIdentity",
        .category = "Resource Center/Resource Pool/VM Instance Operations",
        .method = Method::get,
        .path = "/vm-instances/{uuid}/identity",
        .doc =
            "Lists every identifier of a VM instance with its source's value, its own, and what set it. Identifiers inside the guest are read "
            "back through the guest agent: what is reported as new was seen.",
        .since = "ramet 0.1",
        .reply_key = "*",
        .request = &describe<GetVmInstanceIdentity>,
        .reply = &describe<VmIdentityReport>,
        .response_example =
            R"({"vmInstanceUuid":"327b60d6b8cd31489ade6f4830bcec16","name":"web02","mode":"reset","sourceUuid":"8a3f4c5b6d7e48f09a1b2c3d4e5f6071","state":"new","facts":[{"identifier":"machine-id","oldValue":"8a3f4c5b6d7e48f09a1b2c3d4e5f6071","newValue":"327b60d6b8cd31489ade6f4830bcec16","state":"new","means":"cloud-init"}],"success":true})",
        .make = &make_request<GetVmInstanceIdentity>};
    return info;
}

std::vector<const MessageInfo*> identity_report_messages() { return {&message<GetVmInstanceIdentity>()}; }

}  // namespace api
}  // namespace ramet

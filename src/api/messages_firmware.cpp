#include "api/messages_firmware.hpp"

#include <array>

namespace ramet {
namespace {

constexpr std::array<std::string_view, 3> kBootModes{"Legacy", "UEFI", "UEFI_WITH_CSM"};

template <auto Member>
FieldInfo boot_mode_field() {
    return field<Member>("bootMode", "Legacy (BIOS) or UEFI. UEFI_WITH_CSM is refused: the firmware has no CSM.",
                         {.required = true, .one_of = kBootModes, .example = "UEFI"});
}

}  // namespace

template <> const TypeInfo& describe<api::SetVmBootMode>() {
    using api::SetVmBootMode;
    static const TypeInfo info = object<SetVmBootMode>(
        "SetVmBootMode", "Sets how a VM instance boots from its next start on.",
        field<&SetVmBootMode::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}),
        boot_mode_field<&SetVmBootMode::boot_mode>());
    return info;
}
template <> const TypeInfo& describe<api::DeleteVmBootMode>() {
    using api::DeleteVmBootMode;
    static const TypeInfo info = object<DeleteVmBootMode>(
        "DeleteVmBootMode", "Lets a VM instance boot by BIOS again.",
        field<&DeleteVmBootMode::uuid>("uuid", "The VM instance UUID.", {.required = true, .in_path = true, .names_a = "VmInstanceVO"}));
    return info;
}
template <> const TypeInfo& describe<api::SetImageBootMode>() {
    using api::SetImageBootMode;
    static const TypeInfo info =
        object<SetImageBootMode>("SetImageBootMode", "Sets how VM instances made from an image boot.",
                                 field<&SetImageBootMode::uuid>("uuid", "The image UUID.", {.required = true, .in_path = true, .names_a = "ImageVO"}),
                                 boot_mode_field<&SetImageBootMode::boot_mode>());
    return info;
}

namespace api {

template <> const MessageInfo& message<SetVmBootMode>() {
    static const MessageInfo info{.name = "SetVmBootMode",
                                  .category = "Resource Center/Resource Pool/VM Instance Operations",
                                  .method = Method::put,
                                  .path = "/vm-instances/{uuid}/actions",
                                  .body_key = "setVmBootMode",
                                  .completion = Completion::async,
                                  .doc = "Sets how a VM instance boots: Legacy or UEFI. It counts from the next start on.",
                                  .request = &describe<SetVmBootMode>,
                                  .request_example = R"({"bootMode":"UEFI"})",
                                  .response_example = "{}",
                                  .make = &make_request<SetVmBootMode>};
    return info;
}
template <> const MessageInfo& message<DeleteVmBootMode>() {
    static const MessageInfo info{.name = "DeleteVmBootMode",
                                  .category = "Resource Center/Resource Pool/VM Instance Operations",
                                  .method = Method::del,
                                  .path = "/vm-instances/{uuid}/bootmode",
                                  .completion = Completion::async,
                                  .doc = "Forgets the boot mode that was set: the VM instance boots by BIOS.",
                                  .request = &describe<DeleteVmBootMode>,
                                  .response_example = "{}",
                                  .make = &make_request<DeleteVmBootMode>};
    return info;
}
template <> const MessageInfo& message<SetImageBootMode>() {
    static const MessageInfo info{.name = "SetImageBootMode",
                                  .category = "Resource Center/Resource Pool/Image Operations",
                                  .method = Method::put,
                                  .path = "/images/{uuid}/actions",
                                  .body_key = "setImageBootMode",
                                  .completion = Completion::async,
                                  .doc = "Sets how the VM instances that are made from an image boot, unless they say otherwise.",
                                  .request = &describe<SetImageBootMode>,
                                  .request_example = R"({"bootMode":"UEFI"})",
                                  .response_example = "{}",
                                  .make = &make_request<SetImageBootMode>};
    return info;
}

std::vector<const MessageInfo*> firmware_messages() {
    return {&message<SetVmBootMode>(), &message<DeleteVmBootMode>(), &message<SetImageBootMode>()};
}

}  // namespace api
}  // namespace ramet

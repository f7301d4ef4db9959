#include "model/vm_identity.hpp"

namespace ramet {

template <> const TypeInfo& describe<VmIdentity>() {
    static const TypeInfo info =
        row<VmIdentity>({"vm_identity"}, "VmIdentity", "What is known of a VM's identity.",
                        field<&VmIdentity::vm_instance_uuid>("vmInstanceUuid", "The VM.", {.primary = true}),
                        field<&VmIdentity::mode>("mode", "reset or keep."), field<&VmIdentity::source_uuid>("sourceUuid", "What it was cloned from."),
                        field<&VmIdentity::instance_id>("instanceId", "The instance-id of its seed."),
                        field<&VmIdentity::host_name>("hostName", "The host name that was kept."),
                        field<&VmIdentity::source_values>("sourceValues", "What the source had."),
                        field<&VmIdentity::facts>("facts", "What was seen."), field<&VmIdentity::trouble>("trouble", "The guest's last refusal."));
    return info;
}

}  // namespace ramet

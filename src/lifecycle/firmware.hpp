// What a VM has besides its disks that outlasts its power: UEFI variables (system tag bootMode::UEFI) and the state of its TPM (tpm::2.0).
//
//   DIR/firmware/<vm>/vars.fd              its UEFI variables; made from the firmware's template at its first start
//   DIR/firmware/<vm>/tpm/                 the directory of its TPM
//   DIR/firmware/<clone job>/...           what a capture took of its source, until each clone has its own copy
//   DIR/firmware/<checkpoint>/...          the same, for as long as the checkpoint is kept
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/messages_firmware.hpp"
#include "lifecycle/parts.hpp"
#include "lifecycle/reconcile.hpp"
#include "model/vm.hpp"

namespace ramet::lifecycle {

inline constexpr std::string_view kBootModeTag = "bootMode::";
inline constexpr std::string_view kTpmTag = "tpm::2.0";
inline constexpr std::string_view kTpmPolicyTag = "tpmPolicy::";

// Puts what the VM's tags ask for into its domain.
Result<void> add_firmware(store::Transaction& transaction, const std::string& data_dir, hypervisor::DomainSpec& domain);

// May a VM of so much memory bear these tags on this host? Errors name `field` and say what to install or to change.
Result<void> check_firmware_tags(const hypervisor::Capabilities& capabilities, const std::vector<std::string>& tags, std::int64_t memory_bytes,
                                 std::string_view field);
// The tags of a new VM: those asked for, and the boot mode of what it is made from (an image, another VM) when they name none.
Result<std::vector<std::string>> with_boot_mode_of(store::Transaction& transaction, const std::string& origin, std::vector<std::string> tags);

// What becomes of a source's TPM in its clones: copy or new, as the request's tag says; empty for a source without one. A source with a TPM
// and no policy is an error: a copied TPM opens the source's secrets, a new one loses them, and nobody but the caller can choose.
Result<std::string> tpm_policy(const std::vector<std::string>& source_tags, const std::vector<std::string>& requested);

// One capture's share of firmware state. Every call may be repeated.
class FirmwareCapture {
public:
    // `keeper`: the job or the checkpoint that what is taken belongs to.
    FirmwareCapture(Parts& parts, std::string keeper, VmId source, std::string_view tpm_policy);
    Result<bool> needed();  // whether the source has anything to be copied
    Result<bool> taken();   // whether the keeper has
    // Reads the source's. Called while its vCPUs stand, so it waits for no disk: a restarted server finds what was taken, and after a power
    // cut the source is off and what it has is taken again.
    Result<void> take();
    Result<void> give_to(const VmId& clone);  // the clone's own copy, unless it has one
    Result<void> persist();                   // what was taken outlasts a power cut from now on
    Result<void> forget();

private:
    enum class Kind : std::uint8_t { taken, clone };
    Result<void> copy(const std::string& from_directory, const std::string& to_directory, Kind kind);
    Parts& parts_;
    std::string keeper_;
    VmId source_;
    bool copy_tpm_;
};

// What a clone's firmware state occupies: its copy of what `keeper` has (its source or a checkpoint; empty: nothing is copied), and with `starts`
// what its first start makes where there is none. `tags` are the clone's.
std::int64_t firmware_bytes(const std::string& data_dir, const std::string& keeper, std::string_view tpm_policy, const std::vector<std::string>& tags,
                            bool starts);
Result<void> remove_firmware(const std::string& data_dir, const std::string& owner);  // a VM's or a capture's; absent is success
// `domains` and `tpms`: what runs.
Result<void> compare_firmware(Parts& parts, const std::vector<VmId>& domains, const std::vector<VmId>& tpms, std::vector<Finding>& findings);

Result<std::string> set_vm_boot_mode(Parts& parts, const identity::Caller& caller, const api::SetVmBootMode& message);
Result<std::string> delete_vm_boot_mode(Parts& parts, const api::DeleteVmBootMode& message);
Result<std::string> set_image_boot_mode(Parts& parts, const identity::Caller& caller, const api::SetImageBootMode& message);

}  // namespace ramet::lifecycle

// UEFI for guests: the code of Debian's package ovmf, shared and read-only, and each VM's own file of variables (NVRAM). Secure boot is off.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

struct FirmwareFiles {
    std::string code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
    std::string vars_template = "/usr/share/OVMF/OVMF_VARS_4M.fd";
};

// Why this machine cannot start UEFI guests, with what to do; empty: it can.
std::string uefi_missing(const FirmwareFiles& files);

struct OpenedFirmware {
    Fd code;  // read-only
    Fd vars;  // an O_PATH handle, as of a disk's top layer
};
// Makes the file of variables from the template when it is absent (a whole one or none), and gives it to `user`.
Result<OpenedFirmware> open_firmware(const FirmwareFiles& files, const std::string& vars_path, const std::optional<User>& user);

}  // namespace ramet::hypervisor

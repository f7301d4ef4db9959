#include "lifecycle/firmware.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "lifecycle/rows.hpp"
#include "model/snapshots.hpp"
#include "resources/tag_patterns.hpp"
#include "storage/file.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

// Below a VM's directory.
constexpr const char* kVars = "vars.fd";
constexpr const char* kTpm = "tpm";

std::string in(const std::string& directory, const std::string& name) { return directory + "/" + name; }

std::string firmware_directory(const std::string& data_dir, const std::string& owner) { return in(in(data_dir, "firmware"), owner); }

std::unexpected<Error> unusable(const std::string& path) {
    const ErrorCode code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::storage_full : ErrorCode::operation_failed;
    return fail(code, "the firmware state of a VM cannot be copied; check the data directory's disk", path + ": " + std::strerror(errno));
}

Result<void> make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return unusable(path);
    return {};
}

Result<void> sync_directory(const std::string& path) {
    const storage::UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid() || ::fsync(directory.get()) < 0) return unusable(path);
    return {};
}

// Empty when there is no such file. Its directory may belong to the user that runs VMs: no link is followed.
Result<std::optional<std::string>> read_state(const std::string& path) {
    const storage::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT) return std::optional<std::string>();
    struct stat facts{};
    if (!file.valid() || ::fstat(file.get(), &facts) < 0) return unusable(path);
    if (!S_ISREG(facts.st_mode) || facts.st_size > limits::kFirmwareStateBytesMax)
        return fail(ErrorCode::operation_failed, "the firmware state of the VM is not what it should be; it is not copied", path);
    std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return unusable(path);
        done += static_cast<std::size_t>(count);
    }
    return std::optional(std::move(bytes));
}

Result<void> write_state(const std::string& path, const std::string& bytes, bool durable) {
    const std::string partial = path + ".partial";
    const storage::UniqueFd file(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.valid()) return unusable(partial);
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return unusable(partial);
        done += static_cast<std::size_t>(count);
    }
    if ((durable && ::fdatasync(file.get()) < 0) || ::rename(partial.c_str(), path.c_str()) < 0) return unusable(path);
    return {};
}

std::optional<std::string> value_after(const std::vector<std::string>& tags, std::string_view prefix) {
    for (const std::string& tag : tags) {
        if (tag.starts_with(prefix)) return tag.substr(prefix.size());
    }
    return std::nullopt;
}

bool boots_by_uefi(const std::vector<std::string>& tags) { return value_after(tags, kBootModeTag).value_or("Legacy") == "UEFI"; }
bool has_tpm(const std::vector<std::string>& tags) { return std::ranges::find(tags, kTpmTag) != tags.end(); }

Result<void> replace_boot_mode(Transaction& transaction, std::string_view vo_type, const std::string& resource, const std::string& mode,
                               Timestamp now, bool admin) {
    TRY_ASSIGN(const std::vector<SystemTag> rows, store::list<SystemTag>(transaction, {{"resourceUuid", resource}}));
    for (const SystemTag& row : rows) {
        if (row.tag.starts_with(kBootModeTag)) TRY(store::erase<SystemTag>(transaction, {{"uuid", row.uuid.text()}}));
    }
    if (mode.empty()) return {};
    return resources::add_system_tags(transaction, vo_type, resource, {std::string(kBootModeTag) + mode}, now, "bootMode", admin);
}

Result<void> check_mode(const hypervisor::Capabilities& capabilities, const std::string& mode, std::int64_t memory_bytes, std::string_view field) {
    if (mode == "Legacy") return {};
    if (mode != "UEFI") return fail(ErrorCode::unsupported, fmt::format("{}: the firmware has no CSM; use UEFI or Legacy", field));
    if (!capabilities.uefi_missing.empty()) return fail(ErrorCode::operation_failed, fmt::format("{}: {}", field, capabilities.uefi_missing));
    if (memory_bytes < limits::kUefiMemoryBytesMin) {
        return fail(ErrorCode::invalid_argument, fmt::format("{}: a VM instance that boots by UEFI needs at least 256 MiB of memory", field));
    }
    return {};
}

}  // namespace

Result<void> add_firmware(Transaction& transaction, const std::string& data_dir, hypervisor::DomainSpec& domain) {
    TRY_ASSIGN(const std::vector<std::string> tags, system_tags_of(transaction, domain.vm.text()));
    const std::string directory = firmware_directory(data_dir, domain.vm.text());
    if (boots_by_uefi(tags)) domain.uefi_vars = directory + "/" + kVars;
    if (has_tpm(tags)) domain.tpm_state = directory + "/" + kTpm;
    return {};
}

Result<void> check_firmware_tags(const hypervisor::Capabilities& capabilities, const std::vector<std::string>& tags, std::int64_t memory_bytes,
                                 std::string_view field) {
    TRY(check_mode(capabilities, value_after(tags, kBootModeTag).value_or("Legacy"), memory_bytes, field));
    if (has_tpm(tags) && !capabilities.tpm_missing.empty())
        return fail(ErrorCode::operation_failed, fmt::format("{}: {}", field, capabilities.tpm_missing));
    return {};
}

Result<std::vector<std::string>> with_boot_mode_of(Transaction& transaction, const std::string& origin, std::vector<std::string> tags) {
    if (value_after(tags, kBootModeTag)) return tags;
    TRY_ASSIGN(const std::vector<std::string> present, system_tags_of(transaction, origin));
    if (const auto mode = value_after(present, kBootModeTag)) tags.push_back(std::string(kBootModeTag) + *mode);
    return tags;
}

Result<std::string> tpm_policy(const std::vector<std::string>& source_tags, const std::vector<std::string>& requested) {
    const std::optional<std::string> policy = value_after(requested, kTpmPolicyTag);
    if (!has_tpm(source_tags)) {
        if (policy) return fail(ErrorCode::invalid_argument, "systemTags: tpmPolicy was given, and the VM instance has no TPM; leave it out");
        return std::string();
    }
    if (policy) return *policy;
    return fail(ErrorCode::invalid_argument,
                "systemTags: the VM instance has a TPM; add tpmPolicy::copy (clones open what the source sealed) or tpmPolicy::new (an empty TPM)");
}

FirmwareCapture::FirmwareCapture(Parts& parts, std::string keeper, VmId source, std::string_view tpm_policy)
    : parts_(parts),
      keeper_(std::move(keeper)),
      source_(std::move(source)),
      copy_tpm_(tpm_policy == "copy") {}

// What was set on the source by its last start counts, not what its tags say for the next: the files tell.
Result<bool> FirmwareCapture::needed() {
    const std::string directory = firmware_directory(parts_.shared.data_dir, source_.text());
    return ::access(in(directory, kVars).c_str(), F_OK) == 0 || (copy_tpm_ && ::access(in(directory, kTpm).c_str(), F_OK) == 0);
}

Result<bool> FirmwareCapture::taken() { return ::access(firmware_directory(parts_.shared.data_dir, keeper_).c_str(), F_OK) == 0; }

Result<void> FirmwareCapture::copy(const std::string& from_directory, const std::string& to_directory, Kind kind) {
    TRY(make_directory(to_directory));
    std::vector<std::string> names{kVars};
    if (copy_tpm_) names.push_back(in(kTpm, hypervisor::kTpmStateFile));
    const std::string tpm_directory = in(to_directory, kTpm);
    for (const std::string& name : names) {
        const std::string to = in(to_directory, name);
        if (kind == Kind::clone && ::access(to.c_str(), F_OK) == 0) continue;
        TRY_ASSIGN(const std::optional<std::string> bytes, read_state(in(from_directory, name)));
        if (!bytes) continue;  // it never started
        if (name != kVars) TRY(make_directory(tpm_directory));
        TRY(write_state(to, *bytes, kind == Kind::clone));
        if (kind == Kind::clone && name != kVars) TRY(sync_directory(tpm_directory));
    }
    return kind == Kind::clone ? sync_directory(to_directory) : Result<void>();
}

Result<void> FirmwareCapture::take() {
    TRY(copy(firmware_directory(parts_.shared.data_dir, source_.text()), firmware_directory(parts_.shared.data_dir, keeper_), Kind::taken));
    crash_point("firmware-taken");
    return {};
}

Result<void> FirmwareCapture::give_to(const VmId& clone) {
    TRY(copy(firmware_directory(parts_.shared.data_dir, keeper_), firmware_directory(parts_.shared.data_dir, clone.text()), Kind::clone));
    crash_point("firmware-given");
    return {};
}

Result<void> FirmwareCapture::persist() {
    const std::string directory = firmware_directory(parts_.shared.data_dir, keeper_);
    if (::access(directory.c_str(), F_OK) < 0) return {};
    for (const std::string& name : {std::string(kVars), in(kTpm, hypervisor::kTpmStateFile)}) {
        const std::string path = in(directory, name);
        const storage::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (file.valid() && ::fsync(file.get()) < 0) return unusable(path);
    }
    const std::string tpm_directory = in(directory, kTpm);
    if (::access(tpm_directory.c_str(), F_OK) == 0) TRY(sync_directory(tpm_directory));
    TRY(sync_directory(directory));
    return sync_directory(parts_.shared.data_dir + "/firmware");
}

std::int64_t firmware_bytes(const std::string& data_dir, const std::string& keeper, std::string_view tpm_policy, const std::vector<std::string>& tags,
                            bool starts) {
    constexpr std::int64_t kBlockBytes = 4096;
    constexpr std::int64_t kNewVarsBytes = 528 * limits::kKiB;  // OVMF's template for firmware of 4 MiB
    constexpr std::int64_t kTpmFilesBytes = 2 * kBlockBytes;    // of a start: a new TPM's state, and its process's number
    const std::string directory = firmware_directory(data_dir, keeper);
    const auto occupied = [&](const std::string& name) -> std::int64_t {
        struct stat facts{};
        if (keeper.empty() || ::stat(in(directory, name).c_str(), &facts) < 0) return 0;
        return (facts.st_size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    };
    std::int64_t vars = occupied(kVars);
    if (vars == 0 && starts && boots_by_uefi(tags)) vars = kNewVarsBytes;
    const std::int64_t tpm = tpm_policy == "copy" ? occupied(in(kTpm, hypervisor::kTpmStateFile)) : 0;
    if (!starts || !has_tpm(tags)) return vars + tpm;
    return vars + std::max(tpm + kBlockBytes, kTpmFilesBytes);
}

Result<void> FirmwareCapture::forget() { return remove_firmware(parts_.shared.data_dir, keeper_); }

Result<void> remove_firmware(const std::string& data_dir, const std::string& owner) {
    std::error_code error;
    std::filesystem::remove_all(firmware_directory(data_dir, owner), error);
    if (error) return fail(ErrorCode::operation_failed, "the firmware state of a VM cannot be removed", owner + ": " + error.message());
    return {};
}

Result<void> compare_firmware(Parts& parts, const std::vector<VmId>& domains, const std::vector<VmId>& tpms, std::vector<Finding>& findings) {
    std::error_code error;
    for (const VmId& domain : domains) {
        // The tag may have come or gone since the VM's start: what it was started with has left its state.
        TRY_ASSIGN(const std::vector<std::string> tags,
                   store::read(parts.database(), [&](Transaction& transaction) { return system_tags_of(transaction, domain.text()); }));
        const std::string state = firmware_directory(parts.shared.data_dir, domain.text()) + "/" + kTpm;
        if (has_tpm(tags) && std::filesystem::exists(state, error) && std::ranges::find(tpms, domain) == tpms.end())
            findings.push_back({"VM without its TPM process", domain.text()});
    }
    return {};
}

Result<std::string> set_vm_boot_mode(Parts& parts, const identity::Caller& caller, const api::SetVmBootMode& message) {
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, message.uuid.text()));
        TRY(check_mode(parts.hypervisor.capabilities(), message.boot_mode, vm.memory_size, "bootMode"));
        return replace_boot_mode(transaction, "VmInstanceVO", message.uuid.text(), message.boot_mode, parts.now(), caller.admin);
    }));
    return std::string("{}");
}

Result<std::string> delete_vm_boot_mode(Parts& parts, const api::DeleteVmBootMode& message) {
    TRY(parts.database().write(
        [&](Transaction& transaction) { return replace_boot_mode(transaction, "VmInstanceVO", message.uuid.text(), "", parts.now(), true); }));
    return std::string("{}");
}

Result<std::string> set_image_boot_mode(Parts& parts, const identity::Caller& caller, const api::SetImageBootMode& message) {
    TRY(check_mode(parts.hypervisor.capabilities(), message.boot_mode, limits::kUefiMemoryBytesMin, "bootMode"));
    TRY(parts.database().write([&](Transaction& transaction) {
        return replace_boot_mode(transaction, "ImageVO", message.uuid.text(), message.boot_mode, parts.now(), caller.admin);
    }));
    return std::string("{}");
}

}  // namespace ramet::lifecycle

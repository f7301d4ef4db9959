#include "guest/seed.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/id.hpp"

namespace ramet::guest {
namespace {

bool is_host_name(const std::string& text) {
    const auto allowed = [](char character) { return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') || (character >= '0' && character <= '9') || character == '-' || character == '.'; };
    return !text.empty() && text.size() <= 253 && text.front() != '-' && std::ranges::all_of(text, allowed);
}

bool is_mac(const std::string& text) {
    return text.size() == 17 && std::ranges::all_of(text, [](char character) { return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f') || character == ':'; });
}

// A guest that nobody generalised keeps the machine-id of its image: here it gets the instance's, once per instance.
constexpr const char* kVendorData = R"yaml(#cloud-config
preserve_hostname: false
manage_etc_hosts: true
ssh_deletekeys: true
bootcmd:
  - [cloud-init-per, instance, ramet-machine-id, sh, -c, 'id="%ID%"; if [ "$(cat /etc/machine-id)" != "$id" ]; then echo "$id" > /etc/machine-id; if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then echo "$id" > /var/lib/dbus/machine-id; fi; fi']
)yaml";

std::string vendor_data(const std::string& instance_id) {
    std::string text = kVendorData;
    constexpr std::string_view kPlaceholder = "%ID%";
    text.replace(text.find(kPlaceholder), kPlaceholder.size(), instance_id);
    return text;
}

std::string network_config(const std::vector<NicSeed>& nics) {
    std::string text = "version: 2\nethernets:\n";
    for (const NicSeed& nic : nics) {
        text += fmt::format("  {0}:\n    match:\n      macaddress: \"{1}\"\n    set-name: {0}\n    dhcp4: true\n    dhcp-identifier: mac\n", nic.name, nic.mac);
    }
    return nics.empty() ? "version: 2\nethernets: {}\n" : text;
}

struct CloseArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

std::unexpected<Error> archive_failed(archive* writer) {
    const char* reason = archive_error_string(writer);
    return fail(ErrorCode::internal, "the guest's seed image cannot be written; check the free space of the data directory", reason != nullptr ? reason : "libarchive");
}

Result<void> add_file(archive* writer, const SeedFile& file) {
    const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), &archive_entry_free);
    archive_entry_set_pathname(entry.get(), file.name.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.content.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(writer, entry.get()) != ARCHIVE_OK) return archive_failed(writer);
    if (archive_write_data(writer, file.content.data(), file.content.size()) < 0) return archive_failed(writer);
    return {};
}

Result<void> write_image(int fd, const std::vector<SeedFile>& files) {
    const Archive writer(archive_write_new());
    archive_write_set_format_iso9660(writer.get());
    archive_write_add_filter_none(writer.get());
    archive_write_set_bytes_in_last_block(writer.get(), 1);
    using Option = std::pair<const char*, const char*>;  // a null value switches the option off
    for (const auto& [key, value] : {Option{"volume-id", "cidata"}, Option{"joliet", "1"}, Option{"rockridge", "1"}, Option{"pad", nullptr}}) {
        if (archive_write_set_format_option(writer.get(), "iso9660", key, value) != ARCHIVE_OK) return archive_failed(writer.get());
    }
    if (archive_write_open_fd(writer.get(), fd) != ARCHIVE_OK) return archive_failed(writer.get());
    for (const SeedFile& file : files) TRY(add_file(writer.get(), file));
    if (archive_write_close(writer.get()) != ARCHIVE_OK) return archive_failed(writer.get());
    return {};
}

}  // namespace

Result<std::vector<SeedFile>> seed_files(const SeedSpec& seed) {
    if (!is_uuid_text(seed.instance_id)) return fail(ErrorCode::internal, "a seed's instance-id must be 32 hex digits");
    if (!is_host_name(seed.host_name)) return fail(ErrorCode::invalid_argument, "'" + seed.host_name + "' is no host name; use letters, digits and hyphens");
    for (const NicSeed& nic : seed.nics) {
        if (!is_mac(nic.mac) || !is_host_name(nic.name)) return fail(ErrorCode::internal, "a seed's NIC has a malformed MAC or name");
    }
    return std::vector<SeedFile>{{"meta-data", fmt::format("instance-id: {}\nlocal-hostname: {}\n", seed.instance_id, seed.host_name)},
                                 {"user-data", seed.user_data.empty() ? "#cloud-config\n{}\n" : seed.user_data},
                                 {"vendor-data", vendor_data(seed.instance_id)},
                                 {"network-config", network_config(seed.nics)}};
}

Result<void> write_seed(const std::string& path, const SeedSpec& seed) {
    TRY_ASSIGN(const std::vector<SeedFile> files, seed_files(seed));
    const std::string partial = path + ".partial";
    const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return fail(ErrorCode::internal, "the guest's seed image cannot be made; check the data directory", partial + ": " + std::strerror(errno));
    Result<void> written = write_image(fd, files);
    const bool synced = ::fsync(fd) == 0;
    ::close(fd);
    if (written.has_value() && (!synced || ::rename(partial.c_str(), path.c_str()) != 0)) {
        written = fail(ErrorCode::storage_full, "the guest's seed image cannot be written; check the free space of the data directory", path + ": " + std::strerror(errno));
    }
    if (!written.has_value()) ::unlink(partial.c_str());
    return written;
}

}  // namespace ramet::guest

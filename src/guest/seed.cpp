#include "guest/seed.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/id.hpp"
#include "base/limits.hpp"

namespace ramet::guest {
namespace {

bool is_host_name(const std::string& text) {
    const auto allowed = [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') || (character >= '0' && character <= '9') ||
               character == '-' || character == '.';
    };
    return !text.empty() && text.size() <= 253 && text.front() != '-' && std::ranges::all_of(text, allowed);
}

bool is_mac(const std::string& text) {
    return text.size() == 17 && std::ranges::all_of(text, [](char character) {
               return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f') || character == ':';
           });
}

// A guest that nobody generalised keeps the machine-id of its image: here it gets the instance's, once per instance. The network came up
// before this runs, with a DHCP client id made from the old machine-id (RFC 4361): the client starts again with its own.
constexpr const char* kVendorData = R"yaml(#cloud-config
preserve_hostname: false
manage_etc_hosts: true
ssh_deletekeys: true
bootcmd:
  - - cloud-init-per
    - instance
    - ramet-machine-id
    - sh
    - -c
    - |
      id="%ID%"
      if [ "$(cat /etc/machine-id)" != "$id" ]; then
          echo "$id" > /etc/machine-id
          if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then echo "$id" > /var/lib/dbus/machine-id; fi
          if command -v systemctl >/dev/null; then systemctl try-restart systemd-networkd.service; fi
      fi
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
        text += fmt::format("  {0}:\n    match:\n      macaddress: \"{1}\"\n    set-name: {0}\n    dhcp4: true\n    dhcp-identifier: mac\n", nic.name,
                            nic.mac);
    }
    return nics.empty() ? "version: 2\nethernets: {}\n" : text;
}

struct CloseArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

std::unexpected<Error> archive_failed(archive* writer) {
    const char* reason = archive_error_string(writer);
    return fail(ErrorCode::internal, "the guest's seed image cannot be written; check the free space of the data directory",
                reason != nullptr ? reason : "libarchive");
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

la_ssize_t append_bytes(archive*, void* image, const void* bytes, size_t count) {
    static_cast<std::string*>(image)->append(static_cast<const char*>(bytes), count);
    return static_cast<la_ssize_t>(count);
}

Result<std::string> make_image(const std::vector<SeedFile>& files) {
    std::string image;
    const Archive writer(archive_write_new());
    archive_write_set_format_iso9660(writer.get());
    archive_write_add_filter_none(writer.get());
    archive_write_set_bytes_in_last_block(writer.get(), 1);
    using Option = std::pair<const char*, const char*>;  // a null value switches the option off
    for (const auto& [key, value] : {Option{"volume-id", "cidata"}, Option{"joliet", "1"}, Option{"rockridge", "1"}, Option{"pad", nullptr}}) {
        if (archive_write_set_format_option(writer.get(), "iso9660", key, value) != ARCHIVE_OK) return archive_failed(writer.get());
    }
    if (archive_write_open(writer.get(), &image, nullptr, &append_bytes, nullptr) != ARCHIVE_OK) return archive_failed(writer.get());
    for (const SeedFile& file : files) TRY(add_file(writer.get(), file));
    if (archive_write_close(writer.get()) != ARCHIVE_OK) return archive_failed(writer.get());
    return image;
}

constexpr std::size_t kBlockBytes = 4096;

bool is_zeros(std::string_view block) { return block.find_first_not_of('\0') == std::string_view::npos; }

// Most of the image is the zeros of its system area: blocks of zeros stay holes.
bool write_sparsely(int fd, const std::string& image) {
    const std::int64_t blocks = (static_cast<std::int64_t>(image.size()) + limits::kSeedBytes - 1) / limits::kSeedBytes;
    if (::ftruncate(fd, blocks * limits::kSeedBytes) != 0) return false;
    for (std::size_t at = 0; at < image.size(); at += kBlockBytes) {
        std::string_view block = std::string_view(image).substr(at, kBlockBytes);
        if (is_zeros(block)) continue;
        for (off_t offset = static_cast<off_t>(at); !block.empty();) {
            const ssize_t written = ::pwrite(fd, block.data(), block.size(), offset);
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return false;
            block.remove_prefix(static_cast<std::size_t>(written));
            offset += written;
        }
    }
    return true;
}

std::unexpected<Error> disk_failed(const std::string& path, int error_number) {
    const ErrorCode code = error_number == ENOSPC || error_number == EDQUOT ? ErrorCode::storage_full : ErrorCode::operation_failed;
    return fail(code, "the guest's seed image cannot be written; check the free space of the data directory",
                path + ": " + ::strerrordesc_np(error_number));
}

}  // namespace

Result<std::vector<SeedFile>> seed_files(const SeedSpec& seed) {
    if (!is_uuid_text(seed.instance_id)) return fail(ErrorCode::internal, "a seed's instance-id must be 32 hex digits");
    if (!is_host_name(seed.host_name))
        return fail(ErrorCode::invalid_argument, "'" + seed.host_name + "' is no host name; use letters, digits and hyphens");
    for (const NicSeed& nic : seed.nics) {
        if (!is_mac(nic.mac) || !is_host_name(nic.name)) return fail(ErrorCode::internal, "a seed's NIC has a malformed MAC or name");
    }
    // Quoted, for a host name such as "no" or "12" is not text to a YAML reader otherwise. The checks above keep quotes out.
    return std::vector<SeedFile>{{"meta-data", fmt::format("instance-id: \"{}\"\nlocal-hostname: \"{}\"\n", seed.instance_id, seed.host_name)},
                                 {"user-data", seed.user_data.empty() ? "#cloud-config\n{}\n" : seed.user_data},
                                 {"vendor-data", seed.keeps_identity ? "#cloud-config\n{}\n" : vendor_data(seed.instance_id)},
                                 {"network-config", network_config(seed.nics)}};
}

Result<std::int64_t> seed_bytes(const SeedSpec& seed) {
    TRY_ASSIGN(const std::vector<SeedFile> files, seed_files(seed));
    TRY_ASSIGN(const std::string image, make_image(files));
    std::int64_t blocks = 0;
    for (std::size_t at = 0; at < image.size(); at += kBlockBytes) blocks += is_zeros(std::string_view(image).substr(at, kBlockBytes)) ? 0 : 1;
    return blocks * static_cast<std::int64_t>(kBlockBytes);
}

Result<void> write_seed(const std::string& path, const SeedSpec& seed) {
    if (path.empty() || path.front() != '/') return fail(ErrorCode::internal, "a seed image needs an absolute path", path);
    TRY_ASSIGN(const std::vector<SeedFile> files, seed_files(seed));
    TRY_ASSIGN(const std::string image, make_image(files));
    const std::string partial = path + ".partial";
    // User data may hold secrets: nobody but us reads the file, and QEMU gets it as an open descriptor.
    const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return disk_failed(partial, errno);
    const bool written = write_sparsely(fd, image);
    int error_number = errno;
    ::close(fd);
    // Not brought to disk: every start makes it anew.
    if (written && ::rename(partial.c_str(), path.c_str()) == 0) return {};
    if (written) error_number = errno;
    ::unlink(partial.c_str());
    return disk_failed(path, error_number);
}

}  // namespace ramet::guest

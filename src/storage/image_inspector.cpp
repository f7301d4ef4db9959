#include "storage/image_inspector.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::storage {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kHeadBytes = 128 * 1024;  // reaches the btrfs superblock at 64 KiB and the ISO 9660 one at 32 KiB
constexpr std::int64_t kSectorBytes = 512;

std::unexpected<Error> refuse(const std::string& why) { return fail(ErrorCode::image_failed, "the image is refused: " + why); }

struct Signature {
    std::size_t offset;
    std::string_view bytes;
};

struct Foreign {
    Signature signature;
    std::string_view advice;
};

constexpr std::string_view kVmware = "it is a VMware disk; convert it with 'qemu-img convert -f vmdk -O qcow2'"sv;
constexpr std::string_view kHyperV = "it is a VHD disk; convert it with 'qemu-img convert -f vpc -O qcow2'"sv;
constexpr std::string_view kIso = "it is a CD or DVD image; media type ISO is not supported, give a disk image"sv;
constexpr std::string_view kPacked = "it is a compressed file or an archive; unpack it and give the disk inside"sv;
constexpr std::string_view kProgram = "it is a program, not a disk"sv;
constexpr std::string_view kOtherDisk = "its disk format is not supported; convert it with 'qemu-img convert -O qcow2'"sv;

// What a tool that probes would take for something else than a plain disk.
constexpr std::array kForeign{
    Foreign{{0, "KDMV"sv}, kVmware},
    Foreign{{0, "COWD"sv}, kVmware},
    Foreign{{0, "VMDK"sv}, kVmware},
    Foreign{{0, "# Disk DescriptorFile"sv}, kVmware},
    Foreign{{0, "conectix"sv}, kHyperV},
    Foreign{{0, "vhdxfile"sv}, "it is a VHDX disk; convert it with 'qemu-img convert -f vhdx -O qcow2'"sv},
    Foreign{{0x40, "\x7f\x10\xda\xbe"sv}, "it is a VirtualBox disk; convert it with 'qemu-img convert -f vdi -O qcow2'"sv},
    Foreign{{0x8001, "CD001"sv}, kIso},
    Foreign{{0x8001, "BEA01"sv}, kIso},
    Foreign{{0, "\x1f\x8b"sv}, kPacked},
    Foreign{{0,
             "\xfd"
             "7zXZ\0"sv},
            kPacked},
    Foreign{{0, "PK\x03\x04"sv}, kPacked},
    Foreign{{0, "BZh"sv}, kPacked},
    Foreign{{0, "\x28\xb5\x2f\xfd"sv}, kPacked},
    Foreign{{0, "7z\xbc\xaf\x27\x1c"sv}, kPacked},
    Foreign{{0, "\x04\x22\x4d\x18"sv}, kPacked},
    Foreign{{257, "ustar"sv}, kPacked},
    Foreign{{0,
             "\x7f"
             "ELF"sv},
            kProgram},
    Foreign{{0, "QED\0"sv}, kOtherDisk},
    Foreign{{0, "QFI\xfb"sv}, "it is a qcow2 image; name the format qcow2"sv},
    Foreign{{0, "WithoutFreeSpace"sv}, kOtherDisk},
    Foreign{{0, "WithouFreSpacExt"sv}, kOtherDisk},
    Foreign{{0, "Bochs Virtual HD Image"sv}, kOtherDisk},
};

// A plain disk shows at least one of these.
constexpr std::array kDiskSignatures{
    Signature{510, "\x55\xaa"sv},        // MBR, GPT's protective MBR, FAT, NTFS
    Signature{512, "EFI PART"sv},        // GPT, 512-byte sectors
    Signature{4096, "EFI PART"sv},       // GPT, 4 KiB sectors
    Signature{1024 + 56, "\x53\xef"sv},  // ext2, ext3, ext4
    Signature{0, "XFSB"sv},
    Signature{0x10040, "_BHRfS_M"sv},  // btrfs
    Signature{4096 - 10, "SWAPSPACE2"sv},
    Signature{4096 - 10, "SWAP-SPACE"sv},
    Signature{0, "LUKS\xba\xbe"sv},
    Signature{512 + 24, "LVM2 001"sv},  // the label may lie in any of the first four sectors
    Signature{24, "LVM2 001"sv},
    Signature{1024 + 24, "LVM2 001"sv},
    Signature{1536 + 24, "LVM2 001"sv},
};

bool shows(std::string_view head, const Signature& signature) {
    return head.size() >= signature.offset + signature.bytes.size() && head.substr(signature.offset, signature.bytes.size()) == signature.bytes;
}

Result<ImageFacts> inspect_qcow2(int fd, ImageFacts facts) {
    TRY_ASSIGN(const Qcow2Header header, read_qcow2_header(fd, facts.file_bytes));
    if (header.backing_offset != 0 || header.backing_bytes != 0) {
        return refuse("it builds on another image (backing file); make a complete one with 'qemu-img convert -O qcow2'");
    }
    TRY(check_qcow2_layer(header, facts.file_bytes));
    facts.format = DiskFormat::qcow2;
    facts.virtual_bytes = static_cast<std::int64_t>(header.virtual_bytes);
    return facts;
}

Result<ImageFacts> inspect_raw(int fd, std::string_view head, ImageFacts facts) {
    for (const Foreign& foreign : kForeign) {
        if (shows(head, foreign.signature)) return refuse(std::string(foreign.advice));
    }
    if (facts.file_bytes % kSectorBytes != 0) return refuse("its size is not a multiple of 512 bytes, so it is no disk image; it may be cut off");
    std::array<std::byte, 8> footer{};  // a fixed-size VHD is a plain disk with a footer
    TRY_ASSIGN(const std::size_t got, read_at(fd, footer, facts.file_bytes - kSectorBytes));
    const std::string_view footer_text(reinterpret_cast<const char*>(footer.data()), got);
    if (footer_text == "conectix"sv) return refuse(std::string(kHyperV));
    const bool is_disk =
        std::any_of(kDiskSignatures.begin(), kDiskSignatures.end(), [&](const Signature& signature) { return shows(head, signature); });
    if (!is_disk) return refuse("it is not a disk image: it has no partition table, boot sector or file system");
    if (facts.file_bytes > limits::kImageVirtualBytesMax) return refuse("it is larger than 64 TiB");
    facts.format = DiskFormat::raw;
    facts.virtual_bytes = facts.file_bytes;
    return facts;
}

}  // namespace

Result<ImageFacts> inspect_image(const std::string& absolute_path, std::optional<DiskFormat> declared) {
    // O_NONBLOCK: a FIFO in the image's place must not hold us.
    const UniqueFd file(::open(absolute_path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return io_error("opening the image", errno, absolute_path);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return io_error("looking at the image", errno, absolute_path);
    if (!S_ISREG(status.st_mode)) return refuse("it is not an ordinary file");
    ImageFacts facts{DiskFormat::raw, 0, status.st_size, status.st_blocks * std::int64_t{512}};
    if (facts.file_bytes == 0) return refuse("it is empty");
    if (facts.file_bytes > limits::kImageFileBytesMax) return refuse("the file is larger than 16 TiB");
    std::vector<std::byte> buffer(kHeadBytes);
    TRY_ASSIGN(const std::size_t got, read_at(file.get(), buffer, 0));
    const std::string_view head(reinterpret_cast<const char*>(buffer.data()), got);
    const bool has_magic = head.starts_with("QFI\xfb"sv);
    if (declared.has_value() ? *declared == DiskFormat::qcow2 : has_magic) return inspect_qcow2(file.get(), facts);
    return inspect_raw(file.get(), head, facts);
}

}  // namespace ramet::storage

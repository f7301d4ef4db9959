#include "storage/image_inspector.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "storage/file.hpp"
#include "support/storage_files.hpp"

namespace ramet::storage {
namespace {

using namespace std::string_literals;
using test::run_command;

constexpr std::size_t kCluster = 65536;

void put(std::string& image, std::size_t at, std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) image.at(at + static_cast<std::size_t>(i)) = static_cast<char>((value >> (8 * (width - 1 - i))) & 0xff);
}

// A sound image of 1 GiB with nothing in it; each row of the table below breaks one thing.
std::string sound_qcow2() {
    std::string image(4 * kCluster, '\0');
    put(image, 0, 0x514649fb, 4);
    put(image, 4, 3, 4);
    put(image, 20, 16, 4);
    put(image, 24, 1ULL << 30, 8);
    put(image, 36, 2, 4);
    put(image, 40, 3 * kCluster, 8);
    put(image, 48, kCluster, 8);
    put(image, 56, 1, 4);
    put(image, 96, 4, 4);
    put(image, 100, 112, 4);
    put(image, kCluster, 2 * kCluster, 8);
    for (std::size_t i = 0; i < 4; ++i) put(image, 2 * kCluster + 2 * i, 1, 2);
    return image;
}

class ImageInspector : public testing::Test {
protected:
    Result<ImageFacts> inspect(const std::string& contents, std::optional<DiskFormat> declared = std::nullopt) {
        test::write_file(path(), contents);
        return inspect_image(path(), declared);
    }
    // The reason when the image is refused, "accepted" when not.
    std::string verdict(const std::string& contents, std::optional<DiskFormat> declared = std::nullopt) {
        const Result<ImageFacts> facts = inspect(contents, declared);
        if (facts.has_value()) return "accepted";
        EXPECT_EQ(facts.error().code, ErrorCode::image_failed);
        return facts.error().message;
    }
    std::string path() const { return directory_.file("image"); }
    test::TempDir directory_;
};

std::string disk(std::size_t at, const std::string& signature, std::size_t bytes = 256 * 1024) {
    std::string image(bytes, '\0');
    return image.replace(at, signature.size(), signature);
}

TEST_F(ImageInspector, TheSoundImageIsAcceptedHereAndByQemu) {
    const auto facts = inspect(sound_qcow2());
    ASSERT_TRUE(facts.has_value()) << facts.error().message;
    EXPECT_EQ(facts->format, DiskFormat::qcow2);
    EXPECT_EQ(facts->virtual_bytes, 1LL << 30);
    EXPECT_EQ(facts->file_bytes, static_cast<std::int64_t>(4 * kCluster));
    EXPECT_GT(facts->allocated_bytes, 0);
    EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", path()}).exit_status, 0);
}

TEST_F(ImageInspector, WhatQemuImgMakesIsAccepted) {
    for (const char* options :
         {"compat=1.1", "compat=0.10", "cluster_size=512", "cluster_size=2M", "compression_type=zstd", "extended_l2=on,cluster_size=128k",
          "refcount_bits=1", "refcount_bits=64", "lazy_refcounts=on", "preallocation=metadata"}) {
        ASSERT_EQ(run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path(), "100M"}).exit_status, 0) << options;
        const auto facts = inspect_image(path(), std::nullopt);
        ASSERT_TRUE(facts.has_value()) << options << ": " << facts.error().message;
        EXPECT_EQ(facts->virtual_bytes, 100 * limits::kMiB);
    }
}

TEST_F(ImageInspector, WhatReachesOutOfTheFileIsRefused) {
    test::write_file(directory_.file("base"), std::string(1 << 20, 'S'));
    const std::string backing = "backing_file=" + directory_.file("base") + ",backing_fmt=raw";
    const std::string data = "data_file=" + directory_.file("data");
    for (const std::string& options : {backing, data, "data_file_raw=on," + data}) {
        ASSERT_EQ(run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path(), "1M"}).exit_status, 0) << options;
        EXPECT_EQ(inspect_image(path(), std::nullopt).error().code, ErrorCode::image_failed) << options;
        EXPECT_EQ(inspect_image(path(), DiskFormat::qcow2).error().code, ErrorCode::image_failed) << options;
        EXPECT_EQ(inspect_image(path(), DiskFormat::raw).error().code, ErrorCode::image_failed) << options;
    }
}

TEST_F(ImageInspector, EveryHostileHeaderIsRefusedForItsOwnReason) {
    struct Row {
        const char* what;
        std::size_t at;
        std::uint64_t value;
        int width;
        const char* reason;
    };
    constexpr std::uint64_t k60PiB = 60ULL << 50;
    const Row rows[] = {
        {"version 1", 4, 1, 4, "version"},
        {"version 4", 4, 4, 4, "version"},
        {"version 0xffffffff", 4, 0xffffffff, 4, "version"},
        {"backing file", 8, 512, 8, "backing file"},
        {"backing length without place", 16, 10, 4, "backing file"},
        {"cluster bits 8", 20, 8, 4, "cluster size"},
        {"cluster bits 22", 20, 22, 4, "cluster size"},
        {"cluster bits 64", 20, 64, 4, "cluster size"},
        {"cluster bits 0xffffffff", 20, 0xffffffff, 4, "cluster size"},
        {"size 0", 24, 0, 8, "size is 0"},
        {"60 PiB", 24, k60PiB, 8, "64 TiB"},
        {"negative size", 24, ~0ULL, 8, "64 TiB"},
        {"odd size", 24, 513, 8, "512"},
        {"AES", 32, 1, 4, "encrypted"},
        {"LUKS", 32, 2, 4, "encrypted"},
        {"L1 of 64 MiB", 36, 8 << 20, 4, "L1 table is larger"},
        {"L1 of 0xffffffff entries", 36, 0xffffffff, 4, "L1 table is larger"},
        {"L1 too small", 36, 1, 4, "too small"},
        {"L1 behind the end", 40, 4 * kCluster, 8, "L1 table lies outside"},
        {"L1 far behind the end", 40, 1ULL << 62, 8, "L1 table lies outside"},
        {"L1 at the top of 64 bits", 40, ~0ULL << 16, 8, "L1 table lies outside"},
        {"L1 in the header", 40, 0, 8, "L1 table lies outside"},
        {"L1 not aligned", 40, 3 * kCluster + 8, 8, "L1 table lies outside"},
        {"refcounts behind the end", 48, 1ULL << 40, 8, "reference count table lies outside"},
        {"refcounts in the header", 48, 0, 8, "reference count table lies outside"},
        {"no refcount table", 56, 0, 4, "reference count table has an impossible size"},
        {"giant refcount table", 56, 0xffffffff, 4, "reference count table has an impossible size"},
        {"refcount table past the end", 56, 4, 4, "reference count table lies outside"},
        {"absurd snapshot count", 60, 0xffffffff, 4, "snapshots"},
        {"snapshots outside", 60, 1, 4, "snapshot table lies outside"},
        {"dirty", 72, 1, 8, "not cleanly closed"},
        {"corrupt", 72, 2, 8, "damaged"},
        {"data file", 72, 4, 8, "another file"},
        {"unknown feature 5", 72, 32, 8, "not known here"},
        {"unknown feature 63", 72, 1ULL << 63, 8, "not known here"},
        {"compression flag without type", 72, 8, 8, "compression"},
        {"compression type without flag", 104, 1ULL << 56, 8, "compression"},
        {"refcount order 7", 96, 7, 4, "reference counts"},
        {"header too short", 100, 96, 4, "impossible length"},
        {"header not aligned", 100, 107, 4, "impossible length"},
        {"header longer than its cluster", 100, 0xfffffff8, 4, "impossible length"},
        {"data file named", 112, (0x44415441ULL << 32) | 8, 8, "another file"},
        {"encryption header", 112, (0x0537be77ULL << 32) | 16, 8, "encrypted"},
        {"extension longer than the header", 112, (0x12345678ULL << 32) | 0xfffffff0, 8, "extension"},
    };
    for (const Row& row : rows) {
        std::string image = sound_qcow2();
        put(image, row.at, row.value, row.width);
        EXPECT_NE(verdict(image).find(row.reason), std::string::npos) << row.what << ": " << verdict(image);
    }
}

TEST_F(ImageInspector, EndlessExtensionsAreRefused) {
    std::string image = sound_qcow2();
    for (std::size_t i = 0; i < 100; ++i) put(image, 112 + 8 * i, 0x12345678ULL << 32, 8);
    EXPECT_NE(verdict(image).find("too many extensions"), std::string::npos);
}

TEST_F(ImageInspector, AHeaderCutOffAnywhereIsRefused) {
    const std::string image = sound_qcow2();
    for (std::size_t bytes = 0; bytes < 112; ++bytes) {
        EXPECT_NE(verdict(image.substr(0, bytes)), "accepted") << bytes;
        EXPECT_NE(verdict(image.substr(0, bytes), DiskFormat::qcow2), "accepted") << bytes;
    }
    for (const std::size_t bytes : {std::size_t{512}, kCluster, 2 * kCluster, 3 * kCluster})
        EXPECT_NE(verdict(image.substr(0, bytes)).find("cut off"), std::string::npos) << bytes;
}

TEST_F(ImageInspector, EveryBitOfTheHeaderMayFlipWithoutHarm) {
    test::write_file(path(), sound_qcow2());
    const UniqueFd file(::open(path().c_str(), O_RDWR | O_CLOEXEC));
    const std::string header = sound_qcow2().substr(0, 120);
    int refused = 0;
    for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
        std::string broken = header;
        broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ (1 << (bit % 8)));
        ASSERT_TRUE(write_all(file.get(), bytes_of(broken), 0).has_value());
        refused += inspect_image(path(), DiskFormat::qcow2).has_value() ? 0 : 1;
    }
    EXPECT_GT(refused, 500);
}

TEST_F(ImageInspector, PlainDisksAreKnownByWhatTheyHold) {
    const std::pair<std::size_t, std::string> disks[] = {{510, "\x55\xaa"s},     {512, "EFI PART"s},    {1080, "\x53\xef"s},  {0, "XFSB"s},
                                                         {0x10040, "_BHRfS_M"s}, {4086, "SWAPSPACE2"s}, {0, "LUKS\xba\xbe"s}, {536, "LVM2 001"s}};
    for (const auto& [at, signature] : disks) {
        const auto facts = inspect(disk(at, signature));
        ASSERT_TRUE(facts.has_value()) << signature;
        EXPECT_EQ(facts->format, DiskFormat::raw);
        EXPECT_EQ(facts->virtual_bytes, 256 * 1024);
        EXPECT_TRUE(inspect(disk(at, signature), DiskFormat::raw).has_value());
        EXPECT_NE(verdict(disk(at, signature), DiskFormat::qcow2).find("not a qcow2 image"), std::string::npos);
    }
}

TEST_F(ImageInspector, WhatIsNoDiskIsRefusedEvenWithABootSignature) {
    struct Row {
        std::string what;
        std::size_t at;
        std::string signature;
        const char* reason;
    };
    const Row rows[] = {{"VMDK", 0, "KDMV"s, "VMware"},
                        {"old VMDK", 0, "COWD"s, "VMware"},
                        {"VMDK descriptor", 0, "# Disk DescriptorFile\n"s, "VMware"},
                        {"VHD", 0, "conectix"s, "VHD"},
                        {"fixed VHD", 256 * 1024 - 512, "conectix"s, "VHD"},
                        {"VHDX", 0, "vhdxfile"s, "VHDX"},
                        {"VDI", 0x40, "\x7f\x10\xda\xbe"s, "VirtualBox"},
                        {"ISO", 0x8001, "CD001"s, "media type ISO"},
                        {"UDF", 0x8001, "BEA01"s, "media type ISO"},
                        {"gzip", 0, "\x1f\x8b\x08"s, "unpack"},
                        {"xz", 0,
                         "\xfd"
                         "7zXZ\0"s,
                         "unpack"},
                        {"zip", 0, "PK\x03\x04"s, "unpack"},
                        {"bzip2", 0, "BZh9"s, "unpack"},
                        {"zstd", 0, "\x28\xb5\x2f\xfd"s, "unpack"},
                        {"OVA", 257, "ustar"s, "unpack"},
                        {"ELF", 0,
                         "\x7f"
                         "ELF"s,
                         "program"},
                        {"QED", 0, "QED\0"s, "not supported"},
                        {"Parallels", 0, "WithoutFreeSpace"s, "not supported"}};
    for (const Row& row : rows) {
        std::string image = disk(510, "\x55\xaa"s);
        image.replace(row.at, row.signature.size(), row.signature);
        EXPECT_NE(verdict(image).find(row.reason), std::string::npos) << row.what << ": " << verdict(image);
        EXPECT_NE(verdict(image, DiskFormat::raw).find(row.reason), std::string::npos) << row.what;
        EXPECT_NE(verdict(image, DiskFormat::qcow2), "accepted") << row.what;
    }
}

TEST_F(ImageInspector, AnErrorPageOrAnEmptyFileIsRefused) {
    EXPECT_NE(verdict("<!DOCTYPE html><html><body>404 Not Found</body></html>\n").find("not a multiple of 512"), std::string::npos);
    EXPECT_NE(verdict(std::string(1024, 'x')).find("not a disk image"), std::string::npos);
    EXPECT_NE(verdict(std::string(1 << 20, '\0')).find("not a disk image"), std::string::npos);
    EXPECT_NE(verdict("").find("empty"), std::string::npos);
    EXPECT_NE(verdict(disk(510, "\x55\xaa"s) + "x").find("not a multiple of 512"), std::string::npos);
}

TEST_F(ImageInspector, AQcow2HeaderInADiskDeclaredRawIsRefused) {
    EXPECT_NE(verdict(sound_qcow2(), DiskFormat::raw).find("name the format qcow2"), std::string::npos);
}

TEST_F(ImageInspector, OnlyOrdinaryFilesAreOpened) {
    test::write_file(path(), sound_qcow2());
    std::filesystem::create_symlink(path(), directory_.file("link"));
    ASSERT_EQ(::mkfifo(directory_.file("fifo").c_str(), 0600), 0);
    for (const std::string& what : {directory_.file("link"), directory_.file("fifo"), directory_.path(), "/dev/zero"s, directory_.file("absent")}) {
        EXPECT_FALSE(inspect_image(what, std::nullopt).has_value()) << what;
    }
}

}  // namespace
}  // namespace ramet::storage

#include "storage/qcow2_writer.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"
#include "support/storage_files.hpp"

namespace ramet::storage {
namespace {

using test::run_command;

class Qcow2Writer : public testing::Test {
protected:
    Result<void> write(const std::string& name, std::int64_t size, const std::optional<Qcow2Backing>& backing = std::nullopt) {
        const UniqueFd fd(::open(file(name).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        return write_qcow2(fd.get(), size, backing);
    }
    std::string file(const std::string& name) { return directory_.file(name); }
    std::int64_t allocated(const std::string& name) {
        struct stat status{};
        return ::stat(file(name).c_str(), &status) == 0 ? status.st_blocks * std::int64_t{512} : -1;
    }
    bool checks(const std::string& name) { return run_command({"qemu-img", "check", "-f", "qcow2", file(name)}).exit_status == 0; }
    bool has(const std::string& name, const std::string& text) {
        return run_command({"qemu-img", "info", "-f", "qcow2", "--output=json", file(name)}).output.find(text) != std::string::npos;
    }
    bool io(const std::string& name, const std::string& command) {
        const auto result = run_command({"qemu-io", "-f", "qcow2", "-c", command, file(name)});
        return result.exit_status == 0 && result.output.find("verification failed") == std::string::npos;
    }
    test::TempDir directory_;
};

TEST_F(Qcow2Writer, EmptyDisksOfAnySizePassQemusOwnCheck) {
    for (const std::int64_t size :
         {std::int64_t{512}, limits::kMiB, limits::kGiB, 512 * limits::kMiB + 512, 4 * limits::kTiB, 4 * limits::kTiB + 512, 64 * limits::kTiB}) {
        ASSERT_TRUE(write("a", size).has_value()) << size;
        EXPECT_TRUE(checks("a")) << size;
        EXPECT_TRUE(has("a", "\"virtual-size\": " + std::to_string(size))) << size;
        EXPECT_LE(allocated("a"), 16 * limits::kKiB) << size;
    }
}

TEST_F(Qcow2Writer, TheLastSectorOfTheLargestDiskCanBeWritten) {
    ASSERT_TRUE(write("a", 64 * limits::kTiB).has_value());
    EXPECT_TRUE(io("a", "write -P 0x77 " + std::to_string(64 * limits::kTiB - 65536) + " 65536"));
    EXPECT_TRUE(io("a", "read -P 0x77 " + std::to_string(64 * limits::kTiB - 65536) + " 65536"));
    EXPECT_TRUE(checks("a"));
}

TEST_F(Qcow2Writer, AnOverlayReadsItsBackingAndKeepsItsOwnWrites) {
    ASSERT_TRUE(write("base", limits::kGiB).has_value());
    ASSERT_TRUE(io("base", "write -P 0x11 1M 128k"));
    ASSERT_TRUE(write("top", limits::kGiB, Qcow2Backing{file("base"), DiskFormat::qcow2}).has_value());
    EXPECT_LE(allocated("top"), 16 * limits::kKiB);
    EXPECT_TRUE(has("top", "\"backing-filename-format\": \"qcow2\""));
    EXPECT_TRUE(has("top", "\"full-backing-filename\": \"" + file("base") + "\""));
    ASSERT_TRUE(io("top", "write -P 0x22 1M 64k"));
    EXPECT_TRUE(io("top", "read -P 0x22 1M 64k"));
    EXPECT_TRUE(io("top", "read -P 0x11 1088k 64k"));
    EXPECT_TRUE(io("top", "read -P 0 2M 64k"));
    EXPECT_TRUE(io("base", "read -P 0x11 1M 128k"));
    EXPECT_TRUE(checks("top"));
}

TEST_F(Qcow2Writer, SizesAreRoundedUpAsQemuImgDoes) {
    ASSERT_TRUE(write("ours", 1'000'000).has_value());
    ASSERT_EQ(run_command({"qemu-img", "create", "-q", "-f", "qcow2", file("theirs"), "1000000"}).exit_status, 0);
    EXPECT_TRUE(has("ours", "\"virtual-size\": 1000448"));
    EXPECT_TRUE(has("theirs", "\"virtual-size\": 1000448"));
}

TEST_F(Qcow2Writer, OurReaderFindsInItWhatItFindsInQemuImgsFile) {
    ASSERT_TRUE(write("base", limits::kGiB).has_value());
    ASSERT_TRUE(write("ours", 10 * limits::kGiB, Qcow2Backing{file("base"), DiskFormat::qcow2}).has_value());
    ASSERT_EQ(run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-b", file("base"), "-F", "qcow2", file("theirs"), "10G"}).exit_status, 0);
    const auto header_of = [this](const std::string& name) {
        const UniqueFd fd(::open(file(name).c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status{};
        EXPECT_EQ(::fstat(fd.get(), &status), 0);
        const Qcow2Header header = read_qcow2_header(fd.get(), status.st_size).value();
        EXPECT_TRUE(check_qcow2_layer(header, status.st_size).has_value());
        return header;
    };
    const Qcow2Header ours = header_of("ours");
    const Qcow2Header theirs = header_of("theirs");
    EXPECT_EQ(ours.version, theirs.version);
    EXPECT_EQ(ours.virtual_bytes, theirs.virtual_bytes);
    EXPECT_EQ(ours.cluster_bits, theirs.cluster_bits);
    EXPECT_EQ(ours.l1_entries, theirs.l1_entries);
    EXPECT_EQ(ours.refcount_order, theirs.refcount_order);
    EXPECT_EQ(ours.backing_bytes, theirs.backing_bytes);
    EXPECT_EQ(ours.incompatible, 0U);
}

TEST_F(Qcow2Writer, MoreClustersThanOneBlockOfReferenceCountsHolds) {
    constexpr std::int64_t kSize = 5 * kRegionBytes;  // 40 960 clusters; a block counts 32 768
    const Qcow2Layout layout = qcow2_layout(kSize, 5, kSize / kClusterBytes).value();
    const UniqueFd fd(::open(file("a").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const std::vector<std::int64_t> regions{0, 1, 2, 3, 4};
    ASSERT_TRUE(write_qcow2_frame(fd.get(), layout, std::nullopt, regions).has_value());
    std::vector<std::int64_t> entries(static_cast<std::size_t>(kTableClusters));
    for (const std::int64_t region : regions) {
        for (std::int64_t i = 0; i < kTableClusters; ++i)
            entries[static_cast<std::size_t>(i)] = layout.data_at + (region * kTableClusters + i) * kClusterBytes;
        ASSERT_TRUE(write_qcow2_table(fd.get(), layout, region, entries).has_value());
    }
    EXPECT_TRUE(checks("a"));
    EXPECT_TRUE(io("a", "read -P 0 2559M 1M"));
}

TEST_F(Qcow2Writer, AClusterThatReadsAsZerosHidesTheBase) {
    ASSERT_TRUE(write("base", limits::kGiB).has_value());
    ASSERT_TRUE(io("base", "write -P 0x11 0 256k"));
    const Qcow2Layout layout = qcow2_layout(limits::kGiB, 1, 0).value();
    const UniqueFd fd(::open(file("top").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_TRUE(write_qcow2_frame(fd.get(), layout, Qcow2Backing{file("base"), DiskFormat::qcow2}, std::vector<std::int64_t>{0}).has_value());
    ASSERT_TRUE(write_qcow2_table(fd.get(), layout, 0, std::vector<std::int64_t>{0, kReadsAsZeros, 0}).has_value());
    EXPECT_TRUE(checks("top"));
    EXPECT_TRUE(io("top", "read -P 0x11 0 64k"));
    EXPECT_TRUE(io("top", "read -P 0 64k 64k"));
    EXPECT_TRUE(io("top", "read -P 0x11 128k 128k"));
}

TEST_F(Qcow2Writer, RefusesSizesAndBackingPathsThatTheFormatCannotHold) {
    EXPECT_EQ(write("a", 0).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(write("a", 64 * limits::kTiB + 1).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(write("a", 512, Qcow2Backing{"relative", DiskFormat::raw}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(write("a", 512, Qcow2Backing{"/" + std::string(1023, 'x'), DiskFormat::raw}).error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(write("a", 512, Qcow2Backing{"/" + std::string(1022, 'x'), DiskFormat::raw}).has_value());
}

}  // namespace
}  // namespace ramet::storage

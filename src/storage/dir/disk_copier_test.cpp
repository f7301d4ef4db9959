// Our reader of layers against QEMU's: random chains, cut off and mutated tables, and what must be left to qemu-img.
#include "storage/dir/disk_copier.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <array>
#include <chrono>
#include <random>
#include <thread>

#include "base/limits.hpp"
#include "storage/dir/dir_storage.hpp"
#include "storage/throttle.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {

namespace {

using storage::DirStorages;
using storage::Place;
using storage::Provisioning;

class DiskCopierTest : public testing::Test {
protected:
    std::string absolute(const std::string& path) { return primary_->root() + "/" + path; }
    Place place(const std::string& path, DiskFormat format = DiskFormat::qcow2) { return {primary_->root(), path, format}; }
    void io(const std::string& path, const std::vector<std::string>& commands) {
        std::vector<std::string> words{"qemu-io", "-f", "qcow2"};
        for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
        words.push_back(absolute(path));
        const CommandResult result = run_command(words);
        ASSERT_EQ(result.exit_status, 0) << result.output;
    }
    void create(const std::string& path, std::int64_t bytes, const std::string& options, const std::string& backing = {},
                const std::string& format = "qcow2") {
        std::vector<std::string> words{"qemu-img", "create", "-q", "-f", "qcow2", "-o", options};
        if (!backing.empty()) words.insert(words.end(), {"-b", absolute(backing), "-F", format});
        words.insert(words.end(), {absolute(path), std::to_string(bytes)});
        const CommandResult result = run_command(words);
        ASSERT_EQ(result.exit_status, 0) << result.output;
    }
    // The bytes as QEMU reads them.
    std::string contents(const std::string& path) {
        EXPECT_EQ(run_command({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", absolute(path), directory_.file("raw")}).exit_status, 0);
        return read_file(directory_.file("raw"));
    }
    Result<void> copy(const std::vector<Place>& chain, const std::string& path, std::int64_t bytes, Provisioning provisioning = Provisioning::thin) {
        return primary_->full_copy(chain, path, bytes, provisioning, {}, {});
    }
    void expect_equal_copies(const std::vector<Place>& chain, std::int64_t bytes) {
        const std::string wanted = contents(chain.front().path);
        for (const Provisioning provisioning : {Provisioning::thin, Provisioning::thick}) {
            const storage::CopyEstimate told = primary_->estimate_copy(chain, bytes, provisioning).value();
            EXPECT_EQ(told.tool_reason, "");
            const auto made = copy(chain, "copy.qcow2", bytes, provisioning);
            ASSERT_TRUE(made.has_value()) << made.error().message << " " << made.error().detail;
            EXPECT_TRUE(contents("copy.qcow2") == wanted);
            EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute("copy.qcow2")}).exit_status, 0);
            const std::int64_t occupied = primary_->allocated_bytes("copy.qcow2").value();
            EXPECT_NEAR(static_cast<double>(told.file_bytes), static_cast<double>(occupied), 0.02 * static_cast<double>(occupied) + 8192);
            ASSERT_TRUE(primary_->remove("copy.qcow2").has_value());
        }
    }

    TempDir directory_;
    std::shared_ptr<storage::PrimaryStorage> primary_ = DirStorages().open(directory_.file("primary")).value();
};

TEST_F(DiskCopierTest, CopiesRandomChainsAsQemuReadsThem) {
    std::mt19937 random(20240607);
    const auto below = [&](std::int64_t limit) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit)); };
    for (int round = 0; round < 6; ++round) {
        SCOPED_TRACE(round);
        const std::array<std::string, 5> clusters{"cluster_size=64k", "cluster_size=4k", "cluster_size=2M", "cluster_size=512",
                                                  "cluster_size=64k,compat=0.10"};
        std::vector<Place> chain;
        std::int64_t size = (2 + below(30)) * limits::kMiB + below(100) * 512;
        for (int depth = 0; depth <= round % 4; ++depth) {
            size += below(3) * limits::kMiB;  // an upper layer may be larger
            const std::string path = "layer-" + std::to_string(round) + "-" + std::to_string(depth) + ".qcow2";
            create(path, size, clusters.at(static_cast<std::size_t>(below(5))), chain.empty() ? "" : chain.front().path);
            std::vector<std::string> commands;
            for (int write = 0; write < 25; ++write) {
                const std::int64_t at = below(size / 512) * 512;
                const std::int64_t bytes = std::min(size - at, (1 + below(400)) * 512);
                const bool zeros = below(5) == 0;
                commands.push_back((zeros ? "write -z " : "write -P " + std::to_string(1 + below(254)) + " ") + std::to_string(at) + " " +
                                   std::to_string(bytes));
            }
            io(path, commands);
            chain.insert(chain.begin(), place(path));
        }
        expect_equal_copies(chain, size);
    }
}

TEST_F(DiskCopierTest, CopiesDisksOfSeveralTablesAndOverRawLayers) {
    std::string raw(3 * limits::kMiB + 1536, '\0');
    raw.replace(100'000, 5, "ramet");
    raw.replace(raw.size() - 3, 3, "end");
    write_file(absolute("base.raw"), raw);
    create("top.qcow2", 1300 * limits::kMiB, "cluster_size=64k", "base.raw", "raw");
    io("top.qcow2", {"write -P 7 511M 2M", "write -P 8 1299M 1M", "write -z 96k 64k"});
    const std::vector<Place> chain{place("top.qcow2"), place("base.raw", DiskFormat::raw)};
    ASSERT_TRUE(copy(chain, "copy.qcow2", 1300 * limits::kMiB).has_value());
    EXPECT_EQ(run_command({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", absolute("top.qcow2"), absolute("copy.qcow2")}).exit_status, 0);
    EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute("copy.qcow2")}).exit_status, 0);
}

TEST_F(DiskCopierTest, HolesOfAPreallocatedSourceAreNotCopied) {
    create("thick.qcow2", 64 * limits::kMiB, "preallocation=falloc");
    io("thick.qcow2", {"write -P 9 1M 1M"});
    ASSERT_TRUE(copy({place("thick.qcow2")}, "copy.qcow2", 64 * limits::kMiB).has_value());
    EXPECT_LT(primary_->allocated_bytes("copy.qcow2").value(), 4 * limits::kMiB);
    EXPECT_TRUE(contents("copy.qcow2") == contents("thick.qcow2"));
}

TEST_F(DiskCopierTest, LeavesWhatItDoesNotReadToQemuImgAndSaysWhy) {
    create("plain.qcow2", 8 * limits::kMiB, "cluster_size=64k");
    io("plain.qcow2", {"write -P 5 0 3M"});
    ASSERT_EQ(run_command({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", absolute("plain.qcow2"), absolute("packed.qcow2")}).exit_status,
              0);
    create("extended.qcow2", 8 * limits::kMiB, "extended_l2=on");
    io("extended.qcow2", {"write -P 6 1M 1M"});
    ASSERT_EQ(run_command({"cp", absolute("plain.qcow2"), absolute("snapshot.qcow2")}).exit_status, 0);
    ASSERT_EQ(run_command({"qemu-img", "snapshot", "-c", "one", absolute("snapshot.qcow2")}).exit_status, 0);
    const std::array<std::pair<const char*, const char*>, 3> cases{
        {{"packed.qcow2", "compressed clusters"}, {"extended.qcow2", "extended L2"}, {"snapshot.qcow2", "internal snapshots"}}};
    for (const auto& [path, why] : cases) {
        SCOPED_TRACE(path);
        const storage::CopyEstimate told = primary_->estimate_copy({place(path)}, 8 * limits::kMiB, Provisioning::thin).value();
        EXPECT_NE(told.tool_reason.find(why), std::string::npos) << told.tool_reason;
        const auto made = copy({place(path)}, "copy.qcow2", 8 * limits::kMiB);
        ASSERT_TRUE(made.has_value()) << made.error().detail;
        EXPECT_TRUE(contents("copy.qcow2") == contents(path));
        ASSERT_TRUE(primary_->remove("copy.qcow2").has_value());
    }
}

TEST_F(DiskCopierTest, TellsWhatACopyOfACompressedDiskOccupiesThoughItsClustersAreHalfEmpty) {
    create("plain.qcow2", 8 * limits::kMiB, "cluster_size=64k");
    std::vector<std::string> commands;
    for (int cluster = 0; cluster < 60; ++cluster) commands.push_back("write -P 5 " + std::to_string(cluster * 128 + 8) + "k 20k");
    io("plain.qcow2", commands);
    ASSERT_EQ(run_command({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", absolute("plain.qcow2"), absolute("packed.qcow2")}).exit_status,
              0);
    const storage::CopyEstimate told = primary_->estimate_copy({place("packed.qcow2")}, 8 * limits::kMiB, Provisioning::thin).value();
    ASSERT_TRUE(copy({place("packed.qcow2")}, "copy.qcow2", 8 * limits::kMiB).has_value());
    EXPECT_TRUE(contents("copy.qcow2") == contents("plain.qcow2"));
    const auto occupied = static_cast<double>(primary_->allocated_bytes("copy.qcow2").value());
    EXPECT_NEAR(static_cast<double>(told.file_bytes), occupied, 0.05 * occupied);
}

TEST_F(DiskCopierTest, ACutOffLayerIsAnErrorOrReadsAsZerosAndNothingIsLeft) {
    create("whole.qcow2", 16 * limits::kMiB, "cluster_size=64k");
    io("whole.qcow2", {"write -P 5 0 2M", "write -P 6 9M 1M"});
    const std::string whole = read_file(absolute("whole.qcow2"));
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += whole.size() / 40) {
        write_file(absolute("cut.qcow2"), whole.substr(0, bytes));
        const auto made = copy({place("cut.qcow2")}, "copy.qcow2", 16 * limits::kMiB);
        EXPECT_EQ(primary_->exists("copy.qcow2").value(), made.has_value());
        EXPECT_EQ(primary_->list()->size(), made.has_value() ? 3U : 2U);
        if (made.has_value()) { EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute("copy.qcow2")}).exit_status, 0); }
        ASSERT_TRUE(primary_->remove("copy.qcow2").has_value());
    }
}

TEST_F(DiskCopierTest, MutatedTablesNeitherCrashNorWriteMoreThanTheFileHolds) {
    create("whole.qcow2", 16 * limits::kMiB, "cluster_size=4k");
    io("whole.qcow2", {"write -P 5 0 300k", "write -P 6 9M 100k"});
    const std::string whole = read_file(absolute("whole.qcow2"));
    std::mt19937 random(7);
    int refused = 0;
    for (int round = 0; round < 300; ++round) {
        std::string mutated = whole;
        for (int change = 0; change < 1 + round % 8; ++change) {
            const std::size_t in_tables = random() % (round % 2 == 0 ? 256 : std::min<std::size_t>(mutated.size(), 64 * 1024));
            mutated[in_tables] = static_cast<char>(random());
        }
        write_file(absolute("mutated.qcow2"), mutated);
        const auto told = primary_->estimate_copy({place("mutated.qcow2")}, 64 * limits::kMiB, Provisioning::thin);
        if (!told.has_value() || !told->tool_reason.empty()) {
            ++refused;
            continue;
        }
        EXPECT_LE(told->data_bytes, 17 * 64 * 1024 * static_cast<std::int64_t>(whole.size()) / 4096);
        const auto made = copy({place("mutated.qcow2")}, "copy.qcow2", 64 * limits::kMiB);
        EXPECT_EQ(primary_->exists("copy.qcow2").value(), made.has_value());
        ASSERT_TRUE(primary_->remove("copy.qcow2").has_value());
    }
    EXPECT_GT(refused, 20);
    EXPECT_LT(refused, 300);
}

TEST_F(DiskCopierTest, ManyEntriesThatNameOneClusterAreRefused) {
    create("bomb.qcow2", 512 * limits::kMiB, "cluster_size=64k");
    io("bomb.qcow2", {"write -P 5 0 64k"});
    std::string bytes = read_file(absolute("bomb.qcow2"));
    const auto number = [&](std::size_t at) {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
        return value & 0x00fffffffffffe00;
    };
    const std::size_t l2 = number(number(40));
    const std::string entry = bytes.substr(l2, 8);
    for (std::size_t i = 0; i < 8192; ++i) bytes.replace(l2 + 8 * i, 8, entry);
    write_file(absolute("bomb.qcow2"), bytes);
    const auto told = primary_->estimate_copy({place("bomb.qcow2")}, 512 * limits::kMiB, Provisioning::thin);
    ASSERT_FALSE(told.has_value());
    EXPECT_NE(told.error().message.find("more clusters than the file has"), std::string::npos) << told.error().message;
}

TEST_F(DiskCopierTest, KeepsToTheBandwidthThatCopiesShareAndIsCancelledWhileItWaits) {
    create("base.qcow2", 16 * limits::kMiB, "cluster_size=64k");
    io("base.qcow2", {"write -P 5 0 8M"});
    storage::Throttle throttle(16 * limits::kMiB);
    const auto begun = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> copies;
        for (const char* path : {"a.qcow2", "b.qcow2"}) {
            copies.emplace_back([this, path, &throttle] {
                EXPECT_TRUE(primary_->full_copy({place("base.qcow2")}, path, 16 * limits::kMiB, Provisioning::thin, {}, {}, &throttle).has_value());
            });
        }
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    EXPECT_GE(seconds, 14.0 / 16.0 - 0.05);  // 16 MiB in all; the last piece is granted before its time is over
    storage::Throttle slow(1);
    std::stop_source stop;
    const std::jthread canceller([&stop] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        stop.request_stop();
    });
    const auto asked = std::chrono::steady_clock::now();
    const auto copied = primary_->full_copy({place("base.qcow2")}, "c.qcow2", 16 * limits::kMiB, Provisioning::thin, {}, stop.get_token(), &slow);
    EXPECT_EQ(copied.error().code, ErrorCode::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
    EXPECT_FALSE(primary_->exists("c.qcow2").value());
}

}  // namespace

}  // namespace ramet::test

#include "storage/dir/merge_layers.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/limits.hpp"
#include "storage/dir/dir_storage.hpp"
#include "support/storage_files.hpp"

namespace ramet {
namespace {

using test::run_command;

class MergeLayers : public testing::Test {
protected:
    void SetUp() override {
        storage_ = storages_.open(directory_.file("primary")).value();
        ASSERT_TRUE(storage_->create_empty("0", kSize, storage::Provisioning::thin).has_value());
    }
    storage::Place place(const std::string& path) { return {storage_->root(), path, DiskFormat::qcow2}; }
    std::string file(const std::string& path) { return storage_->root() + "/" + path; }
    void write(const std::string& path, const std::vector<std::string>& commands) {
        std::vector<std::string> arguments{"qemu-io", "-f", "qcow2"};
        for (const std::string& command : commands) arguments.insert(arguments.end(), {"-c", command});
        arguments.push_back(file(path));
        const auto result = run_command(arguments);
        ASSERT_EQ(result.exit_status, 0) << result.output;
    }
    void overlay(const std::string& path, const std::string& below, const std::vector<std::string>& commands) {
        ASSERT_TRUE(storage_->create_overlay(path, place(below), kSize).has_value());
        write(path, commands);
    }
    Result<void> merge(const std::vector<std::string>& upper, const std::string& base, const std::string& path) {
        storage::MergeSpec spec{{}, place(base), path, kSize, 0};
        for (const std::string& layer : upper) spec.upper_top_first.push_back(place(layer));
        return storage_->merge_layers(spec, {}, {});
    }
    // A layer that a tool made is said to stand on the base.
    void put_over_base(const std::string& path) {
        const auto named = run_command({"qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", file("0"), file(path)});
        ASSERT_EQ(named.exit_status, 0) << named.output;
    }
    void expect_same(const std::string& a, const std::string& b) {
        const auto compared = run_command({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", file(a), file(b)});
        EXPECT_EQ(compared.exit_status, 0) << compared.output;
        const auto checked = run_command({"qemu-img", "check", "-f", "qcow2", file(b)});
        EXPECT_EQ(checked.exit_status, 0) << checked.output;
    }

    static constexpr std::int64_t kSize = 3 * limits::kGiB / 2 + 512;  // three regions, the last one cut off inside a cluster
    test::TempDir directory_;
    storage::DirStorages storages_;
    std::shared_ptr<storage::PrimaryStorage> storage_;
};

TEST_F(MergeLayers, TheMergedLayerReadsAsTheChainDidAndStandsOnItsBase) {
    write("0", {"write -P 1 0 8M", "write -P 1 512M 8M", "write -P 1 1535M 1M"});
    overlay("1", "0", {"write -P 2 1M 1M", "write -P 2 600M 3M", "write -P 2 1G 64k"});
    overlay("2", "1", {"write -P 3 1536k 1M", "write -z 4M 1M", "write -P 3 600M 4k", "discard 602M 64k"});
    overlay("3", "2", {"write -P 4 4608k 64k", "write -P 4 1536M 512", "write -z -u 1G 64k"});
    const Result<void> merged = merge({"3", "2", "1"}, "0", "m/merged");
    ASSERT_TRUE(merged.has_value()) << merged.error().message << " | " << merged.error().detail;
    expect_same("3", "m/merged");
    const auto info = run_command({"qemu-img", "info", "--output=json", "-f", "qcow2", file("m/merged")});
    EXPECT_NE(info.output.find(file("0")), std::string::npos) << info.output;
    EXPECT_EQ(info.output.find("\"corrupt\": true"), std::string::npos);
}

TEST_F(MergeLayers, TheUpperLayersOfAChainAreMergedOverOneInTheMiddle) {
    write("0", {"write -P 1 0 1M"});
    overlay("1", "0", {"write -P 2 64k 64k"});
    overlay("2", "1", {"write -P 3 128k 64k"});
    overlay("3", "2", {"write -P 4 192k 64k"});
    ASSERT_TRUE(merge({"3", "2"}, "1", "merged").has_value());
    expect_same("3", "merged");
    EXPECT_LT(storage_->allocated_bytes("merged").value(), 512 * limits::kKiB);
}

TEST_F(MergeLayers, ClustersThatAreHolesOfTheirFileStillHideTheBase) {
    write("0", {"write -P 1 0 1M", "write -P 1 1000M 1M"});
    const auto prepared = run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", file("1.full"), "1100M"});
    ASSERT_EQ(prepared.exit_status, 0) << prepared.output;
    put_over_base("1.full");
    write("1.full", {"write -P 2 64k 64k"});
    overlay("2", "1.full", {"write -P 3 1050M 64k"});  // larger than the layer below it, beyond whose end nothing of the base shows
    write("0", {"write -P 1 1200M 1M"});
    ASSERT_TRUE(merge({"2", "1.full"}, "0", "merged").has_value());
    expect_same("2", "merged");
    EXPECT_LT(storage_->allocated_bytes("merged").value(), 512 * limits::kKiB);
}

TEST_F(MergeLayers, ThreadsAndPiecesOfALargeLayerComeTogether) {
    write("0", {"write -P 1 0 64M"});
    std::vector<std::string> commands;
    for (int i = 0; i < 60; ++i) commands.push_back("write -P " + std::to_string(i + 2) + " " + std::to_string(i * 832) + "k 640k");
    overlay("1", "0", commands);
    overlay("2", "1", {"write -P 99 3M 9M", "write -z 20M 1M"});
    ASSERT_TRUE(merge({"2", "1"}, "0", "merged").has_value());
    expect_same("2", "merged");
}

TEST_F(MergeLayers, RefusesCompressedLayersAndForeignClusterSizesAndLeavesNothing) {
    write("0", {"write -P 1 0 8M"});
    struct Case {
        std::vector<std::string> options;
        std::string why;
    };
    for (const auto& [options, why] :
         {Case{{"-c"}, "compressed"}, Case{{"-o", "cluster_size=4k"}, "another size"}, Case{{"-o", "extended_l2=on"}, "extended L2"}}) {
        std::vector<std::string> arguments{"qemu-img", "convert", "-f", "qcow2", "-O", "qcow2"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {file("0"), file("foreign")});
        ASSERT_EQ(run_command(arguments).exit_status, 0);
        put_over_base("foreign");
        const Result<void> merged = merge({"foreign"}, "0", "merged");
        ASSERT_FALSE(merged.has_value());
        EXPECT_EQ(merged.error().code, ErrorCode::operation_failed);
        EXPECT_NE(merged.error().message.find(why), std::string::npos) << merged.error().message;
        EXPECT_FALSE(storage_->exists("merged").value());
        std::filesystem::remove(file("foreign"));
    }
}

TEST_F(MergeLayers, ATableThatPointsOutsideTheFileIsRefused) {
    overlay("1", "0", {"write -P 2 0 64k"});
    for (const std::int64_t where : {3 * 65536, 4 * 65536}) {  // the L1 table's entry, then the L2 table's
        std::fstream stream(file("1"), std::ios::in | std::ios::out | std::ios::binary);
        std::string before(8, '\0');
        stream.seekg(where).read(before.data(), 8);
        stream.seekp(where).write("\x80\x00\x7f\x00\x00\x00\x00\x00", 8).flush();
        const Result<void> merged = merge({"1"}, "0", "merged");
        EXPECT_FALSE(merged.has_value()) << where;
        EXPECT_FALSE(storage_->exists("merged").value());
        stream.seekp(where).write(before.data(), 8).flush();
    }
    EXPECT_TRUE(merge({"1"}, "0", "merged").has_value());
}

}  // namespace
}  // namespace ramet

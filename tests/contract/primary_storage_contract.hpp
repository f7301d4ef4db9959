// What every primary storage promises, fake or real. A driver's test instantiates the suite with its own subjects:
//   INSTANTIATE_TEST_SUITE_P(Dir, PrimaryStorageContract, testing::Values(StorageSubject{...}), subject_name);
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "storage/primary_storage.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {

// A storage ready for use. Whatever it stands on goes away with it. A null storage: this machine cannot have it, `why` says it.
struct StorageUnderTest {
    virtual ~StorageUnderTest() = default;
    std::shared_ptr<storage::PrimaryStorage> storage;
    std::string why;
};

struct StorageSubject {
    std::string name;
    std::function<std::unique_ptr<StorageUnderTest>()> make;
};

inline std::string subject_name(const testing::TestParamInfo<StorageSubject>& info) { return info.param.name; }
inline void PrintTo(const StorageSubject& subject, std::ostream* stream) { *stream << subject.name; }

class PrimaryStorageContract : public testing::TestWithParam<StorageSubject> {
protected:
    void SetUp() override {
        under_test_ = GetParam().make();
        if (under_test_->storage == nullptr) GTEST_SKIP() << under_test_->why;
    }

    storage::PrimaryStorage& primary() { return *under_test_->storage; }
    storage::Place place(const std::string& path, DiskFormat format = DiskFormat::qcow2) { return {primary().root(), path, format}; }
    bool there(const std::string& path) { return primary().exists(path).value(); }
    bool nothing_left() { return primary().list().value().empty(); }

    static constexpr std::int64_t kSize = 16 * limits::kMiB;
    TempDir outside_;
    std::unique_ptr<StorageUnderTest> under_test_;
};

TEST_P(PrimaryStorageContract, MakesAnEmptyDiskAndARepeatIsSuccess) {
    EXPECT_FALSE(there("vol/a/a.qcow2"));
    ASSERT_TRUE(primary().create_empty("vol/a/a.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_TRUE(there("vol/a/a.qcow2"));
    EXPECT_TRUE(primary().create_empty("vol/a/a.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_EQ(primary().list()->size(), 1U);
}

TEST_P(PrimaryStorageContract, AThickDiskOccupiesItsSizeAndAThinOneDoesNot) {
    ASSERT_TRUE(primary().create_empty("thin.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_empty("thick.qcow2", kSize, storage::Provisioning::thick).has_value());
    EXPECT_LE(primary().allocated_bytes("thin.qcow2").value(), 32 * limits::kKiB);
    EXPECT_GE(primary().allocated_bytes("thick.qcow2").value(), kSize);
}

TEST_P(PrimaryStorageContract, AnOverlayTakesAtMost32KiBAndARepeatIsSuccess) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("vol/o.qcow2", place("base.qcow2"), kSize).has_value());
    EXPECT_TRUE(primary().create_overlay("vol/o.qcow2", place("base.qcow2"), kSize).has_value());
    EXPECT_LE(primary().allocated_bytes("vol/o.qcow2").value(), 32 * limits::kKiB);
    EXPECT_GT(primary().allocated_bytes("vol/o.qcow2").value(), 0);
}

TEST_P(PrimaryStorageContract, AnOverlayThatStandsOnSomethingElseIsReplaced) {
    ASSERT_TRUE(primary().create_empty("one.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_empty("other.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("vol/o.qcow2", place("one.qcow2"), kSize).has_value());
    EXPECT_TRUE(primary().create_overlay("vol/o.qcow2", place("other.qcow2"), kSize).has_value());
    ASSERT_TRUE(primary().seal("vol/o.qcow2").has_value());
    EXPECT_TRUE(primary().set_backing("vol/o.qcow2", place("other.qcow2")).has_value()) << "it names that one already";
    EXPECT_FALSE(primary().set_backing("vol/o.qcow2", place("one.qcow2")).has_value());
}

TEST_P(PrimaryStorageContract, AnOverlayNeedsTheLayerItBuildsOn) {
    EXPECT_FALSE(primary().create_overlay("vol/o.qcow2", place("absent.qcow2"), kSize).has_value());
    EXPECT_TRUE(nothing_left());
}

TEST_P(PrimaryStorageContract, AnOverlayCanBeMadeToNameAnotherLayerOrNoneAndARepeatIsSuccess) {
    ASSERT_TRUE(primary().create_empty("a.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("b.qcow2", place("a.qcow2"), kSize).has_value());
    ASSERT_TRUE(primary().create_overlay("c.qcow2", place("b.qcow2"), kSize).has_value());
    for (const std::optional<storage::Place>& backing :
         {std::optional(place("a.qcow2")), std::optional<storage::Place>(), std::optional(place("b.qcow2"))}) {
        for (int i = 0; i < 2; ++i) {
            const Result<void> named = primary().set_backing("c.qcow2", backing);
            EXPECT_TRUE(named.has_value()) << named.error().message << " | " << named.error().detail;
        }
    }
    ASSERT_TRUE(primary().seal("c.qcow2").has_value());
    EXPECT_TRUE(primary().set_backing("c.qcow2", place("b.qcow2")).has_value()) << "a sealed one that names it already";
    EXPECT_FALSE(primary().set_backing("absent.qcow2", place("a.qcow2")).has_value());
    EXPECT_FALSE(primary().set_backing("../c.qcow2", place("a.qcow2")).has_value());
}

TEST_P(PrimaryStorageContract, RefusesPathsThatLeaveTheRoot) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    for (const char* path : {"", "/etc/x", "../x", "a/../../x", "a/./x", "a//x", "a/", "."}) {
        const auto refused = [path](const auto& result) {
            return !result.has_value() && result.error().code == ErrorCode::invalid_argument ? testing::AssertionSuccess()
                                                                                             : testing::AssertionFailure() << path;
        };
        EXPECT_TRUE(refused(primary().create_empty(path, kSize, storage::Provisioning::thin)));
        EXPECT_TRUE(refused(primary().create_overlay(path, place("base.qcow2"), kSize)));
        EXPECT_TRUE(refused(primary().create_overlay("o.qcow2", place(path), kSize)));
        EXPECT_TRUE(refused(primary().full_copy({place("base.qcow2")}, path, kSize, storage::Provisioning::thin, {}, {})));
        EXPECT_TRUE(refused(primary().reflink_copy({place("base.qcow2")}, path, kSize, {}, {})));
        EXPECT_TRUE(refused(primary().estimate_copy({place(path)}, kSize, storage::Provisioning::thin)));
        EXPECT_TRUE(refused(primary().estimate_reflink({place(path)}, kSize)));
        EXPECT_TRUE(refused(primary().merge_layers({{place("base.qcow2")}, place("base.qcow2"), path, kSize, 0}, {}, {})));
        EXPECT_TRUE(refused(primary().merge_layers({{place(path)}, place("base.qcow2"), "m.qcow2", kSize, 0}, {}, {})));
        EXPECT_TRUE(refused(primary().merge_layers({{place("base.qcow2")}, place(path), "m.qcow2", kSize, 0}, {}, {})));
        EXPECT_TRUE(refused(primary().import_file("/etc/hostname", path, {}, {})));
        EXPECT_TRUE(refused(primary().seal(path)));
        EXPECT_TRUE(refused(primary().unseal(path)));
        EXPECT_TRUE(refused(primary().remove(path)));
        EXPECT_TRUE(refused(primary().exists(path)));
        EXPECT_TRUE(refused(primary().allocated_bytes(path)));
    }
}

TEST_P(PrimaryStorageContract, RefusesNamesOfUnfinishedFilesAndImpossibleSizes) {
    EXPECT_EQ(primary().create_empty("a.partial", kSize, storage::Provisioning::thin).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(primary().create_empty("a", 0, storage::Provisioning::thin).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(primary().create_empty("a", -1, storage::Provisioning::thick).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(primary().create_empty("a", 64 * limits::kTiB + 1, storage::Provisioning::thin).error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(nothing_left());
}

TEST_P(PrimaryStorageContract, RemovesAFileAndRemovingItAgainIsSuccess) {
    ASSERT_TRUE(primary().create_empty("a/b/c.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_empty("a/d.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_TRUE(primary().remove("a/b/c.qcow2").has_value());
    EXPECT_TRUE(primary().remove("a/b/c.qcow2").has_value());
    EXPECT_TRUE(primary().remove("never/was/here").has_value());
    EXPECT_FALSE(there("a/b/c.qcow2"));
    EXPECT_TRUE(there("a/d.qcow2"));
}

TEST_P(PrimaryStorageContract, ASealedFileCanBeSealedAgainUnsealedAndRemoved) {
    ASSERT_TRUE(primary().create_empty("a.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_TRUE(primary().seal("a.qcow2").has_value());
    EXPECT_TRUE(primary().seal("a.qcow2").has_value());
    EXPECT_TRUE(primary().unseal("a.qcow2").has_value());
    EXPECT_TRUE(primary().unseal("a.qcow2").has_value());
    EXPECT_TRUE(primary().seal("a.qcow2").has_value());
    EXPECT_TRUE(primary().remove("a.qcow2").has_value());
    EXPECT_TRUE(nothing_left());
    EXPECT_FALSE(primary().seal("a.qcow2").has_value());
    EXPECT_FALSE(primary().unseal("a.qcow2").has_value());
}

TEST_P(PrimaryStorageContract, CopiesAChainReportsProgressAndARepeatIsSuccess) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("base.qcow2"), kSize).has_value());
    storage::CopyProgress last{0, 0};
    const auto observer = [&last](storage::CopyProgress progress) { last = progress; };
    ASSERT_TRUE(
        primary().full_copy({place("top.qcow2"), place("base.qcow2")}, "c/copy.qcow2", kSize, storage::Provisioning::thin, observer, {}).has_value());
    EXPECT_GT(last.total_bytes, 0);
    EXPECT_EQ(last.done_bytes, last.total_bytes);
    EXPECT_TRUE(there("c/copy.qcow2"));
    EXPECT_TRUE(
        primary().full_copy({place("top.qcow2"), place("base.qcow2")}, "c/copy.qcow2", kSize, storage::Provisioning::thin, observer, {}).has_value());
}

TEST_P(PrimaryStorageContract, ACopyMayBeLargerThanItsSourceAndNotSmaller) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_TRUE(primary().full_copy({place("base.qcow2")}, "large.qcow2", 2 * kSize, storage::Provisioning::thin, {}, {}).has_value());
    EXPECT_EQ(primary().full_copy({place("base.qcow2")}, "small.qcow2", kSize / 2, storage::Provisioning::thin, {}, {}).error().code,
              ErrorCode::invalid_argument);
    EXPECT_FALSE(there("small.qcow2"));
}

TEST_P(PrimaryStorageContract, TellsBeforehandWhatACopyWillOccupy) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thick).has_value());
    for (const auto provisioning : {storage::Provisioning::thin, storage::Provisioning::thick}) {
        const std::string path = provisioning == storage::Provisioning::thin ? "thin.qcow2" : "thick.qcow2";
        const storage::CopyEstimate told = primary().estimate_copy({place("base.qcow2")}, kSize, provisioning).value();
        ASSERT_TRUE(primary().full_copy({place("base.qcow2")}, path, kSize, provisioning, {}, {}).has_value());
        const std::int64_t occupied = primary().allocated_bytes(path).value();
        EXPECT_NEAR(static_cast<double>(told.file_bytes), static_cast<double>(occupied), 0.05 * static_cast<double>(occupied)) << path;
    }
    EXPECT_EQ(primary().list()->size(), 3U);
    EXPECT_FALSE(primary().estimate_copy({place("absent.qcow2")}, kSize, storage::Provisioning::thin).has_value());
    EXPECT_EQ(primary().estimate_copy({place("base.qcow2")}, kSize / 2, storage::Provisioning::thin).error().code, ErrorCode::invalid_argument);
}

TEST_P(PrimaryStorageContract, SharesBlocksOrSaysWhyItCannotAndNeverCopiesInstead) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("base.qcow2"), kSize).has_value());
    const std::vector<storage::Place> chain{place("top.qcow2"), place("base.qcow2")};
    const auto told = primary().estimate_reflink(chain, kSize);
    storage::CopyProgress last{0, 0};
    const auto made = primary().reflink_copy(chain, "r/copy.qcow2", kSize, [&last](storage::CopyProgress progress) { last = progress; }, {});
    ASSERT_EQ(told.has_value(), made.has_value());
    EXPECT_EQ(there("r/copy.qcow2"), made.has_value());
    if (!made.has_value()) {
        EXPECT_EQ(told.error().code, ErrorCode::unsupported);
        EXPECT_EQ(made.error().code, ErrorCode::unsupported);
        EXPECT_FALSE(made.error().message.empty());
        return;
    }
    EXPECT_EQ(last.done_bytes, last.total_bytes);
    EXPECT_TRUE(primary().reflink_copy(chain, "r/copy.qcow2", kSize, {}, {}).has_value());
    EXPECT_EQ(primary().list()->size(), 3U);
}

TEST_P(PrimaryStorageContract, KnowsHowFastItCopiesAndLeavesNothingOfTheMeasurement) {
    const auto speed = primary().copy_speed();
    ASSERT_TRUE(speed.has_value());
    EXPECT_GT(speed->bytes_per_second, 0);
    EXPECT_FALSE(speed->basis.empty());
    EXPECT_TRUE(nothing_left());
}

TEST_P(PrimaryStorageContract, ACancelledCopyLeavesNothing) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    write_file(outside_.file("image"), std::string(1 << 20, 'x'));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(primary().full_copy({place("base.qcow2")}, "d/copy.qcow2", kSize, storage::Provisioning::thin, {}, stop.get_token()).error().code,
              ErrorCode::cancelled);
    EXPECT_EQ(primary().import_file(outside_.file("image"), "e/image", {}, stop.get_token()).error().code, ErrorCode::cancelled);
    EXPECT_EQ(primary().list()->size(), 1U);
}

TEST_P(PrimaryStorageContract, MergesLayersReportsProgressAndARepeatIsSuccess) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("middle.qcow2", place("base.qcow2"), kSize).has_value());
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("middle.qcow2"), kSize).has_value());
    const storage::MergeSpec merge{{place("top.qcow2"), place("middle.qcow2")}, place("base.qcow2"), "m/merged.qcow2", kSize, 0};
    storage::CopyProgress last{0, 0};
    for (int again = 0; again < 2; ++again) {
        const Result<void> merged = primary().merge_layers(merge, [&last](storage::CopyProgress progress) { last = progress; }, {});
        ASSERT_TRUE(merged.has_value()) << merged.error().message << " | " << merged.error().detail;
    }
    EXPECT_EQ(last.done_bytes, last.total_bytes);
    EXPECT_GT(last.total_bytes, 0);
    EXPECT_TRUE(there("m/merged.qcow2"));
    EXPECT_TRUE(there("middle.qcow2"));
    EXPECT_FALSE(primary().merge_layers({{place("absent.qcow2")}, place("base.qcow2"), "n.qcow2", kSize, 0}, {}, {}).has_value());
    EXPECT_EQ(primary().list()->size(), 4U);
}

TEST_P(PrimaryStorageContract, ACancelledMergeLeavesNothing) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("base.qcow2"), kSize).has_value());
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(primary().merge_layers({{place("top.qcow2")}, place("base.qcow2"), "m.qcow2", kSize, 0}, {}, stop.get_token()).error().code,
              ErrorCode::cancelled);
    EXPECT_EQ(primary().list()->size(), 2U);
}

TEST_P(PrimaryStorageContract, BringsAFileInAndARepeatIsSuccess) {
    write_file(outside_.file("image"), std::string(3 << 20, 'x'));
    storage::CopyProgress last{0, 0};
    const auto observer = [&last](storage::CopyProgress progress) { last = progress; };
    ASSERT_TRUE(primary().import_file(outside_.file("image"), "cache/image", observer, {}).has_value());
    EXPECT_EQ(last.done_bytes, 3 << 20);
    EXPECT_EQ(last.total_bytes, 3 << 20);
    EXPECT_TRUE(there("cache/image"));
    EXPECT_TRUE(primary().import_file(outside_.file("image"), "cache/image", observer, {}).has_value());
    EXPECT_FALSE(primary().import_file(outside_.file("absent"), "cache/absent", observer, {}).has_value());
    EXPECT_EQ(primary().list()->size(), 1U);
}

TEST_P(PrimaryStorageContract, MovesAFileSealedOrNotAndARepeatIsSuccess) {
    ASSERT_TRUE(primary().create_empty("a/layer.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().seal("a/layer.qcow2").has_value());
    ASSERT_TRUE(primary().move("a/layer.qcow2", ".quarantine/x/layer.qcow2").has_value());
    EXPECT_FALSE(there("a/layer.qcow2"));
    EXPECT_TRUE(there(".quarantine/x/layer.qcow2"));
    EXPECT_TRUE(primary().move("a/layer.qcow2", ".quarantine/x/layer.qcow2").has_value());
    ASSERT_TRUE(primary().create_empty("b.qcow2", kSize, storage::Provisioning::thin).has_value());
    EXPECT_FALSE(primary().move("b.qcow2", ".quarantine/x/layer.qcow2").has_value());  // nothing is overwritten
    EXPECT_TRUE(there("b.qcow2"));
    EXPECT_EQ(primary().move("absent", "elsewhere").error().code, ErrorCode::not_found);
    EXPECT_FALSE(primary().move("b.qcow2", "../b.qcow2").has_value());
    ASSERT_TRUE(primary().remove(".quarantine/x/layer.qcow2").has_value());
    EXPECT_FALSE(there(".quarantine/x/layer.qcow2"));
}

TEST_P(PrimaryStorageContract, ListsEveryFileAndAnAbsentFileOccupiesNothing) {
    ASSERT_TRUE(primary().create_empty("a.qcow2", kSize, storage::Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_empty("b/c/d.qcow2", kSize, storage::Provisioning::thin).has_value());
    std::vector<std::string> paths;
    const std::vector<storage::StoredFile> files = primary().list().value();
    for (const storage::StoredFile& file : files) {
        paths.push_back(file.path);
        EXPECT_FALSE(file.partial);
        EXPECT_EQ(file.allocated_bytes, primary().allocated_bytes(file.path).value());
    }
    std::sort(paths.begin(), paths.end());
    EXPECT_EQ(paths, (std::vector<std::string>{"a.qcow2", "b/c/d.qcow2"}));
    EXPECT_EQ(primary().allocated_bytes("absent/file").value(), 0);
}

TEST_P(PrimaryStorageContract, CapacityIsPlausible) {
    const storage::Capacity capacity = primary().capacity().value();
    EXPECT_GT(capacity.total_bytes, 0);
    EXPECT_GE(capacity.available_bytes, 0);
    EXPECT_LE(capacity.available_bytes, capacity.total_bytes);
}

}  // namespace ramet::test

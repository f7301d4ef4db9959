#include "clone/choose.hpp"

#include <gtest/gtest.h>

namespace ramet::clone {
namespace {

using lifecycle::LayerMode;

class Choose : public testing::Test {
protected:
    Choose() {
        wish.volume = VolumeId::random();
        wish.source_storage = PrimaryStorageId::random();
    }
    Result<PlannedVolume> choose() {
        return choose_strategy(wish, {[this]() -> Result<storage::CopyEstimate> {
                                          if (!can_reflink) return fail(ErrorCode::unsupported, "this file system cannot");
                                          return storage::CopyEstimate{1000, 5000, extents, {}};
                                      },
                                      [this]() -> Result<storage::CopyEstimate> { return storage::CopyEstimate{6000, 5000, extents, tool_reason}; }});
    }
    void expect_refused(std::initializer_list<std::string_view> words) {
        const auto refused = choose();
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
        for (const std::string_view word : words) EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
    }
    void elsewhere() { wish.wanted_storage = PrimaryStorageId::random(); }

    CopyWish wish;
    bool can_reflink = false;
    std::int64_t extents = 10;
    std::string tool_reason;
};

TEST_F(Choose, AutoLinksWhereTheFileSystemCannotShareBlocksAndSaysSo) {
    const auto planned = choose();
    EXPECT_EQ(planned->mode, LayerMode::overlay);
    EXPECT_EQ(strategy_of(*planned), "linked");
    EXPECT_EQ(planned->file_bytes, storage::kOverlayFileBytes);
    EXPECT_NE(planned->reason.find("this file system cannot"), std::string::npos);
}

TEST_F(Choose, AutoLinksWhenTheLayersCannotBeLookedInto) {
    EXPECT_EQ(choose_strategy(wish, {[] { return Result<storage::CopyEstimate>(fail(ErrorCode::operation_failed, "damaged")); }, {}})->mode,
              LayerMode::overlay);
}

TEST_F(Choose, AutoSharesBlocksWhileThatIsCheapForAllClonesTogether) {
    can_reflink = true;
    EXPECT_EQ(choose()->mode, LayerMode::reflink);
    EXPECT_EQ(choose()->file_bytes, 1000);
    wish.clones = kReflinkExtentsMax / extents + 1;
    EXPECT_EQ(choose()->mode, LayerMode::overlay);
    EXPECT_NE(choose()->reason.find("extents"), std::string::npos);
}

TEST_F(Choose, AutoCopiesToAnotherStorageAndWithThickProvisioning) {
    elsewhere();
    EXPECT_EQ(choose()->mode, LayerMode::copy);
    EXPECT_EQ(choose()->storage, *wish.wanted_storage);
    wish.wanted_storage = wish.source_storage;
    EXPECT_EQ(choose()->mode, LayerMode::overlay);
    wish.thick = true;
    can_reflink = true;
    EXPECT_EQ(choose()->mode, LayerMode::copy);
    EXPECT_TRUE(choose()->thick);
}

TEST_F(Choose, AnExplicitChoiceThatCannotBeHadIsAnErrorThatNamesFieldAndReason) {
    wish.copy = "reflink";
    expect_refused({"copy: 'reflink'", "this file system cannot"});
    wish.thick = can_reflink = true;
    expect_refused({"copy: 'reflink'", "rootVolumeSystemTags"});
    wish.copy = "linked";
    expect_refused({"copy: 'linked'", "rootVolumeSystemTags"});
    wish.thick = false;
    wish.type = VolumeType::data;
    elsewhere();
    expect_refused({"copy: 'linked'", "data volume", "primaryStorageUuidForDataVolume"});
}

TEST_F(Choose, AnExplicitChoiceIsTakenWhateverItCosts) {
    can_reflink = true;
    extents = 1'000'000;
    wish.copy = "reflink";
    EXPECT_EQ(choose()->mode, LayerMode::reflink);
    wish.copy = "linked";
    EXPECT_EQ(choose()->mode, LayerMode::overlay);
    wish.copy = "full";
    EXPECT_EQ(choose()->mode, LayerMode::copy);
}

TEST_F(Choose, TheReasonSaysThatQemuImgMakesTheCopyAndWhy) {
    wish.copy = "full";
    tool_reason = "compressed clusters";
    EXPECT_NE(choose()->reason.find("qemu-img makes the copy, for the disk has compressed clusters"), std::string::npos);
}

}  // namespace
}  // namespace ramet::clone

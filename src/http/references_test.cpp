#include "http/references.hpp"

#include <gtest/gtest.h>

#include "http/edge_test_world.hpp"

namespace ramet::http::edge_test {

// Every rule that was asked, as "operate BoxVO field=uuid".
std::vector<std::string> asked(const api::MessageInfo& message, void* request) {
    std::vector<std::string> out;
    const auto note = [&](const char* what) {
        return [&out, what](std::string_view uuid, std::string_view vo_type, std::string_view field) -> Result<void> {
            out.push_back(std::string(what) + " " + std::string(vo_type) + " " + std::string(field) + "=" + std::string(uuid));
            return {};
        };
    };
    EXPECT_TRUE(check_references(message, request, note("operate"), note("refer")).has_value());
    return out;
}

TEST(References, ThePathsResourceIsOperatedOnAndOthersAreReferredTo) {
    FillBox fill;
    fill.box_uuid = VmId::trusted("1");
    EXPECT_EQ(asked(api::message<FillBox>(), &fill), std::vector<std::string>{"operate BoxVO boxUuid=1"});
    fill.near_uuid = VmId::trusted("2");
    EXPECT_EQ(asked(api::message<FillBox>(), &fill), (std::vector<std::string>{"operate BoxVO boxUuid=1", "refer BoxVO nearUuid=2"}));
}

TEST(References, AReadOnlyRefers) {
    PeekBox peek{VmId::trusted("1")};
    EXPECT_EQ(asked(api::message<PeekBox>(), &peek), std::vector<std::string>{"refer BoxVO uuid=1"});
}

TEST(References, TheFirstFailureEndsTheWalk) {
    LinkBox link{VmId::trusted("1"), VmId::trusted("2")};
    int calls = 0;
    const ReferenceRule refuse = [&](std::string_view, std::string_view, std::string_view) -> Result<void> {
        ++calls;
        return fail(ErrorCode::not_owner, "no");
    };
    const Result<void> checked = check_references(api::message<LinkBox>(), &link, refuse, refuse);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().code, ErrorCode::not_owner);
    EXPECT_EQ(calls, 1);
}

}  // namespace ramet::http::edge_test

#include "http_reply.hpp"

#include <gtest/gtest.h>

namespace ramet::cli {

TEST(HttpReply, TellsAPlainRefusalInOneLineWithoutItsStatus) {
    EXPECT_EQ(error_of({400, "the body is empty\n"}).message, "the server refuses the call: the body is empty");
    EXPECT_EQ(error_of({404, "there is no /nowhere\r\n\n"}).message, "the server answered HTTP 404: there is no /nowhere");
    EXPECT_EQ(error_of({500, " \n"}).message, "the server answered HTTP 500 without a word; is --server right?");
}

TEST(HttpReply, TellsAnErrorOfTheServerWithItsCode) {
    const Error error = error_of({503, R"({"error":{"code":"SYS.1007","description":"bad","details":"'names' is missing"}})"});
    EXPECT_EQ(error.message, "error SYS.1007: 'names' is missing");
    EXPECT_EQ(error_of({503, R"({"error":{"code":"ID.1001","description":"expired"}})"}).code, ErrorCode::session_invalid);
}

TEST(HttpReply, ReadsATreeAsDeepAsALineOfSnapshotsMayBeAndNothingWithoutEnd) {
    const auto nested = [](int levels) {
        std::string text;
        for (int level = 0; level < levels; ++level) text += R"({"children":[)";
        for (int level = 0; level < levels; ++level) text += "]}";
        return text;
    };
    EXPECT_TRUE(object_of({200, nested(130)}).has_value());
    EXPECT_FALSE(object_of({200, nested(100'000)}).has_value());
}

TEST(HttpReply, TellsAServerThatIsAwayFromAJobThatFailed) {
    EXPECT_TRUE(is_nobody_there({502, "<html>Bad Gateway</html>"}));
    EXPECT_TRUE(is_nobody_there({503, "too many connections\n"}));
    EXPECT_FALSE(is_nobody_there({503, R"({"error":{"code":"SYS.1006"}})"}));
    EXPECT_FALSE(is_nobody_there({400, "no\n"}));
}

}  // namespace ramet::cli

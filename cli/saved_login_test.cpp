#include "saved_login.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace ramet::cli {
namespace {

class SavedLogin : public testing::Test {
protected:
    void SetUp() override {
        ::setenv("HOME", home_.c_str(), 1);
        ::unsetenv("XDG_CONFIG_HOME");
    }
    void TearDown() override { std::filesystem::remove_all(home_); }
    std::string home_ = testing::TempDir() + "ramet-saved-login";
};

}  // namespace

TEST_F(SavedLogin, IsFoundAgainForItsServerAndAccountAlone) {
    ASSERT_TRUE(save_session("http://a", "admin", "one").has_value());
    ASSERT_TRUE(save_session("http://b", "admin", "two").has_value());
    EXPECT_EQ(saved_session("http://a", "admin"), "one");
    EXPECT_EQ(saved_session("http://b", "admin"), "two");
    EXPECT_EQ(saved_session("http://a", "other"), "");
    const auto mode = std::filesystem::status(home_ + "/.config/ramet/login.json").permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(SavedLogin, IsNowhereWithoutAHome) {
    for (const char* home : {"", "/dev/null"}) {
        ::setenv("HOME", home, 1);
        EXPECT_FALSE(save_session("http://a", "admin", "one").has_value()) << home;
        EXPECT_EQ(saved_session("http://a", "admin"), "") << home;
    }
    ::unsetenv("HOME");
    EXPECT_FALSE(save_session("http://a", "admin", "one").has_value());
}

}  // namespace ramet::cli

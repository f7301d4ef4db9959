#include "daemon/assets.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "daemon/embedded_pages.hpp"

namespace ramet::daemon {
namespace {

namespace fs = std::filesystem;

class ConsoleDirectory : public ::testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "ramet-assets-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        base_ = name;
        fs::create_directories(base_ / "pages/assets");
        write("pages/index.html", "<p>hello</p>");
        write("pages/assets/app-1f3a.js", "run()");
        write("secret", "secret");
    }
    void TearDown() override { fs::remove_all(base_); }
    void write(const fs::path& name, const std::string& text) const { std::ofstream(base_ / name) << text; }
    http::Assets assets() const { return make_assets((base_ / "pages").string()); }

    fs::path base_;
};

TEST_F(ConsoleDirectory, IsReadAnewAtEveryRequest) {
    const http::Assets get = assets();
    const auto page = get("/index.html");
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->bytes, "<p>hello</p>");
    EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
    EXPECT_FALSE(page->immutable);
    EXPECT_EQ(get("/assets/app-1f3a.js")->content_type, "text/javascript; charset=utf-8");
    write("pages/index.html", "new");
    EXPECT_EQ(get("/index.html")->bytes, "new");
}

TEST_F(ConsoleDirectory, NothingOutsideItIsServed) {
    fs::create_symlink("../secret", base_ / "pages/link");
    fs::create_directory_symlink("..", base_ / "pages/up");
    const http::Assets get = assets();
    for (const std::string_view path :
         {"/../secret", "/assets/../../secret", "//secret", "/./index.html", "/link", "/up/secret", "index.html", "", "/"}) {
        EXPECT_FALSE(get(path).has_value()) << path;
    }
    EXPECT_FALSE(get(base_.string() + "/secret").has_value());
    EXPECT_FALSE(get(std::string("/index.html\0.js", 15)).has_value());
}

TEST_F(ConsoleDirectory, OnlyRegularFilesAreServed) {
    const http::Assets get = assets();
    EXPECT_FALSE(get("/assets").has_value());
    EXPECT_FALSE(get("/absent.js").has_value());
    ASSERT_EQ(::mkfifo((base_ / "pages/pipe").c_str(), 0600), 0);
    EXPECT_FALSE(get("/pipe").has_value());
}

TEST(EmbeddedPages, HoldAStartPageThatAnyClientCanRead) {
    const auto page = make_assets("")("/index.html");
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
    EXPECT_TRUE(page->content_encoding.empty());
    EXPECT_FALSE(page->immutable);
    EXPECT_NE(page->bytes.find("<meta charset=\"utf-8\">"), std::string::npos);
    EXPECT_EQ(page->bytes.find("style="), std::string::npos);
    EXPECT_FALSE(make_assets("")("/absent").has_value());
}

TEST(EmbeddedPages, EveryOneIsServedAsItIsDescribed) {
    const http::Assets get = make_assets("");
    for (const EmbeddedPage& page : embedded_pages()) {
        ASSERT_LT(page.begin, page.end) << page.path;
        const auto asset = get(page.path);
        ASSERT_TRUE(asset.has_value()) << page.path;
        EXPECT_EQ(asset->bytes.size(), static_cast<std::size_t>(page.end - page.begin));
        EXPECT_EQ(asset->content_encoding == "gzip", page.gzip);
        if (page.gzip) { EXPECT_EQ(asset->bytes.substr(0, 2), "\x1f\x8b") << page.path; }
    }
}

}  // namespace
}  // namespace ramet::daemon

#include "daemon/assets.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <span>
#include <utility>

#include "daemon/embedded_pages.hpp"
#include "storage/dir/beneath.hpp"

namespace ramet::daemon {

namespace {

constexpr std::size_t kFileBytesMax = 16U << 20;  // a console is a few hundred KB

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kContentTypes{{
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".json", "application/json"},
    {".txt", "text/plain; charset=utf-8"},
    {".png", "image/png"},
    {".woff2", "font/woff2"},
}};

std::string_view content_type_of(std::string_view path) {
    for (const auto& [ending, type] : kContentTypes)
        if (path.ends_with(ending)) return type;
    return "application/octet-stream";
}

std::optional<http::Asset> embedded_asset(std::string_view path) {
    for (const EmbeddedPage& page : embedded_pages()) {
        if (page.path != path) continue;
        return http::Asset{std::string(page.begin, page.end), std::string(page.content_type), page.immutable, page.gzip ? "gzip" : ""};
    }
    return std::nullopt;
}

// Read anew at every request: who works on the pages wants to see the last build.
std::optional<http::Asset> file_asset(const std::string& directory, std::string_view path) {
    if (path.size() < 2 || path.front() != '/') return std::nullopt;
    const std::string relative(path.substr(1));
    if (!storage::check_relative_path(relative).has_value()) return std::nullopt;
    const storage::UniqueFd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root.valid()) return std::nullopt;
    const Result<storage::UniqueFd> file = storage::open_beneath(root.get(), relative, O_RDONLY | O_NONBLOCK);
    if (!file.has_value() || !file->valid()) return std::nullopt;
    struct stat status{};
    if (::fstat(file->get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    if (std::cmp_greater(status.st_size, kFileBytesMax)) return std::nullopt;
    http::Asset asset{std::string(static_cast<std::size_t>(status.st_size), '\0'), std::string(content_type_of(path))};
    const Result<std::size_t> got = storage::read_at(file->get(), std::as_writable_bytes(std::span(asset.bytes)), 0);
    if (!got.has_value()) return std::nullopt;
    asset.bytes.resize(*got);  // shorter when it was cut meanwhile
    return asset;
}

}  // namespace

http::Assets make_assets(const std::string& console_dir) {
    if (console_dir.empty()) return embedded_asset;
    return [console_dir](std::string_view path) { return file_asset(console_dir, path); };
}

}  // namespace ramet::daemon

#include "resources/directories.hpp"

#include <unistd.h>
#include <filesystem>

#include "base/limits.hpp"
#include "model/resources.hpp"
#include "store/table.hpp"

namespace ramet::resources {
namespace {

std::unexpected<Error> bad_url(const std::string& what, std::string detail = {}) {
    return fail(ErrorCode::invalid_argument, "url: " + what, std::move(detail));
}

template <class Storage>
Result<void> check_apart_from(store::Transaction& transaction, const std::string& directory, std::string_view noun) {
    TRY_ASSIGN(const std::vector<Storage> storages, store::list<Storage>(transaction));
    for (const Storage& storage : storages) {
        if (storage.url == directory)
            return bad_url("the directory is already the " + std::string(noun) + " '" + storage.name + "'; name another directory");
        if (is_inside_or_same(directory, storage.url) || is_inside_or_same(storage.url, directory)) {
            return bad_url("the directory and that of the " + std::string(noun) + " '" + storage.name +
                           "' lie inside each other; name one that stands apart");
        }
    }
    return {};
}

}  // namespace

Result<std::string> normal_directory(std::string_view url) {
    constexpr std::string_view kScheme = "file://";
    if (url.starts_with(kScheme)) url.remove_prefix(kScheme.size());
    for (const char c : url) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return bad_url("the path has control characters in it; name a directory without them");
    }
    const std::filesystem::path path(url);
    if (!path.is_absolute()) return bad_url("'" + std::string(url.substr(0, 128)) + "' is not an absolute path; begin it with /");
    if (url.size() > limits::kTextCharactersMax) return bad_url("the path is too long");
    for (const std::filesystem::path& part : path) {
        if (part == "..") return bad_url("the path has '..' in it; write it without");
    }
    std::string normal = path.lexically_normal().string();
    while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
    if (normal == "/") return bad_url("the root directory cannot be a storage; name a directory below it");
    return normal;
}

bool is_inside_or_same(std::string_view directory, std::string_view other) {
    return directory.starts_with(other) && (directory.size() == other.size() || directory[other.size()] == '/');
}

Result<void> check_storage_apart(store::Transaction& transaction, const std::string& directory) {
    TRY(check_apart_from<PrimaryStorage>(transaction, directory, "primary storage"));
    return check_apart_from<BackupStorage>(transaction, directory, "backup storage");
}

Result<void> make_writable_directory(const std::string& directory) {
    std::error_code problem;
    std::filesystem::create_directories(directory, problem);
    if (problem) return bad_url("the directory cannot be made; make it or check the permissions of its parent", directory + ": " + problem.message());
    if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
        return bad_url("the directory cannot be written; check its permissions",
                       directory + ": " + std::error_code(errno, std::generic_category()).message());
    }
    return {};
}

}  // namespace ramet::resources

#include "saved_login.hpp"

#include <sys/stat.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace ramet::cli {

namespace json = boost::json;

namespace {

std::optional<std::filesystem::path> login_file() {
    const auto directory = [](const char* variable) -> std::filesystem::path {
        const char* value = std::getenv(variable);
        return value != nullptr ? value : "";
    };
    std::filesystem::path base = directory("XDG_CONFIG_HOME");
    if (base.empty() && !directory("HOME").empty()) base = directory("HOME") / ".config";
    if (base.empty()) return std::nullopt;
    return base / "ramet" / "login.json";
}

json::object all_saved(const std::filesystem::path& path) {
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    boost::system::error_code failed;
    json::value saved = json::parse(text, failed);
    return !failed && saved.is_object() ? std::move(saved.as_object()) : json::object{};
}

}  // namespace

std::string saved_session(const std::string& server, const std::string& account) {
    const std::optional<std::filesystem::path> path = login_file();
    if (!path) return {};
    const json::object saved = all_saved(*path);
    const json::value* entry = saved.if_contains(server + " " + account);
    return entry != nullptr && entry->is_string() ? std::string(entry->as_string()) : std::string{};
}

Result<void> save_session(const std::string& server, const std::string& account, const std::string& session) {
    const std::optional<std::filesystem::path> path = login_file();
    if (!path) return fail(ErrorCode::operation_failed, "the login cannot be saved: neither HOME nor XDG_CONFIG_HOME is set");
    std::error_code error;
    std::filesystem::create_directories(path->parent_path(), error);
    json::object all = all_saved(*path);
    all[server + " " + account] = session;
    const std::string partial = path->string() + ".partial";
    const mode_t before = ::umask(0077);
    std::ofstream file(partial);
    file << json::serialize(all) << '\n';
    file.close();
    ::umask(before);
    if (file) std::filesystem::rename(partial, *path, error);
    if (file && !error) return {};
    return fail(ErrorCode::operation_failed,
                "the login cannot be saved in " + path->string() + (error ? ": " + error.message() : "; is its directory writable?"));
}

}  // namespace ramet::cli

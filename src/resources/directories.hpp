// Directories as users name them for storages.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "store/database.hpp"

namespace ramet::resources {

// Absolute, without "." or ".." or doubled or trailing slashes; invalid_argument naming `url` for a relative or overlong path, the root
// directory, or text with NUL or line breaks in it.
Result<std::string> normal_directory(std::string_view url);

bool is_inside_or_same(std::string_view directory, std::string_view other);

// invalid_argument naming `url` when the directory is that of another primary or backup storage, inside one, or around one.
Result<void> check_storage_apart(store::Transaction& transaction, const std::string& directory);

// Makes the directory and its parents; operation_failed naming `url` when it cannot be made or written.
Result<void> make_writable_directory(const std::string& directory);

}  // namespace ramet::resources

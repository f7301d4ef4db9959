// Paths below a storage's root, resolved by the kernel so that neither ".." nor a symbolic link leads out (openat2).
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/file.hpp"

namespace ramet::storage {

// Refuses empty, absolute and over-long paths, empty, "." and ".." parts, and control characters.
Result<void> check_relative_path(const std::string& path);

struct SplitPath {
    std::string directory;
    std::string name;
};  // directory is "." for a file in the root
SplitPath split_path(const std::string& path);

// An invalid descriptor when the file or one of its directories is absent; an error otherwise.
Result<UniqueFd> open_beneath(int root, const std::string& path, int flags);

struct DirectoryPath {
    UniqueFd directory;             // the innermost one
    std::vector<UniqueFd> changed;  // directories that got a new entry; fsync them once the file in `directory` is on disk
};

// Makes missing directories (mode 0711: passable, not listable).
Result<DirectoryPath> make_directories(int root, const std::string& directory);

// Removes `directory` and its parents as far as they are empty, never the root, and fsyncs the innermost one that stays.
Result<void> prune_directories(int root, std::string directory);

}  // namespace ramet::storage

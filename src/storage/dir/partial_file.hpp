// A file in the making: "<path>.partial" until publish(), gone if that is never reached.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "storage/dir/beneath.hpp"

namespace ramet::storage {

class PartialFile {
public:
    // Makes missing directories and an empty file, mode 0600, owned by `owner`. A leftover of an earlier attempt is replaced.
    static Result<PartialFile> begin(int root, const std::string& path, const std::optional<FileOwner>& owner);
    PartialFile(PartialFile&& other) noexcept;
    PartialFile& operator=(PartialFile&&) = delete;
    ~PartialFile();

    int fd() const { return file_.get(); }
    const std::string& path() const { return partial_path_; }  // relative to the root

    // fsync, rename to the final name, fsync the directory and every directory above it that is new.
    Result<void> publish();

private:
    PartialFile(int root, const std::string& path, DirectoryPath place, UniqueFd file);
    int root_;
    std::string directory_path_;
    std::string name_;
    std::string partial_path_;
    DirectoryPath place_;
    UniqueFd file_;
    bool pending_ = true;
};

}  // namespace ramet::storage

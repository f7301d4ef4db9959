// Primary storage in a directory of an ordinary file system. Directories have mode 0711, files 0600, sealed files 0444.
// The files belong to `owner` when one is given: the unprivileged user that QEMU and qemu-img run as.
// list() gives names as they are on disk, "<path>.partial" included; remove() takes such a name too and then removes that file alone.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "storage/dir/partial_file.hpp"
#include "storage/file.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::storage {

class DirStorage final : public PrimaryStorage {
public:
    // `root`: an existing directory, its canonical absolute name. Use DirStorages::open, which makes sure of that.
    DirStorage(std::string root, UniqueFd root_fd, std::optional<FileOwner> owner);

    const std::string& root() const override { return root_; }
    Result<Capacity> capacity() override;
    Result<void> create_empty(const std::string& path, std::int64_t size_bytes, Provisioning provisioning) override;
    Result<void> create_overlay(const std::string& path, const Place& backing, std::int64_t size_bytes) override;
    // qemu-img makes the copy, as `owner`, when the layers have what our own reader does not know; `owner` must be allowed to read the
    // layers themselves then, the directories may be closed to it. size_bytes is at least the chain's size.
    Result<void> full_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes, Provisioning provisioning,
                           const CopyObserver& observer, std::stop_token stop, Throttle* throttle = nullptr) override;
    Result<void> reflink_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes,
                              const CopyObserver& observer, std::stop_token stop) override;
    Result<CopyEstimate> estimate_copy(const std::vector<Place>& chain_top_first, std::int64_t size_bytes, Provisioning provisioning) override;
    Result<CopyEstimate> estimate_reflink(const std::vector<Place>& chain_top_first, std::int64_t size_bytes) override;
    // By qemu-img, as `owner`, when the header names another one.
    Result<void> set_backing(const std::string& path, const std::optional<Place>& backing) override;
    // Of the last copy of 32 MiB and more onto this storage since the server started; else of 16 MiB written to a nameless file, once.
    Result<CopySpeed> copy_speed() override;
    // In-process. operation_failed for layers of a form that this server never makes.
    Result<void> merge_layers(const MergeSpec& spec, const CopyObserver& observer, std::stop_token stop) override;
    Result<void> import_file(const std::string& absolute_source, const std::string& path, const CopyObserver& observer,
                             std::stop_token stop) override;
    Result<void> seal(const std::string& path) override;
    Result<void> unseal(const std::string& path) override;
    Result<void> remove(const std::string& path) override;
    Result<void> move(const std::string& from, const std::string& to) override;
    Result<std::int64_t> allocated_bytes(const std::string& path) override;
    Result<bool> exists(const std::string& path) override;
    Result<std::vector<StoredFile>> list() override;

private:
    struct FoundOverlay {
        std::string backing;  // as the file names it; empty: none
        std::int64_t file_bytes = 0;
    };
    static Result<FoundOverlay> look_at_overlay(int file, const std::string& path);
    Result<std::optional<FoundOverlay>> find_overlay(const std::string& path);  // nothing: no file is there
    std::string absolute(const std::string& path) const { return root_ + "/" + path; }
    Result<void> check_new_path(const std::string& path) const;
    Result<void> remove_name(const std::string& path);
    Result<void> check_shares_blocks();
    void note_speed(std::int64_t bytes, std::chrono::steady_clock::duration took);

    std::string root_;
    UniqueFd root_fd_;
    std::optional<FileOwner> owner_;
    std::atomic<bool> never_shares_blocks_{false};  // the file system's own answer, asked once; a clone must not wait for it each time
    std::mutex speed_mutex_;
    CopySpeed speed_;
};

class DirStorages final : public PrimaryStorages {
public:
    explicit DirStorages(std::optional<FileOwner> owner = std::nullopt) : owner_(owner) {}
    // Makes the directory if it is absent. The same directory gives the same object, whatever name leads to it.
    Result<std::shared_ptr<PrimaryStorage>> open(const std::string& root) override;

private:
    struct Known {
        std::shared_ptr<PrimaryStorage> storage;
        dev_t device;
        ino_t inode;
    };
    std::optional<FileOwner> owner_;
    std::mutex mutex_;
    std::map<std::string, Known> open_;
};

}  // namespace ramet::storage

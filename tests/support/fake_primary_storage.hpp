// Primary storage in memory, for tests of what stands above it. Any call can be made to fail, before or after its effect.
// Thread-safe. Only names and sizes exist, no contents.
#pragma once

#include <sys/stat.h>
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::test {

struct StorageFault {
    std::string operation;  // a method's name, or empty for any
    int nth = 1;            // counted from the moment the fault is planted
    ErrorCode code = ErrorCode::operation_failed;
    bool after_effect = false;  // the answer is lost, the work is done
};

class FakePrimaryStorage final : public storage::PrimaryStorage {
public:
    struct File {
        DiskFormat format = DiskFormat::qcow2;
        std::int64_t size_bytes = 0;
        std::int64_t allocated_bytes = 0;
        bool sealed = false;
        std::string backing;  // absolute; empty for a flat file
    };

    explicit FakePrimaryStorage(std::string root = "/fake/primary") : root_(std::move(root)) {}

    // --- for tests
    void plant(StorageFault fault) {
        const std::lock_guard lock(mutex_);
        faults_.push_back(std::move(fault));
    }
    void set_capacity(storage::Capacity capacity) {
        const std::lock_guard lock(mutex_);
        capacity_ = capacity;
    }
    void set_shares_blocks(bool shares) {
        const std::lock_guard lock(mutex_);
        shares_blocks_ = shares;
    }
    void add_source(const std::string& absolute_path, std::int64_t bytes) {
        const std::lock_guard lock(mutex_);
        sources_[absolute_path] = bytes;
    }
    void put(const std::string& path, File file) {
        const std::lock_guard lock(mutex_);
        files_[path] = std::move(file);
    }
    // Called in the midst of each full copy and import, with nothing held: a test can keep it going. Before any is begun.
    void set_while_copying(std::function<void()> hook) { while_copying_ = std::move(hook); }
    std::vector<std::string> calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }  // "create_overlay vol/a.qcow2"
    std::map<std::string, File> files() const {
        const std::lock_guard lock(mutex_);
        return files_;
    }

    // --- PrimaryStorage
    const std::string& root() const override { return root_; }

    Result<storage::Capacity> capacity() override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("capacity", ""));
        std::int64_t used = 0;
        for (const auto& [path, file] : files_) used += file.allocated_bytes;
        const storage::Capacity now{capacity_.total_bytes, std::max<std::int64_t>(0, capacity_.available_bytes - used)};
        TRY(leave(due));
        return now;
    }

    Result<void> create_empty(const std::string& path, std::int64_t size_bytes, storage::Provisioning provisioning) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("create_empty", path));
        TRY(check_new(path, size_bytes));
        TRY(add(path, {DiskFormat::qcow2, size_bytes, provisioning == storage::Provisioning::thick ? size_bytes : kOverlayBytes, false, {}}));
        return leave(due);
    }

    Result<void> create_overlay(const std::string& path, const storage::Place& backing, std::int64_t size_bytes) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("create_overlay", path));
        TRY(check_new(path, size_bytes));
        TRY(check_path(backing.path));
        if (!files_.contains(path) && backing.root == root_ && !files_.contains(backing.path)) {
            return fail(ErrorCode::operation_failed, "the layer that the new disk builds on is not there", backing.path);
        }
        const File wanted{DiskFormat::qcow2, size_bytes, kOverlayBytes, false, backing.root + "/" + backing.path};
        if (const auto there = files_.find(path); there != files_.end() && there->second.backing != wanted.backing) {
            if (there->second.allocated_bytes > kOverlayBytes) return fail(ErrorCode::operation_failed, "there is a disk with data already", path);
            files_.erase(there);
        }
        TRY(add(path, wanted));
        return leave(due);
    }

    Result<void> full_copy(const std::vector<storage::Place>& chain, const std::string& path, std::int64_t size_bytes,
                           storage::Provisioning provisioning, const storage::CopyObserver& observer, std::stop_token stop,
                           storage::Throttle* = nullptr) override {
        std::int64_t bytes = 0;
        Due due;
        {
            const std::lock_guard lock(mutex_);
            TRY_ASSIGN(due, enter("full_copy", path));
            TRY(check_new(path, size_bytes));
            if (files_.contains(path)) return {};
            TRY_ASSIGN(bytes, bytes_of_chain(chain, size_bytes));
        }
        if (provisioning == storage::Provisioning::thick) bytes = size_bytes;
        if (while_copying_) while_copying_();
        TRY(observe(bytes, observer, stop));
        const std::lock_guard lock(mutex_);
        TRY(add(path, {DiskFormat::qcow2, size_bytes, bytes, false, {}}));
        return leave(due);
    }

    Result<void> reflink_copy(const std::vector<storage::Place>& chain, const std::string& path, std::int64_t size_bytes,
                              const storage::CopyObserver& observer, std::stop_token stop) override {
        Due due;
        std::int64_t bytes = 0;
        {
            const std::lock_guard lock(mutex_);
            TRY_ASSIGN(due, enter("reflink_copy", path));
            TRY(check_new(path, size_bytes));
            if (files_.contains(path)) return {};
            TRY_ASSIGN(bytes, bytes_of_chain(chain, size_bytes));
            TRY(check_shares(chain));
        }
        TRY(observe(bytes, observer, stop));
        const std::lock_guard lock(mutex_);
        TRY(add(path, {DiskFormat::qcow2, size_bytes, kOverlayBytes, false, {}}));
        return leave(due);
    }

    Result<storage::CopyEstimate> estimate_copy(const std::vector<storage::Place>& chain, std::int64_t size_bytes,
                                                storage::Provisioning provisioning) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("estimate_copy", ""));
        storage::CopyEstimate estimate;
        TRY_ASSIGN(estimate.data_bytes, bytes_of_chain(chain, size_bytes));
        estimate.file_bytes = provisioning == storage::Provisioning::thick ? size_bytes : estimate.data_bytes;
        estimate.extents = static_cast<std::int64_t>(chain.size());
        TRY(leave(due));
        return estimate;
    }

    Result<storage::CopyEstimate> estimate_reflink(const std::vector<storage::Place>& chain, std::int64_t size_bytes) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("estimate_reflink", ""));
        storage::CopyEstimate estimate;
        TRY_ASSIGN(estimate.data_bytes, bytes_of_chain(chain, size_bytes));
        TRY(check_shares(chain));
        estimate.file_bytes = kOverlayBytes;
        estimate.extents = static_cast<std::int64_t>(chain.size());
        TRY(leave(due));
        return estimate;
    }

    Result<storage::CopySpeed> copy_speed() override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("copy_speed", ""));
        TRY(leave(due));
        return storage::CopySpeed{limits::kGiB, "a fake's"};
    }

    Result<void> set_backing(const std::string& path, const std::optional<storage::Place>& backing) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("set_backing", path));
        TRY(check_path(path));
        if (backing) TRY(check_path(backing->path));
        const auto found = files_.find(path);
        if (found == files_.end()) return fail(ErrorCode::operation_failed, "the disk is not there", path);
        const std::string wanted = backing ? backing->root + "/" + backing->path : "";
        if (found->second.sealed && found->second.backing != wanted) return fail(ErrorCode::operation_failed, "the disk is sealed", path);
        found->second.backing = wanted;
        return leave(due);
    }

    Result<void> merge_layers(const storage::MergeSpec& spec, const storage::CopyObserver& observer, std::stop_token stop) override {
        std::int64_t bytes = 0;
        Due due;
        {
            const std::lock_guard lock(mutex_);
            TRY_ASSIGN(due, enter("merge_layers", spec.path));
            TRY(check_new(spec.path, spec.size_bytes));
            TRY(check_path(spec.base.path));
            for (const storage::Place& layer : spec.upper_top_first) TRY(check_path(layer.path));
            if (files_.contains(spec.path)) return {};
            if (spec.upper_top_first.empty()) return fail(ErrorCode::internal, "there are no layers to merge");
            for (const storage::Place& layer : spec.upper_top_first) {
                if (!files_.contains(layer.path)) return fail(ErrorCode::operation_failed, "a layer of the disk is not there", layer.path);
                bytes += files_[layer.path].allocated_bytes;
            }
        }
        TRY(observe(spec.size_bytes, observer, stop));
        const std::lock_guard lock(mutex_);
        TRY(add(spec.path, {DiskFormat::qcow2, spec.size_bytes, bytes, false, spec.base.root + "/" + spec.base.path}));
        return leave(due);
    }

    Result<void> import_file(const std::string& absolute_source, const std::string& path, const storage::CopyObserver& observer,
                             std::stop_token stop) override {
        std::int64_t bytes = 0;
        Due due;
        {
            const std::lock_guard lock(mutex_);
            TRY_ASSIGN(due, enter("import_file", path));
            TRY(check_new(path, 1));
            if (files_.contains(path)) return {};
            struct stat status{};
            if (const auto known = sources_.find(absolute_source); known != sources_.end()) {
                bytes = known->second;
            } else if (::stat(absolute_source.c_str(), &status) == 0) {
                bytes = status.st_size;
            } else {
                return fail(ErrorCode::operation_failed, "the file to bring in is not there", absolute_source);
            }
        }
        if (while_copying_) while_copying_();
        TRY(observe(bytes, observer, stop));
        const std::lock_guard lock(mutex_);
        TRY(add(path, {path.ends_with(".raw") ? DiskFormat::raw : DiskFormat::qcow2, bytes, bytes, false, {}}));
        return leave(due);
    }

    Result<void> seal(const std::string& path) override { return set_sealed("seal", path, true); }
    Result<void> unseal(const std::string& path) override { return set_sealed("unseal", path, false); }

    Result<void> remove(const std::string& path) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("remove", path));
        TRY(check_path(path));
        files_.erase(path);
        if (!path.ends_with(".partial")) files_.erase(path + ".partial");
        return leave(due);
    }

    Result<void> move(const std::string& from, const std::string& to) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("move", from));
        TRY(check_path(from));
        TRY(check_path(to));
        const auto found = files_.find(from);
        if (found == files_.end()) {
            if (files_.contains(to)) return leave(due);
            return fail(ErrorCode::not_found, "the file to be moved is not there", from);
        }
        if (files_.contains(to)) return fail(ErrorCode::operation_failed, "moving a file of the storage: the name is taken", to);
        auto moved = std::move(found->second);
        moved.sealed = false;
        files_.erase(found);
        files_.emplace(to, std::move(moved));
        return leave(due);
    }

    Result<std::int64_t> allocated_bytes(const std::string& path) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("allocated_bytes", path));
        TRY(check_path(path));
        const auto found = files_.find(path);
        const std::int64_t bytes = found == files_.end() ? 0 : found->second.allocated_bytes;
        TRY(leave(due));
        return bytes;
    }

    Result<bool> exists(const std::string& path) override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("exists", path));
        TRY(check_path(path));
        TRY(leave(due));
        return files_.contains(path);
    }

    Result<std::vector<storage::StoredFile>> list() override {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter("list", ""));
        std::vector<storage::StoredFile> found;
        for (const auto& [path, file] : files_) found.push_back({path, file.allocated_bytes, path.ends_with(".partial")});
        TRY(leave(due));
        return found;
    }

private:
    static constexpr std::int64_t kOverlayBytes = 12 * limits::kKiB;

    // Every layer must be there and none larger than the copy.
    Result<std::int64_t> bytes_of_chain(const std::vector<storage::Place>& chain, std::int64_t size_bytes) {
        if (chain.empty()) return fail(ErrorCode::internal, "a disk without layers cannot be copied");
        std::int64_t bytes = 0;
        for (const storage::Place& layer : chain) {
            TRY(check_path(layer.path));
            if (!files_.contains(layer.path)) return fail(ErrorCode::operation_failed, "a layer of the disk is not there", layer.path);
            bytes += files_[layer.path].allocated_bytes;
        }
        if (size_bytes < files_[chain.front().path].size_bytes)
            return fail(ErrorCode::invalid_argument, "the copy cannot be smaller than the disk it is made from");
        return bytes;
    }
    Result<void> check_shares(const std::vector<storage::Place>& chain) const {
        if (!shares_blocks_) return fail(ErrorCode::unsupported, "the storage's file system cannot share blocks between files");
        for (const storage::Place& layer : chain) {
            if (layer.root != root_) return fail(ErrorCode::unsupported, "the source's disks are on another file system than the copy would be");
        }
        return {};
    }

    static Result<void> check_path(const std::string& path) {
        for (std::size_t begin = 0; begin <= path.size();) {
            const std::size_t end = std::min(path.find('/', begin), path.size());
            const std::string part = path.substr(begin, end - begin);
            if (part.empty() || part == "." || part == "..") return fail(ErrorCode::invalid_argument, "this is no path inside the storage", path);
            begin = end + 1;
        }
        return {};
    }

    static Result<void> check_new(const std::string& path, std::int64_t size_bytes) {
        TRY(check_path(path));
        if (path.ends_with(".partial")) return fail(ErrorCode::invalid_argument, "names ending in .partial are the storage's own", path);
        if (size_bytes <= 0 || size_bytes > limits::kVolumeBytesMax)
            return fail(ErrorCode::invalid_argument, "a disk's size must be between 1 byte and 64 TiB");
        return {};
    }

    static Result<void> observe(std::int64_t total, const storage::CopyObserver& observer, const std::stop_token& stop) {
        for (const std::int64_t quarter : {1, 2, 3, 4}) {
            if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the copy was cancelled");
            if (observer) observer({total / 4 * quarter + (quarter == 4 ? total % 4 : 0), total});
        }
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "the copy was cancelled");
        return {};
    }

    Result<void> add(const std::string& path, File file) {
        if (files_.contains(path)) return {};
        std::int64_t used = file.allocated_bytes;
        for (const auto& [other, known] : files_) used += known.allocated_bytes;
        if (used > capacity_.available_bytes) return fail(ErrorCode::storage_full, "the storage is full; free some space or use another storage");
        files_.emplace(path, std::move(file));
        return {};
    }

    Result<void> set_sealed(const std::string& operation, const std::string& path, bool sealed) {
        const std::lock_guard lock(mutex_);
        TRY_ASSIGN(const Due due, enter(operation, path));
        TRY(check_path(path));
        const auto found = files_.find(path);
        if (found == files_.end()) return fail(ErrorCode::operation_failed, "the file is not there", path);
        found->second.sealed = sealed;
        return leave(due);
    }

    // The fault that a call still owes after its effect.
    using Due = std::optional<ErrorCode>;

    // Counts the call down on every planted fault; a fault that is due fails the call now, or in leave().
    Result<Due> enter(const std::string& operation, const std::string& path) {
        calls_.push_back(path.empty() ? operation : operation + " " + path);
        Due due;
        for (auto fault = faults_.begin(); fault != faults_.end();) {
            if ((!fault->operation.empty() && fault->operation != operation) || --fault->nth > 0) {
                ++fault;
                continue;
            }
            const StorageFault now = *fault;
            fault = faults_.erase(fault);
            if (!now.after_effect) return fail(now.code, "planted fault in " + operation);
            due = now.code;
        }
        return due;
    }

    static Result<void> leave(const Due& due) {
        if (due) return fail(*due, "planted fault after the effect");
        return {};
    }

    std::string root_;
    std::function<void()> while_copying_;
    mutable std::mutex mutex_;
    storage::Capacity capacity_{limits::kTiB, limits::kTiB};
    bool shares_blocks_ = false;
    std::map<std::string, File> files_;
    std::map<std::string, std::int64_t> sources_;
    std::vector<StorageFault> faults_;
    std::vector<std::string> calls_;
};

class FakePrimaryStorages final : public storage::PrimaryStorages {
public:
    Result<std::shared_ptr<storage::PrimaryStorage>> open(const std::string& root) override {
        if (root.empty() || root.front() != '/')
            return fail(ErrorCode::invalid_argument, "the storage's directory cannot be used: its name must be absolute");
        return std::shared_ptr<storage::PrimaryStorage>(at(root));
    }
    std::shared_ptr<FakePrimaryStorage> at(const std::string& root) {
        const std::lock_guard lock(mutex_);
        auto& storage = open_[root];
        if (storage == nullptr) storage = std::make_shared<FakePrimaryStorage>(root);
        return storage;
    }

private:
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<FakePrimaryStorage>> open_;
};

}  // namespace ramet::test

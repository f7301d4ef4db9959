// The primary-storage port: files of layers under one root. Paths are relative to the storage's root and made from uuids by the caller.
// Publish protocol: everything is written as "<path>.partial", fsynced, renamed, and its directory fsynced; a final name is always whole.
// Every call may be repeated: making what is already there (same path) is success, removing what is absent is success.
// Thread rules: all calls from any thread; two calls on one path never at once (the engine's locks see to it).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "model/states.hpp"

namespace ramet::storage {

class Throttle;

struct Capacity {
    std::int64_t total_bytes;
    std::int64_t available_bytes;
};  // physical

enum class Provisioning : std::uint8_t { thin, thick };

// A place on some primary storage. `root` is the storage's absolute directory.
struct Place {
    std::string root;
    std::string path;
    DiskFormat format = DiskFormat::qcow2;
};

struct CopyProgress {  // of the bytes that are written (or shared), not of the disk's size
    std::int64_t done_bytes;
    std::int64_t total_bytes;
};
using CopyObserver = std::function<void(CopyProgress)>;

inline constexpr std::int64_t kOverlayFileBytes = 12 * 1024;  // what a new overlay occupies where blocks have 4 KiB

// What a copy would write, told before it is made.
struct CopyEstimate {
    std::int64_t file_bytes = 0;  // that the new file will occupy (st_blocks); of a reflink: its own blocks alone
    std::int64_t data_bytes = 0;  // to be read and written, or to be shared
    std::int64_t extents = 0;     // pieces that the data lies in: the cost of a reflink
    std::string tool_reason;      // not empty: qemu-img makes the copy, and why
};

struct CopySpeed {
    std::int64_t bytes_per_second = 0;
    std::string basis;  // how it was measured, for people
};

// Layers of one chain that are to be one: `upper_top_first` are neighbours, the last of them stands on `base`.
struct MergeSpec {
    std::vector<Place> upper_top_first;
    Place base;
    std::string path;                       // of the new layer
    std::int64_t size_bytes = 0;            // virtual; the top's
    std::int64_t bytes_per_second_max = 0;  // 0: as fast as it goes
};

struct StoredFile {
    std::string path;
    std::int64_t allocated_bytes;
    bool partial;
};

class PrimaryStorage {
public:
    virtual ~PrimaryStorage() = default;
    virtual const std::string& root() const = 0;
    virtual Result<Capacity> capacity() = 0;
    virtual Result<void> create_empty(const std::string& path, std::int64_t size_bytes, Provisioning provisioning) = 0;  // qcow2
    // A new qcow2 overlay over `backing` (absolute place, explicit format). A few clusters, written in-process. One that is there and stands on
    // something else is replaced as long as nothing was written into it: a power cut took back the rows that it was made for.
    virtual Result<void> create_overlay(const std::string& path, const Place& backing, std::int64_t size_bytes) = 0;
    // A flat qcow2 (thin) or fully allocated (thick) copy of the chain whose top is first. The chain must be sealed for the time of the copy.
    // `throttle`: the limit this copy shares with others; null: none.
    virtual Result<void> full_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes,
                                   Provisioning provisioning, const CopyObserver& observer, std::stop_token stop, Throttle* throttle = nullptr) = 0;
    // A flat qcow2 that shares the chain's blocks through the file system and stands on no layer. Never copies instead.
    // unsupported, with the reason for the caller: this storage and these layers cannot.
    virtual Result<void> reflink_copy(const std::vector<Place>& chain_top_first, const std::string& path, std::int64_t size_bytes,
                                      const CopyObserver& observer, std::stop_token stop) = 0;
    // The same two, told beforehand; nothing is written that anyone could see. The chain may be in use: then it is told as of its last flush.
    virtual Result<CopyEstimate> estimate_copy(const std::vector<Place>& chain_top_first, std::int64_t size_bytes, Provisioning provisioning) = 0;
    virtual Result<CopyEstimate> estimate_reflink(const std::vector<Place>& chain_top_first, std::int64_t size_bytes) = 0;
    virtual Result<CopySpeed> copy_speed() = 0;
    // Makes the header of an overlay, which nobody may have open, name `backing` (nothing: no layer). What the overlay holds stays as it is.
    virtual Result<void> set_backing(const std::string& path, const std::optional<Place>& backing) = 0;
    // A new overlay over `base` that holds what the upper layers hold. None of them may be written meanwhile; all stay as they are.
    virtual Result<void> merge_layers(const MergeSpec& spec, const CopyObserver& observer, std::stop_token stop) = 0;
    // Brings a checked image file in (image cache). The file keeps its format.
    virtual Result<void> import_file(const std::string& absolute_source, const std::string& path, const CopyObserver& observer,
                                     std::stop_token stop) = 0;
    virtual Result<void> seal(const std::string& path) = 0;  // immutable in the kernel where possible; read-only anyway
    virtual Result<void> unseal(const std::string& path) = 0;
    virtual Result<void> remove(const std::string& path) = 0;  // unseals; also removes "<path>.partial" and empty parents made by us
    // Gives a file another name, sealed or not, .partial or not; it is unsealed then. Absent with `to` there: success, it is done already.
    virtual Result<void> move(const std::string& from, const std::string& to) = 0;
    virtual Result<std::int64_t> allocated_bytes(const std::string& path) = 0;  // st_blocks; 0 for an absent file
    virtual Result<bool> exists(const std::string& path) = 0;
    virtual Result<std::vector<StoredFile>> list() = 0;  // every file below the root, for the orphan scan
};

// Knows every primary storage by uuid. Implemented by daemon wiring over the dir driver.
class PrimaryStorages {
public:
    virtual ~PrimaryStorages() = default;
    // Opens (and prepares) the storage rooted at an absolute directory.
    // invalid_argument when the directory cannot be used, saying why and what to do.
    virtual Result<std::shared_ptr<PrimaryStorage>> open(const std::string& root) = 0;
};

}  // namespace ramet::storage

// One qcow2 layer read cluster by cluster: what it holds itself, without what lies below. Bounded: a table is read when it is needed,
// one at a time. Source of the format: QEMU docs/interop/qcow2.txt.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/file.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::storage {

inline constexpr std::int64_t kQcow2ClusterBytes = 64 * 1024;  // of every layer we make
inline constexpr std::int64_t kQcow2L2Entries = kQcow2ClusterBytes / 8;

class Qcow2Layer {
public:
    enum class Holds : std::uint8_t { nothing, zeros, data };
    struct Cluster {
        Holds holds = Holds::nothing;
        std::int64_t offset = 0;  // of `data`, in the file
    };

    // operation_failed for a layer that is not ours in form: other cluster sizes, compressed or extended entries, damage.
    static Result<Qcow2Layer> open(const Place& place);

    int fd() const { return file_.get(); }
    std::int64_t virtual_bytes() const { return virtual_bytes_; }
    // Makes `region` (512 MiB of the disk) the one that cluster() looks at. False: the layer holds nothing there.
    Result<bool> enter_region(std::int64_t region);
    Result<Cluster> cluster(std::int64_t index_in_region) const;

private:
    Qcow2Layer(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    UniqueFd file_;
    std::string path_;  // for the log
    std::int64_t virtual_bytes_ = 0;
    std::int64_t file_bytes_ = 0;
    std::vector<std::uint64_t> l1_;
    std::vector<std::uint64_t> l2_;  // of the present region; empty: nothing there
};

}  // namespace ramet::storage

// A memory image: the memory of a running VM at one instant, and who maps it. Never changed once Ready; removed with its last user. Damaged: its
// files were seen to be others than were captured; nothing is started from it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "model/snapshots.hpp"

namespace ramet {

enum class MemoryImageState : std::uint8_t { capturing, ready, damaged };
inline constexpr std::array<std::string_view, 3> kMemoryImageStateNames{"Capturing", "Ready", "Damaged"};
template <> inline constexpr std::span<const std::string_view> enum_names<MemoryImageState>{kMemoryImageStateNames};

struct MemoryImage {
    MemoryImageId uuid;
    VmId source_vm_uuid;
    std::string directory;  // absolute
    MemoryImageState state = MemoryImageState::capturing;
    std::int64_t memory_size = 0, allocated_size = 0, state_size = 0;  // bytes
    std::string checksum;                                              // of its files; the hypervisor's own text
    std::string layout;                                                // the hypervisor's own text: the devices the state belongs to
    std::string hypervisor_version;
    std::vector<std::string> source_macs;  // in the order of the source's NICs: what the guest in it still bears
    bool agent = false;                    // the guest's agent answered shortly before the capture
    std::optional<JobId> owner_job_uuid;   // a job that may still start VMs from it
    bool deleting = false;                 // its files are being removed
    Timestamp create_date;
};
template <> const TypeInfo& describe<MemoryImage>();

// One per VM whose process maps the image: written before the process starts, removed after it has ended.
struct MemoryImageUser {
    VmId vm_uuid;
    MemoryImageId memory_image_uuid;
};
template <> const TypeInfo& describe<MemoryImageUser>();

}  // namespace ramet

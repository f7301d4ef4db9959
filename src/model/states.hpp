// The enumerations of the wire (contract 5.3, 5.4), in one place so that a state is spelled once.
#pragma once

#include <array>

#include "base/describe.hpp"

namespace ramet {

enum class VmState : std::uint8_t {
    created,
    starting,
    running,
    stopping,
    stopped,
    rebooting,
    destroying,
    destroyed,
    pausing,
    paused,
    resuming,
    expunging,
    unknown,
    error
};
inline constexpr std::array<std::string_view, 14> kVmStateNames{"Created",   "Starting",   "Running",   "Stopping", "Stopped",
                                                                "Rebooting", "Destroying", "Destroyed", "Pausing",  "Paused",
                                                                "Resuming",  "Expunging",  "Unknown",   "Error"};
template <> inline constexpr std::span<const std::string_view> enum_names<VmState>{kVmStateNames};

enum class Enablement : std::uint8_t { enabled, disabled };
inline constexpr std::array<std::string_view, 2> kEnablementNames{"Enabled", "Disabled"};
template <> inline constexpr std::span<const std::string_view> enum_names<Enablement>{kEnablementNames};

enum class Connection : std::uint8_t { connecting, connected, disconnected };
inline constexpr std::array<std::string_view, 3> kConnectionNames{"Connecting", "Connected", "Disconnected"};
template <> inline constexpr std::span<const std::string_view> enum_names<Connection>{kConnectionNames};

enum class ImageStatus : std::uint8_t { creating, downloading, ready, error, deleted };
inline constexpr std::array<std::string_view, 5> kImageStatusNames{"Creating", "Downloading", "Ready", "Error", "Deleted"};
template <> inline constexpr std::span<const std::string_view> enum_names<ImageStatus>{kImageStatusNames};

enum class VolumeStatus : std::uint8_t { creating, ready, not_instantiated, deleted };
inline constexpr std::array<std::string_view, 4> kVolumeStatusNames{"Creating", "Ready", "NotInstantiated", "Deleted"};
template <> inline constexpr std::span<const std::string_view> enum_names<VolumeStatus>{kVolumeStatusNames};

enum class VolumeType : std::uint8_t { root, data };
inline constexpr std::array<std::string_view, 2> kVolumeTypeNames{"Root", "Data"};
template <> inline constexpr std::span<const std::string_view> enum_names<VolumeType>{kVolumeTypeNames};

enum class NicState : std::uint8_t { enable, disable };
inline constexpr std::array<std::string_view, 2> kNicStateNames{"enable", "disable"};
template <> inline constexpr std::span<const std::string_view> enum_names<NicState>{kNicStateNames};

enum class DiskFormat : std::uint8_t { qcow2, raw };
inline constexpr std::array<std::string_view, 2> kDiskFormatNames{"qcow2", "raw"};
template <> inline constexpr std::span<const std::string_view> enum_names<DiskFormat>{kDiskFormatNames};

enum class JobState : std::uint8_t { queued, running, undoing, succeeded, failed, cancelled, stuck };
inline constexpr std::array<std::string_view, 7> kJobStateNames{"Queued", "Running", "Undoing", "Succeeded", "Failed", "Canceled", "Stuck"};
template <> inline constexpr std::span<const std::string_view> enum_names<JobState>{kJobStateNames};

// pending: the guest has still to be given the identity of its row; given: an instant clone that passed its gate, and nothing was read back yet
enum class IdentityState : std::uint8_t { own, pending, given };
inline constexpr std::array<std::string_view, 3> kIdentityStateNames{"Own", "Pending", "Given"};
template <> inline constexpr std::span<const std::string_view> enum_names<IdentityState>{kIdentityStateNames};

}  // namespace ramet

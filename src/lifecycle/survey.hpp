// What there is on this machine beside what the rows say, read once: what the doctor and the garbage collection judge by.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lifecycle/parts.hpp"
#include "model/account.hpp"
#include "model/event.hpp"
#include "model/memory_image.hpp"
#include "model/snapshots.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::lifecycle {

inline constexpr std::string_view kQuarantine = ".quarantine";  // a folder of each storage, and of the data directory

struct Rows {
    std::vector<VmInstance> vms;
    std::vector<VmNic> nics;
    std::vector<UsedIp> addresses;
    std::vector<Volume> volumes;
    std::vector<Layer> layers;
    std::vector<LayerId> kept_layers;  // by snapshots and checkpoints
    std::vector<PrimaryStorage> storages;
    std::vector<BackupStorage> image_stores;
    std::vector<ImageBackupStorageRef> image_files;
    std::vector<L3Network> networks;
    std::vector<Host> hosts;
    std::vector<Checkpoint> checkpoints;
    std::vector<MemoryImage> memory_images;
    std::vector<Job> unfinished;  // stuck ones too
    std::vector<Garbage> garbage;

    const VmInstance* vm(std::string_view uuid) const;
};

struct Objects {
    struct Folder {
        std::string root;
        std::vector<std::string> files;  // paths below root; without quarantine
    };
    std::vector<Folder> storages, image_stores;
    std::vector<VmId> domains;
    std::vector<std::string> taps;  // also those of which only rules and a reservation are left
    std::vector<L3NetworkId> networks;
    std::vector<std::string> seeds;          // file names
    std::vector<std::string> firmware;       // folders, each named after the VM, checkpoint or job that it is of
    std::vector<std::string> memory_images;  // folders, of the data directory's alone: another --memory-dir may have other users
    std::vector<VmId> tpms;
    std::vector<VmId> run_directories;
};

struct Survey {
    Rows rows;
    Objects objects;
};

// Objects first, rows after: what is being made has its row before its object, so that it is not taken for unowned.
Result<Survey> survey(Parts& parts);

// Whether a VM in this state has a process, taps and a seed.
bool is_on(VmState state);

// A thing that no row owns. `kind` is one of those below; with `root` and `what` it names the thing.
struct Unowned {
    std::string kind, root, what;
};
inline constexpr std::string_view kFileWithoutRow = "file without row";  // of a primary storage
inline constexpr std::string_view kImageFileWithoutRow = "image file without row";
inline constexpr std::string_view kSeedWithoutVm = "seed without VM";
inline constexpr std::string_view kFirmwareWithoutVm = "firmware state without VM";
inline constexpr std::string_view kMemoryWithoutRow = "memory image without row";
inline constexpr std::string_view kTpmWithoutVm = "TPM process without VM";
inline constexpr std::string_view kRunDirectoryWithoutVm = "run directory without VM";
inline constexpr std::string_view kProcessWithoutVm = "process without VM";
inline constexpr std::string_view kTapWithoutNic = "tap without NIC";
inline constexpr std::string_view kNetworkWithoutRow = "network without row";

std::vector<Unowned> unowned(const Survey& survey);

}  // namespace ramet::lifecycle

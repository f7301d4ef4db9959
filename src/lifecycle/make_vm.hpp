// Making one VM: what CreateVmInstance and each clone of CloneVmInstance share. The rows are reserved with the job; the steps below turn
// them into a VM; demolish() removes every trace, whatever had been done.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/describe.hpp"
#include "guest/identity_record.hpp"
#include "identity/caller.hpp"
#include "lifecycle/parts.hpp"
#include "model/memory_image.hpp"
#include "model/vm.hpp"
#include "storage/throttle.hpp"
#include "workflow/saga.hpp"

namespace ramet::lifecycle {

enum class Strategy : std::uint8_t { instant_start, just_create, create_stopped };
inline constexpr std::array<std::string_view, 3> kStrategyNames{"InstantStart", "JustCreate", "CreateStopped"};

// How a volume's first layer comes to be. The layer's row names its parent: the base of an overlay, or the source of a copy.
enum class LayerMode : std::uint8_t { overlay, copy, empty, reflink };
inline constexpr std::array<std::string_view, 4> kLayerModeNames{"overlay", "copy", "empty", "reflink"};
// A flat layer: needs its parent only while it is made.
constexpr bool stands_alone(LayerMode mode) { return mode == LayerMode::copy || mode == LayerMode::reflink; }

struct VolumeRecipe {
    VolumeId volume;
    LayerId layer;
    LayerMode mode = LayerMode::overlay;
    bool thick = false;
    std::shared_ptr<storage::Throttle> throttle;  // what the copies of one job share; may be null
};

// Writes a volume's first layer, whose row is reserved, and names the parent where there is one. Repeatable.
Result<void> write_first_layer(Parts& parts, const VolumeRecipe& recipe, workflow::StepContext& step, const storage::CopyObserver& observer);
// After that: the volume is Ready. A flat layer lets go of what it was made from, which is the answer: the caller dooms it with all others.
Result<std::optional<LayerId>> settle_volume(store::Transaction& transaction, const VolumeRecipe& recipe, Timestamp now);

struct NicBlueprint {
    VmNic nic;  // uuid, l3, driver, state, bandwidths; ip and mac are filled in by reserve_vms
    std::optional<std::string> wanted_ip, wanted_mac;
    std::optional<std::string> wanted_netmask, wanted_gateway;  // must be what the address' range has
    std::string ip_field, mac_field;                            // where they were asked for, for error texts: "vmNicParams[0].ip", "systemTags"
    std::string choice_seed;  // not empty: free addresses are chosen by it, not at random (network::IpRequest::seed)
};

struct VolumeBlueprint {
    Volume volume;
    std::optional<Layer> layer;  // absent: not instantiated yet
    std::vector<std::string> system_tags;
    std::string tags_field;
};

struct VmBlueprint {
    VmInstance vm;  // owner_job_uuid set
    std::vector<NicBlueprint> nics;
    std::vector<VolumeBlueprint> volumes;
    std::vector<std::string> system_tags, user_tags;
    std::optional<VmIdentity> identity;  // of a clone: what its source has, and whether it is kept
};

// Inserts all rows of all VMs: VM, NICs with their addresses, volumes, layers, tags, ownership. Part of the job's own transaction.
Result<void> reserve_vms(store::Transaction& transaction, const identity::Caller& caller, std::vector<VmBlueprint>& blueprints, Timestamp now);

// Step "materialize": writes the layers of the VM's volumes; the VM is then Stopped (or Created), or Starting when `strategy` boots it.
class Materialize final : public workflow::Step {
public:
    Materialize(Parts& parts, VmId vm, std::vector<VolumeRecipe> recipes, Strategy strategy)
        : parts_(parts),
          vm_(std::move(vm)),
          recipes_(std::move(recipes)),
          strategy_(strategy) {}
    std::string_view name() const override { return "materialize"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;  // demolishes the VM
    std::vector<std::string> locks() const override { return {vm_.text()}; }

private:
    Result<std::vector<std::int64_t>> sizes_to_copy();
    Result<void> finish();
    Parts& parts_;
    VmId vm_;
    std::vector<VolumeRecipe> recipes_;
    Strategy strategy_;
};

// Step "boot": plugs the NICs, writes the seed, starts the domain. For VMs that a job is making.
class Boot final : public workflow::Step {
public:
    Boot(Parts& parts, VmId vm) : parts_(parts), vm_(std::move(vm)) {}
    std::string_view name() const override { return "boot"; }
    Result<workflow::Output> run(workflow::StepContext& step) override;
    Result<void> undo(workflow::StepContext& step) override;
    std::vector<std::string> locks() const override { return {vm_.text()}; }

private:
    Parts& parts_;
    VmId vm_;
};

// Removes the VM, its root volume and, while a job is making it, its data volumes: process, taps, leases, seed, files, rows. Repeatable; absent is success.
Result<void> demolish_vm(Parts& parts, const VmId& vm);
// Removes what a job reserved and never began.
Result<void> demolish_vms_of_job(Parts& parts, const JobId& job);
// Starts the domain of a VM whose rows are complete: networks, taps, seed, process. Repeatable.
Result<void> start_domain(Parts& parts, const VmId& vm);
// What that writes beside the VM's disks and its firmware state. `transaction` has the rows of the VM, which need not be there for anybody else.
Result<std::int64_t> bytes_of_start(store::Transaction& transaction, const VmId& vm);
// What the rows of a VM that is being taken back do not say yet.
struct Reverting {
    std::map<VolumeId, LayerId> tops;  // of its disks
    JobId job;
};
// Seed and process only, going on from a captured instant, with every link down: the network is not missed before a link goes up. The VM must have
// been noted as the image's user.
Result<void> start_domain_from_memory(Parts& parts, const VmId& vm, const MemoryImage& image, std::size_t together,
                                      const Reverting* reverting = nullptr);
// Networks and taps of a VM whose process has its NICs already. Repeatable.
Result<void> plug_domain(Parts& parts, const VmId& vm);
Result<void> stop_domain(Parts& parts, const VmId& vm, hypervisor::StopMode mode, std::stop_token stop);

}  // namespace ramet::lifecycle

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<lifecycle::Strategy>{lifecycle::kStrategyNames};
template <> inline constexpr std::span<const std::string_view> enum_names<lifecycle::LayerMode>{lifecycle::kLayerModeNames};
}  // namespace ramet

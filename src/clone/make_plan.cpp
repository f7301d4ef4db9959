#include "clone/make_plan.hpp"

#include <algorithm>
#include <map>

#include "clone/choose.hpp"
#include "clone/memory_capture.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/volumes.hpp"
#include "placement/placement.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;

namespace {

Result<PlannedVolume> plan_volume(lifecycle::Parts& parts, const Volume& volume, const api::CloneVmInstance& message) {
    const bool root = volume.type == VolumeType::root;
    CopyWish wish;
    wish.volume = volume.uuid;
    wish.type = volume.type;
    wish.copy = message.copy;
    TRY_ASSIGN(wish.thick, lifecycle::wants_thick(root ? message.root_volume_system_tags : message.data_volume_system_tags, tags_field(volume.type)));
    wish.source_storage = *volume.primary_storage_uuid;
    wish.wanted_storage = root ? message.primary_storage_uuid_for_root_volume : message.primary_storage_uuid_for_data_volume;
    wish.clones = static_cast<std::int64_t>(message.names.size());
    struct Where {
        std::string root;
        std::vector<storage::Place> chain;
    };
    TRY_ASSIGN(const Where where, store::read(parts.database(), [&](Transaction& transaction) -> Result<Where> {
                   Where found;
                   TRY_ASSIGN(const PrimaryStorage row,
                              store::get<PrimaryStorage>(transaction, wish.wanted_storage.value_or(wish.source_storage).text()));
                   found.root = row.url;
                   TRY_ASSIGN(found.chain, lifecycle::chain_of(transaction, *volume.top_layer_uuid));
                   return found;
               }));
    const auto target = [&] { return parts.shared.storages.open(where.root); };
    const CopyFacts facts{[&]() -> Result<storage::CopyEstimate> {
                              TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, target());
                              return storage->estimate_reflink(where.chain, volume.size);
                          },
                          [&]() -> Result<storage::CopyEstimate> {
                              TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, target());
                              return storage->estimate_copy(where.chain, volume.size,
                                                            wish.thick ? storage::Provisioning::thick : storage::Provisioning::thin);
                          }};
    return choose_strategy(wish, facts);
}

Result<ClonePlan> make_plan(lifecycle::Parts& parts, const CheckedClone& checked, const api::CloneVmInstance& message, lifecycle::Room& room) {
    ClonePlan plan;
    plan.source = checked.source.vm.uuid;
    plan.kept = checked.kept;
    plan.checkpoint = message.checkpoint_uuid;
    if (checked.kept_memory) plan.memory_image = checked.kept_memory->uuid;
    plan.tpm_policy = checked.tpm_policy;
    plan.wait_for = enum_from<lifecycle::WaitFor>(message.wait_for).value_or(lifecycle::WaitFor::running);
    plan.wait_seconds = message.wait_seconds;
    plan.quiesce = enum_from<hypervisor::Quiesce>(message.quiesce).value_or(hypervisor::Quiesce::automatic);
    plan.strategy = enum_from<lifecycle::Strategy>(message.strategy).value_or(lifecycle::Strategy::instant_start);
    plan.atomic = message.atomic;
    plan_memory(parts, message, plan);
    plan.bandwidth = message.bandwidth;
    TRY_ASSIGN(room, lifecycle::survey_room(parts));
    for (const auto& [type, wanted] : {std::pair{VolumeType::root, message.primary_storage_uuid_for_root_volume},
                                       std::pair{VolumeType::data, message.primary_storage_uuid_for_data_volume}}) {
        if (!wanted) continue;  // also one that no volume of this clone uses must be one that could be used
        const Result<placement::StorageDecision> fits = placement::choose_primary_storage(room.storages, 0, wanted, checked.cluster);
        if (!fits.has_value()) return failed(std::string(storage_field(type)), fits.error());
    }
    for (const Volume& volume : checked.source.volumes) {
        TRY_ASSIGN(PlannedVolume planned, plan_volume(parts, volume, message));
        plan.volumes.push_back(std::move(planned));
    }
    if (std::ranges::any_of(plan.volumes, &promises_bytes)) TRY(lifecycle::heed_promises(parts, room));
    std::map<std::string, std::int64_t> bytes_on;
    for (const PlannedVolume& planned : plan.volumes) {
        std::int64_t& bytes = bytes_on[planned.storage.text()];
        bytes += static_cast<std::int64_t>(message.names.size()) * planned.file_bytes;
        const Result<placement::StorageDecision> fits = placement::choose_primary_storage(room.storages, bytes, planned.storage, checked.cluster);
        if (!fits.has_value()) return failed(std::string(storage_field(planned.type)), fits.error());
    }
    for (const std::string& name : message.names) plan.clones.push_back({name, std::nullopt});
    return plan;
}

}  // namespace

Result<PreparedClone> prepare(lifecycle::Parts& parts, const lifecycle::Request& request, const api::CloneVmInstance& message) {
    TRY(lifecycle::check_nic_powers(parts, message.vm_nic_params));
    PreparedClone prepared;
    TRY_ASSIGN(prepared.checked, store::read(parts.database(), [&](Transaction& transaction) { return check(transaction, request, message); }));
    if (!prepared.checked.kept) lifecycle::ask_machine(parts.hypervisor, prepared.checked.source);
    if (prepared.checked.kept_memory) TRY(parts.hypervisor.memory_fits(prepared.checked.kept_memory->layout));
    TRY_ASSIGN(prepared.plan, make_plan(parts, prepared.checked, message, prepared.room));
    return prepared;
}

std::vector<lifecycle::WantedRoom> wanted_room(const PreparedClone& prepared) {
    std::vector<lifecycle::WantedRoom> wanted;
    const auto clones = static_cast<std::int64_t>(prepared.plan.clones.size());
    for (std::size_t k = 0; k < prepared.plan.volumes.size(); ++k) {
        const PlannedVolume& volume = prepared.plan.volumes[k];
        wanted.push_back({volume.storage, promises_bytes(volume) ? clones * volume.file_bytes : 0, clones * prepared.checked.source.volumes[k].size});
    }
    return wanted;
}

}  // namespace ramet::clone

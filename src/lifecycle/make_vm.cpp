#include "lifecycle/make_vm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/crash_point.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/rows.hpp"
#include "network/addresses.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

namespace {

// A NIC's mask and gateway are those of its address' range: others can be asked for, and cannot be had.
Result<void> check_wanted(const NicBlueprint& nic, const UsedIp& used) {
    const std::string place = nic.ip_field.substr(0, nic.ip_field.rfind('.') + 1);
    const auto differs = [&](const std::string& field, const std::string& wanted, const std::string& present) {
        return fail(ErrorCode::invalid_argument,
                    fmt::format("{}{}: the range of {} has '{}', not '{}'; leave it out", place, field, used.ip, present, wanted.substr(0, 64)));
    };
    if (nic.wanted_netmask && *nic.wanted_netmask != used.netmask) return differs("netmask", *nic.wanted_netmask, used.netmask);
    if (nic.wanted_gateway && *nic.wanted_gateway != used.gateway) return differs("gateway", *nic.wanted_gateway, used.gateway);
    return {};
}

Result<void> assign_addresses(Transaction& transaction, std::vector<VmBlueprint>& blueprints, Timestamp now) {
    std::vector<network::IpRequest> ips;
    std::vector<network::MacRequest> macs;
    std::vector<NicBlueprint*> nics;
    std::vector<NicBlueprint*> with_ip;
    for (VmBlueprint& blueprint : blueprints) {
        for (NicBlueprint& nic : blueprint.nics) {
            nics.push_back(&nic);
            macs.push_back({nic.wanted_mac, nic.nic.device_id, nic.mac_field, nic.choice_seed});
            TRY_ASSIGN(const std::int64_t ranges, store::count<IpRange>(transaction, {{"l3NetworkUuid", nic.nic.l3_network_uuid.text()}}));
            if (ranges == 0 && !nic.wanted_ip) continue;  // a network without ranges: the guest finds an address elsewhere
            with_ip.push_back(&nic);
            ips.push_back({nic.nic.l3_network_uuid, nic.nic.uuid, nic.wanted_ip, nic.ip_field, nic.choice_seed});
        }
    }
    TRY_ASSIGN(const std::vector<std::string> chosen_macs, network::allocate_macs(transaction, macs));
    for (std::size_t i = 0; i < nics.size(); ++i) nics[i]->nic.mac = chosen_macs[i];
    TRY_ASSIGN(const std::vector<UsedIp> used, network::allocate_ips(transaction, ips, now));
    for (std::size_t i = 0; i < with_ip.size(); ++i) {
        TRY(check_wanted(*with_ip[i], used[i]));
        with_ip[i]->nic.ip = used[i].ip;
        with_ip[i]->nic.netmask = used[i].netmask;
        with_ip[i]->nic.gateway = used[i].gateway;
    }
    return {};
}

Result<void> insert_volume(Transaction& transaction, const identity::Caller& caller, const VolumeBlueprint& blueprint, Timestamp now) {
    TRY(store::insert(transaction, blueprint.volume));
    if (blueprint.layer) TRY(store::insert(transaction, *blueprint.layer));
    TRY(identity::own(transaction, caller, blueprint.volume.uuid.text(), "VolumeVO"));
    return resources::add_system_tags(transaction, "VolumeVO", blueprint.volume.uuid.text(), blueprint.system_tags, now, blueprint.tags_field,
                                      caller.admin);
}

}  // namespace

Result<void> reserve_vms(Transaction& transaction, const identity::Caller& caller, std::vector<VmBlueprint>& blueprints, Timestamp now) {
    TRY(assign_addresses(transaction, blueprints, now));
    for (const VmBlueprint& blueprint : blueprints) {
        const std::string& uuid = blueprint.vm.uuid.text();
        TRY(store::insert(transaction, blueprint.vm));
        if (blueprint.identity) TRY(store::insert(transaction, *blueprint.identity));
        TRY(identity::own(transaction, caller, uuid, "VmInstanceVO"));
        for (const NicBlueprint& nic : blueprint.nics) {
            TRY(store::insert(transaction, nic.nic));
            TRY(identity::own(transaction, caller, nic.nic.uuid.text(), "VmNicVO"));
        }
        for (const VolumeBlueprint& volume : blueprint.volumes) TRY(insert_volume(transaction, caller, volume, now));
        TRY(resources::add_system_tags(transaction, "VmInstanceVO", uuid, blueprint.system_tags, now, "systemTags", caller.admin));
        TRY(resources::add_user_tags(transaction, "VmInstanceVO", uuid, blueprint.user_tags, now, "userTags"));
    }
    return {};
}

Result<void> write_first_layer(Parts& parts, const VolumeRecipe& recipe, StepContext& step, const storage::CopyObserver& observer) {
    struct Work {
        Layer layer;
        storage::Place place;
        std::vector<storage::Place> chain;
    };
    TRY_ASSIGN(const Work work, store::read(parts.database(), [&](Transaction& transaction) -> Result<Work> {
                   Work found;
                   TRY_ASSIGN(found.layer, store::get<Layer>(transaction, recipe.layer.text()));
                   TRY_ASSIGN(found.place, place_of(transaction, found.layer));
                   if (found.layer.parent_uuid) { TRY_ASSIGN(found.chain, chain_of(transaction, *found.layer.parent_uuid)); }
                   return found;
               }));
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(work.place.root));
    if (recipe.mode == LayerMode::empty)
        return storage->create_empty(work.place.path, work.layer.size, recipe.thick ? storage::Provisioning::thick : storage::Provisioning::thin);
    if (work.chain.empty()) {
        // A repeated step: the flat layer is there, and its parent was let go.
        TRY_ASSIGN(const bool there, stands_alone(recipe.mode) ? storage->exists(work.place.path) : Result<bool>(false));
        if (there) return {};
        return fail(ErrorCode::internal, "the layer to clone from is gone", "layer " + recipe.layer.text() + " has no parent");
    }
    switch (recipe.mode) {
    case LayerMode::empty: break;
    case LayerMode::overlay: return storage->create_overlay(work.place.path, work.chain.front(), work.layer.size);
    case LayerMode::copy:
        return storage->full_copy(work.chain, work.place.path, work.layer.size,
                                  recipe.thick ? storage::Provisioning::thick : storage::Provisioning::thin, observer, step.stop(),
                                  recipe.throttle.get());
    case LayerMode::reflink: return storage->reflink_copy(work.chain, work.place.path, work.layer.size, observer, step.stop());
    }
    return {};
}

Result<std::optional<LayerId>> settle_volume(Transaction& transaction, const VolumeRecipe& recipe, Timestamp now) {
    TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, recipe.volume.text()));
    volume.status = VolumeStatus::ready;
    volume.last_op_date = now;
    TRY(store::update(transaction, volume));
    if (!stands_alone(recipe.mode)) return std::optional<LayerId>{};
    TRY_ASSIGN(Layer layer, store::get<Layer>(transaction, recipe.layer.text()));
    std::optional<LayerId> freed = std::exchange(layer.parent_uuid, std::nullopt);
    TRY(store::update(transaction, layer));
    return freed;
}

// A VM that is no longer the job's was finished by an earlier run of the step, and others may have been at it since.
Result<bool> is_handed_over(Parts& parts, const VmId& vm, const JobId& job) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<bool> {
        TRY_ASSIGN(const std::optional<VmInstance> row, store::find<VmInstance>(transaction, {{"uuid", vm.text()}}));
        return !row || row->owner_job_uuid != job;
    });
}

Result<Output> Materialize::run(StepContext& step) {
    TRY_ASSIGN(const bool handed_over, is_handed_over(parts_, vm_, step.job()));
    if (handed_over) return Output{};
    TRY_ASSIGN(std::vector<std::int64_t> sizes, sizes_to_copy());
    std::int64_t before = 0;  // of the layers that are written
    for (std::size_t i = 0; i < recipes_.size(); ++i) {
        if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
        // A copy that has begun knows what it has to write, which is far less than the disk's size where the disk is empty.
        const std::int64_t later = std::accumulate(sizes.begin() + static_cast<std::ptrdiff_t>(i) + 1, sizes.end(), std::int64_t{0});
        std::int64_t bytes = 0;
        TRY(write_first_layer(parts_, recipes_[i], step, [&](storage::CopyProgress progress) {
            bytes = progress.total_bytes;
            step.progress(before + progress.done_bytes, before + bytes + later);
        }));
        before += bytes;
        crash_point("layer-written");
    }
    TRY(finish());
    return Output{};
}

// At most, of each recipe: its disk's size when it is a copy.
Result<std::vector<std::int64_t>> Materialize::sizes_to_copy() {
    return store::read(parts_.database(), [&](Transaction& transaction) -> Result<std::vector<std::int64_t>> {
        std::vector<std::int64_t> sizes(recipes_.size(), 0);
        for (std::size_t i = 0; i < recipes_.size(); ++i) {
            if (recipes_[i].mode != LayerMode::copy) continue;
            TRY_ASSIGN(const Layer layer, store::get<Layer>(transaction, recipes_[i].layer.text()));
            sizes[i] = layer.size;
        }
        return sizes;
    });
}

Result<void> Materialize::finish() {
    const auto update_rows = [&](Transaction& transaction) -> Result<std::vector<Layer>> {
        std::vector<LayerId> freed;
        for (const VolumeRecipe& recipe : recipes_) {
            TRY_ASSIGN(std::optional<LayerId> parent, settle_volume(transaction, recipe, parts_.now()));
            if (parent) freed.push_back(std::move(*parent));
        }
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, vm_.text()));
        switch (strategy_) {
        case Strategy::instant_start: vm.state = VmState::starting; break;
        case Strategy::create_stopped: vm.state = VmState::stopped; break;
        case Strategy::just_create: vm.state = VmState::created; break;
        }
        if (strategy_ != Strategy::instant_start) vm.owner_job_uuid.reset();
        vm.last_op_date = parts_.now();
        TRY(store::update(transaction, vm));
        // A chain that was merged while it was copied has had no other user since.
        return doom_chains(transaction, freed);
    };
    // Overlays alone are made again from the plan; a copy's old chain, though, is about to be deleted.
    const bool only_overlays = std::ranges::none_of(recipes_, [](const VolumeRecipe& recipe) { return stands_alone(recipe.mode); });
    const Durability durability = only_overlays ? Durability::with_next : Durability::at_once;
    TRY_ASSIGN(const std::vector<Layer> doomed, store::write(parts_.database(), update_rows, durability));
    discard_layers(parts_, doomed);
    return {};
}

Result<void> Materialize::undo(StepContext&) {
    TRY(demolish_vm(parts_, vm_));
    // A VM that was finished already keeps what is attached to it; what this job made goes all the same.
    for (const VolumeRecipe& recipe : recipes_) TRY(demolish_volume(parts_, recipe.volume));
    return {};
}

Result<Output> Boot::run(StepContext& step) {
    if (step.stop().stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
    TRY_ASSIGN(const bool handed_over, is_handed_over(parts_, vm_, step.job()));
    if (handed_over) return Output{};
    TRY(start_domain(parts_, vm_));
    TRY(parts_.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, vm_.text()));
        vm.owner_job_uuid.reset();
        return set_vm_state(transaction, std::move(vm), VmState::running, parts_.now());
    }));
    parts_.identity_keeper.notice();
    return Output{};
}

Result<void> Boot::undo(StepContext&) { return stop_domain(parts_, vm_, hypervisor::StopMode::cold, {}); }

}  // namespace ramet::lifecycle

#include "clone/capture.hpp"

#include <algorithm>

#include "api/json.hpp"
#include "store/table.hpp"

namespace ramet::clone {

using store::Transaction;
using workflow::Output;
using workflow::StepContext;

namespace {

lifecycle::CutOrder order_of(const JobId& job, const ClonePlan& plan) {
    lifecycle::CutOrder order{job, "CloneVmInstance", plan.source, {}, false, plan.quiesce};
    for (const PlannedVolume& volume : plan.volumes) order.volumes.push_back(volume.source);
    order.is_copied = std::ranges::any_of(plan.volumes, [](const PlannedVolume& volume) { return lifecycle::stands_alone(volume.mode); });
    return order;
}

}  // namespace

Result<void> Capture::give_parents(Transaction& transaction, const lifecycle::SealedLayers& sealed) const {
    for (std::size_t i = 0; i < plan_.clones.size(); ++i) {
        if (plan_.clones[i].refusal) continue;
        for (std::size_t k = 0; k < sealed.size(); ++k) {
            TRY_ASSIGN(std::optional<Layer> layer,
                       store::find<Layer>(transaction, {{"uuid", first_layer_uuid(clone_volume_uuid(clone_uuid(job_, i), k)).text()}}));
            if (!layer) continue;  // already undone
            layer->parent_uuid = sealed[k];
            TRY(store::update(transaction, *layer));
        }
    }
    return {};
}

// The clones stand on one instant: a step that is run again takes no other.
Result<bool> Capture::has_given_parents() const {
    return store::read(parts_.database(), [this](Transaction& transaction) -> Result<bool> {
        for (std::size_t i = 0; i < plan_.clones.size(); ++i) {
            if (plan_.clones[i].refusal) continue;
            const VolumeId root = clone_volume_uuid(clone_uuid(job_, i), 0);
            TRY_ASSIGN(const std::optional<Layer> layer, store::find<Layer>(transaction, {{"uuid", first_layer_uuid(root).text()}}));
            if (layer) return layer->parent_uuid.has_value();
        }
        return false;
    });
}

Result<Output> Capture::run(StepContext& step) {
    lifecycle::FirmwareCapture firmware(parts_, job_.text(), plan_.source, plan_.tpm_policy);
    TRY_ASSIGN(const bool has_firmware, firmware.needed());
    TRY_ASSIGN(const bool captured, has_given_parents());
    lifecycle::CutFacts facts;
    if (captured) {
        if (plan_.memory) facts.consistency = hypervisor::Consistency::memory;
        facts.consistency_reason = "The machine went down before it was noted how the capture had gone";
        TRY_ASSIGN(const bool taken, firmware.taken());
        if (has_firmware && !taken) TRY(firmware.take());
    } else {
        TRY_ASSIGN(facts, cut(has_firmware ? &firmware : nullptr, step));
    }
    for (std::size_t i = 0; has_firmware && i < plan_.clones.size(); ++i) {
        if (!plan_.clones[i].refusal) TRY(firmware.give_to(clone_uuid(job_, i)));
    }
    TRY(firmware.forget());
    return api::to_json(facts, api::Audience::storage);
}

Result<lifecycle::CutFacts> Capture::cut(lifecycle::FirmwareCapture* firmware, StepContext& step) {
    lifecycle::CutOrder order = order_of(job_, plan_);
    if (firmware != nullptr) order.while_stopped = [firmware] { return firmware->take(); };
    amend(order, step);
    const auto keep = [this](Transaction& transaction, const lifecycle::SealedLayers& sealed) { return give_parents(transaction, sealed); };
    return lifecycle::Cut(parts_, std::move(order)).run(keep, step);
}

std::vector<std::string> Capture::locks() const { return lifecycle::Cut(parts_, order_of(job_, plan_)).locks(); }

Result<bool> Capture::would_reuse() {
    TRY_ASSIGN(const bool has_firmware, lifecycle::FirmwareCapture(parts_, job_.text(), plan_.source, plan_.tpm_policy).needed());
    lifecycle::CutOrder order = order_of(job_, plan_);
    if (has_firmware) order.while_stopped = [] { return Result<void>(); };
    return lifecycle::Cut(parts_, std::move(order)).would_reuse();
}

Result<void> Capture::undo(StepContext&) {
    TRY(lifecycle::FirmwareCapture(parts_, job_.text(), plan_.source, plan_.tpm_policy).forget());
    return lifecycle::Cut(parts_, order_of(job_, plan_)).undo();
}

Result<Output> KeptFirmware::run(StepContext&) {
    lifecycle::FirmwareCapture firmware(parts_, plan_.checkpoint.value_or(CheckpointId{}).text(), plan_.source, plan_.tpm_policy);
    TRY_ASSIGN(const bool kept, firmware.taken());
    for (std::size_t i = 0; kept && i < plan_.clones.size(); ++i) {
        if (!plan_.clones[i].refusal) TRY(firmware.give_to(clone_uuid(job_, i)));
    }
    return Output{};
}

Result<void> KeptFirmware::undo(StepContext&) { return {}; }  // what a clone has goes with it

}  // namespace ramet::clone

#include "clone/capture.hpp"

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
    return order;
}

}  // namespace

Capture::Capture(lifecycle::Parts& parts, JobId job, ClonePlan plan)
    : job_(std::move(job)),
      plan_(std::move(plan)),
      cut_(parts, order_of(job_, plan_)) {}

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

Result<Output> Capture::run(StepContext& step) {
    const auto keep = [this](Transaction& transaction, const lifecycle::SealedLayers& sealed) { return give_parents(transaction, sealed); };
    TRY_ASSIGN(const lifecycle::CutFacts facts, cut_.run(keep, step));
    return api::to_json(facts, api::Audience::storage);
}

Result<void> Capture::undo(StepContext&) { return cut_.undo(); }

}  // namespace ramet::clone

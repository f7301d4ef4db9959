#include "lifecycle/flatten.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <numeric>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/shorten.hpp"
#include "store/table.hpp"

namespace ramet {

namespace lifecycle {
namespace {

struct FlattenPlan {
    std::vector<ShortenOrder> orders;
    std::optional<VmId> vm;  // what the answer shows: the VM, else the one volume
};

}  // namespace
}  // namespace lifecycle

template <> const TypeInfo& describe<lifecycle::FlattenPlan>() {
    using lifecycle::FlattenPlan;
    static const TypeInfo info =
        object<FlattenPlan>("FlattenPlan", "Volumes that are to stand alone.", field<&FlattenPlan::orders>("orders", "One per volume."),
                            field<&FlattenPlan::vm>("vm", "The VM that was asked for."));
    return info;
}

}  // namespace ramet

namespace ramet::lifecycle {

using store::Transaction;
using workflow::StepContext;

namespace {

constexpr std::int64_t kBytesPerSecondMax = 256 * limits::kMiB;  // of a running VM's disk: it must not starve its neighbours
constexpr std::string_view kVmMessage = "FlattenVmInstance";
constexpr std::string_view kVolumeMessage = "FlattenVolume";

Result<void> require_flattenable_vm(Transaction& transaction, const VmId& id, std::string_view message, const JobId& job) {
    TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, id.text()));
    return require_state(ErrorCode::operation_failed, vm, message, {VmState::running, VmState::stopped, VmState::paused}, job);
}

class Flatten final : public workflow::Step {
public:
    Flatten(Parts& parts, ShortenOrder order, std::string name) : parts_(parts), order_(std::move(order)), name_(std::move(name)) {}
    std::string_view name() const override { return name_; }
    std::vector<std::string> locks() const override {
        std::vector<std::string> names{order_.volume.text()};
        if (order_.vm) names.push_back(order_.vm->text());
        return names;
    }
    Result<workflow::Output> run(StepContext& step) override {
        TRY(store::read(parts_.database(), [&](Transaction& transaction) -> Result<bool> {
            TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, order_.volume.text()));
            if (volume.vm_instance_uuid != order_.vm)
                return fail(ErrorCode::operation_failed,
                            fmt::format("volume '{}' was attached or detached meanwhile; flatten it again", volume.name));
            if (order_.vm) TRY(require_flattenable_vm(transaction, *order_.vm, kVmMessage, step.job()));
            return true;
        }));
        const ShortenPace pace{kBytesPerSecondMax, [&](storage::CopyProgress progress) { step.progress(progress.done_bytes, progress.total_bytes); },
                               step.stop()};
        TRY(shorten_volume(parts_, order_, pace));
        return workflow::Output{};
    }
    Result<void> undo(StepContext&) override { return undo_shorten(parts_, order_); }

private:
    Parts& parts_;
    ShortenOrder order_;
    std::string name_;
};

Result<workflow::Saga> flatten_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(const FlattenPlan plan, api::from_json<FlattenPlan>(job.plan));
    workflow::Saga saga(job.kind, job.uuid);
    for (std::size_t i = 0; i < plan.orders.size(); ++i) saga.add<Flatten>(parts, plan.orders[i], "flatten-" + std::to_string(i));
    if (plan.vm)
        saga.report(inventory_report<VmInstance>(parts, plan.vm->text()));
    else
        saga.report(inventory_report<Volume>(parts, plan.orders.front().volume.text()));
    return saga;
}

Result<ShortenOrder> order_for(const Volume& volume, const JobId& job) {
    if (volume.status != VolumeStatus::ready || !volume.top_layer_uuid)
        return fail(ErrorCode::operation_failed,
                    fmt::format("volume '{}' is {}; it must be Ready to be flattened", volume.name, name_of(volume.status)));
    return ShortenOrder{volume.uuid, std::nullopt, LayerId::derived(job.text(), "flat/" + volume.uuid.text()), volume.vm_instance_uuid};
}

// What the volumes do not hold themselves: the bytes of the layers below their tops, at most a volume's size.
Result<std::int64_t> bytes_to_copy(Parts& parts, const FlattenPlan& plan) {
    std::int64_t sum = 0;
    for (const ShortenOrder& order : plan.orders) {
        TRY_ASSIGN(const std::vector<Layer> layers, store::read(parts.database(), [&](Transaction& transaction) -> Result<std::vector<Layer>> {
                       TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, order.volume.text()));
                       return layers_below(transaction, *volume.top_layer_uuid);
                   }));
        TRY_ASSIGN(const std::vector<std::int64_t> bytes, bytes_of(parts, layers));
        if (bytes.size() > 1) sum += std::min(layers.front().size, std::accumulate(bytes.begin() + 1, bytes.end(), std::int64_t{0}));
    }
    return sum;
}

std::string with_bytes(std::string inventory, std::int64_t bytes) {
    inventory.pop_back();
    return inventory + fmt::format(R"(,"bytesToCopy":{}}})", bytes);
}

Result<JobId> submit_plan(Parts& parts, const Request& request, std::string_view api_name, const std::string& target, const FlattenPlan& plan) {
    return submit(parts, request, {"flatten", std::string(api_name), target, api::to_json(plan, api::Audience::storage)});
}

}  // namespace

void register_flatten_saga(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("flatten", [&parts](const Job& job) { return flatten_saga(parts, job); }, workflow::Pace::slow);
}

Result<FlattenAnswer> flatten_vm(Parts& parts, const Request& request, const api::FlattenVmInstance& message) {
    TRY_ASSIGN(const FlattenPlan plan, store::read(parts.database(), [&](Transaction& transaction) -> Result<FlattenPlan> {
                   TRY(require_flattenable_vm(transaction, message.uuid, kVmMessage, request.job));
                   TRY_ASSIGN(const VmRows rows, load_vm(transaction, message.uuid));
                   FlattenPlan made{{}, message.uuid};
                   for (const Volume& volume : rows.volumes) {
                       if (!message.full && volume.type != VolumeType::root) continue;
                       TRY_ASSIGN(ShortenOrder order, order_for(volume, request.job));
                       made.orders.push_back(std::move(order));
                   }
                   return made;
               }));
    if (message.dry_run) {
        TRY_ASSIGN(const std::int64_t bytes, bytes_to_copy(parts, plan));
        TRY_ASSIGN(std::string body, parts.shared.inventory.reply<VmInstance>(message.uuid.text()));
        return FlattenAnswer(with_bytes(std::move(body), bytes));
    }
    TRY_ASSIGN(JobId job, submit_plan(parts, request, kVmMessage, message.uuid.text(), plan));
    return FlattenAnswer(std::move(job));
}

Result<FlattenAnswer> flatten_volume(Parts& parts, const Request& request, const api::FlattenVolume& message) {
    TRY_ASSIGN(const FlattenPlan plan, store::read(parts.database(), [&](Transaction& transaction) -> Result<FlattenPlan> {
                   TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, message.uuid.text()));
                   if (volume.vm_instance_uuid) TRY(require_flattenable_vm(transaction, *volume.vm_instance_uuid, kVolumeMessage, request.job));
                   TRY_ASSIGN(ShortenOrder order, order_for(volume, request.job));
                   return FlattenPlan{{std::move(order)}, std::nullopt};
               }));
    if (message.dry_run) {
        TRY_ASSIGN(const std::int64_t bytes, bytes_to_copy(parts, plan));
        TRY_ASSIGN(std::string body, parts.shared.inventory.reply<Volume>(message.uuid.text()));
        return FlattenAnswer(with_bytes(std::move(body), bytes));
    }
    const std::optional<VmId>& vm = plan.orders.front().vm;
    TRY_ASSIGN(JobId job, submit_plan(parts, request, kVolumeMessage, vm ? vm->text() : message.uuid.text(), plan));
    return FlattenAnswer(std::move(job));
}

}  // namespace ramet::lifecycle

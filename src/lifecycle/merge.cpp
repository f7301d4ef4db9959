#include "lifecycle/merge.hpp"

#include <algorithm>
#include <numeric>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/layers.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"
#include "workflow/step_state.hpp"

namespace ramet::lifecycle {

using store::Transaction;
using workflow::StepContext;

namespace {

using namespace std::chrono_literals;

constexpr auto kLookForOthers = 10ms;
constexpr auto kQuietPatience = 3s;  // jobs of users go first, but not for ever
constexpr auto kLookAtStop = 200ms;
constexpr std::string_view kYielded = R"("yielded")";  // the step's output

// Asks `stop` to end as soon as the job is cancelled or somebody waits for what the step holds.
class GivesWay {
public:
    explicit GivesWay(StepContext& step)
        : cancelled_(step.stop(), [this] { stop_.request_stop(); }),
          watch_([this, &step](const std::stop_token& end) {
              while (!end.stop_requested() && !stop_.stop_requested()) {
                  if (step.others_wait()) stop_.request_stop();
                  std::this_thread::sleep_for(kLookForOthers);
              }
          }) {}
    std::stop_token token() const { return stop_.get_token(); }

private:
    std::stop_source stop_;
    std::stop_callback<std::function<void()>> cancelled_;
    std::jthread watch_;
};

class MergeChain final : public workflow::Step {
public:
    MergeChain(Parts& parts, ShortenOrder order) : parts_(parts), order_(std::move(order)) {}
    std::string_view name() const override { return "merge"; }
    std::vector<std::string> locks() const override {
        std::vector<std::string> names{order_.volume.text()};
        if (order_.vm) names.push_back(order_.vm->text());
        return names;
    }
    Result<workflow::Output> run(StepContext& step) override {
        TRY_ASSIGN(const std::optional<Volume> volume, store::read(parts_.database(), [&](Transaction& transaction) {
                       return store::find<Volume>(transaction, {{"uuid", order_.volume.text()}});
                   }));
        if (!volume || volume->vm_instance_uuid != order_.vm) return workflow::Output{};  // the locks are not those that count any more
        const GivesWay gives_way(step);
        const ShortenPace pace{limits::kMergeBytesPerSecond,
                               [&](storage::CopyProgress progress) { step.progress(progress.done_bytes, progress.total_bytes); }, gives_way.token()};
        const Result<void> shortened = shorten_volume(parts_, order_, pace);
        if (shortened.has_value()) return workflow::Output{};
        if (shortened.error().code != ErrorCode::cancelled || step.stop().stop_requested()) return std::unexpected(shortened.error());
        TRY(undo_shorten(parts_, order_));
        return workflow::Output(kYielded);
    }
    Result<void> undo(StepContext&) override { return undo_shorten(parts_, order_); }

private:
    Parts& parts_;
    ShortenOrder order_;
};

Result<workflow::Saga> merge_saga(Parts& parts, const Job& job) {
    TRY_ASSIGN(ShortenOrder order, api::from_json<ShortenOrder>(job.plan));
    workflow::Saga saga(job.kind, job.uuid);
    saga.add<MergeChain>(parts, std::move(order));
    saga.report([](const StepContext& context, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
        const bool yielded = context.output_of("merge") == kYielded;
        return workflow::Report{"{}", yielded ? R"({"yielded":true})" : R"({"yielded":false})"};
    });
    return saga;
}

// A volume whose chain is long enough to be looked at.
struct LongChain {
    Volume volume;
    std::vector<Layer> layers;  // top first
};

// A VM that some job is at work on, or that is on its way from one state to another, is left alone.
Result<bool> is_at_rest(Transaction& transaction, const Volume& volume) {
    if (!volume.top_layer_uuid || volume.status != VolumeStatus::ready) return false;
    if (!volume.vm_instance_uuid) return true;
    TRY_ASSIGN(const std::optional<VmInstance> vm, store::find<VmInstance>(transaction, {{"uuid", volume.vm_instance_uuid->text()}}));
    if (!vm || vm->owner_job_uuid) return false;
    return vm->state == VmState::running || vm->state == VmState::paused || vm->state == VmState::stopped || vm->state == VmState::created;
}

// The database walks the chains: of thousands of volumes only the few with a long one are read.
Result<std::vector<std::string>> volumes_with_long_chains(Transaction& transaction) {
    const std::string volumes(describe<Volume>().table);
    const std::string layers(describe<Layer>().table);
    const std::string sql = "WITH RECURSIVE walk(volume, layer, depth) AS (SELECT \"uuid\", \"topLayerUuid\", 1 FROM " + volumes +
                            " WHERE \"status\" = $1 AND \"topLayerUuid\" IS NOT NULL "
                            "UNION ALL SELECT w.volume, l.\"parentUuid\", w.depth + 1 FROM walk AS w JOIN " +
                            layers +
                            " AS l ON l.\"uuid\" = w.layer WHERE l.\"parentUuid\" IS NOT NULL AND w.depth < $2) "
                            "SELECT volume FROM walk WHERE depth = $2 ORDER BY volume";
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query(sql, {std::string(name_of(VolumeStatus::ready)), static_cast<std::int64_t>(limits::kFoldDepthMin)}));
    std::vector<std::string> found;
    found.reserve(rows.size());
    for (const store::Values& row : rows) found.push_back(std::get<std::string>(row.at(0)));
    return found;
}

Result<std::vector<LongChain>> load_long_chains(Transaction& transaction) {
    std::vector<LongChain> chains;
    TRY_ASSIGN(const std::vector<std::string> uuids, volumes_with_long_chains(transaction));
    for (const std::string& uuid : uuids) {
        LongChain chain;
        TRY_ASSIGN(chain.volume, store::get<Volume>(transaction, uuid));
        TRY_ASSIGN(const bool at_rest, is_at_rest(transaction, chain.volume));
        if (!at_rest) continue;
        TRY_ASSIGN(chain.layers, layers_below(transaction, *chain.volume.top_layer_uuid));
        chains.push_back(std::move(chain));
    }
    return chains;
}

// How many layers from the top can be made one at the cost of copying layers that nothing but the chain itself needs; 0: none.
Result<std::size_t> layers_to_fold(Transaction& transaction, const std::vector<Layer>& chain, const std::vector<std::int64_t>& bytes) {
    std::size_t count = 1;
    std::int64_t copied = 0;
    while (count + 1 < chain.size()) {
        TRY_ASSIGN(const LayerUsers users, users_of(transaction, chain[count]));
        LayerUsers others = users;
        --others.children;
        copied += bytes[count];
        if (others.any() || copied > limits::kFoldBytesMax) break;
        ++count;
    }
    return count > 1 ? count : 0;
}

Result<std::int64_t> free_bytes(Parts& parts, const Layer& layer) {
    TRY_ASSIGN(const PrimaryStorage row, store::read(parts.database(), [&](Transaction& transaction) {
                   return store::get<PrimaryStorage>(transaction, layer.primary_storage_uuid.text());
               }));
    TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(row.url));
    TRY_ASSIGN(const storage::Capacity capacity, storage->capacity());
    return capacity.available_bytes;
}

// 0: none, or the storage has no room for the copy beside the old ones.
Result<std::size_t> layers_to_make_one(Parts& parts, const std::vector<Layer>& chain) {
    TRY_ASSIGN(const std::vector<std::int64_t> bytes, bytes_of(parts, chain));
    std::size_t count = chain.size() >= limits::kChainDepthMergeAt ? layers_to_merge(bytes) : 0;
    TRY_ASSIGN(const std::size_t fold,
               store::read(parts.database(), [&](Transaction& transaction) { return layers_to_fold(transaction, chain, bytes); }));
    count = std::max(count, fold);
    TRY_ASSIGN(const std::int64_t free, free_bytes(parts, chain.front()));
    const std::int64_t needed = std::accumulate(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count), limits::kStorageReservedBytes);
    return free < needed ? std::size_t{0} : count;
}

}  // namespace

void register_merge_saga(workflow::Engine& engine, Parts& parts) {
    engine.add_kind("merge-chain", [&parts](const Job& job) { return merge_saga(parts, job); }, workflow::Pace::slow);
}

Result<std::optional<ShortenOrder>> find_chain_to_merge(Parts& parts, const std::map<VolumeId, std::chrono::steady_clock::time_point>& not_now) {
    TRY_ASSIGN(std::vector<LongChain> chains, store::read(parts.database(), [](Transaction& transaction) { return load_long_chains(transaction); }));
    std::erase_if(chains, [&](const LongChain& chain) { return not_now.contains(chain.volume.uuid); });
    std::ranges::stable_sort(chains, std::greater<>{}, [](const LongChain& chain) { return chain.layers.size(); });  // the deepest first
    for (const LongChain& chain : chains) {
        TRY_ASSIGN(const std::size_t count, layers_to_make_one(parts, chain.layers));
        if (count > 1) return std::optional(ShortenOrder{chain.volume.uuid, chain.layers[count].uuid, {}, chain.volume.vm_instance_uuid});
    }
    return std::optional<ShortenOrder>{};
}

void Merger::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

void Merger::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

void Merger::notice() {
    const std::lock_guard lock(mutex_);
    noticed_ = true;
    wake_.notify_all();
}

void Merger::work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            const auto patience = not_before_.empty() ? std::chrono::seconds(limits::kMergePause) : std::chrono::seconds(limits::kMergeRetryYielded);
            wake_.wait_for(lock, stop, patience, [this] { return noticed_; });
            // Jobs come in bursts; what one of them left is seen with what the next ones leave.
            if (noticed_) wake_.wait_for(lock, stop, limits::kMergeSettle, [] { return false; });
            noticed_ = false;
        }
        merge_what_needs_it(stop);
    }
}

void Merger::merge_what_needs_it(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        {  // users' jobs first
            std::unique_lock lock(mutex_);
            const auto deadline = std::chrono::steady_clock::now() + kQuietPatience;
            while (!stop.stop_requested() && parts_.shared.engine.running_jobs() > 0 && std::chrono::steady_clock::now() < deadline)
                wake_.wait_for(lock, stop, 50ms, [] { return false; });
        }
        std::erase_if(not_before_, [](const auto& entry) { return entry.second <= std::chrono::steady_clock::now(); });
        const Result<bool> wanted = store::read(parts_.database(), [](Transaction& transaction) -> Result<bool> {
            TRY_ASSIGN(const std::string value, resources::global_config(transaction, "volume", "backgroundMerge"));
            return value == "true";
        });
        if (stop.stop_requested() || !wanted.has_value() || !*wanted) return;
        const Result<std::optional<ShortenOrder>> order = find_chain_to_merge(parts_, not_before_);
        if (!order.has_value()) telemetry::log_warning("merging layers: {} ({})", order.error().message, order.error().detail);
        if (!order.has_value() || !*order) return;
        merge(**order, stop);
    }
}

void Merger::merge(const ShortenOrder& wanted, const std::stop_token& stop) {
    const auto rest = [&](std::chrono::seconds time) { not_before_[wanted.volume] = std::chrono::steady_clock::now() + time; };
    rest(limits::kMergeRetryFailed);
    const Request request{identity::admin_caller(), JobId::random(), std::nullopt};
    ShortenOrder order = wanted;
    order.merged = LayerId::derived(request.job.text(), "merged/" + order.volume.text());
    const std::string target = order.vm ? order.vm->text() : order.volume.text();
    const Result<JobId> job = submit(parts_, request, {"merge-chain", "MergeVolumeChain", target, api::to_json(order, api::Audience::storage)});
    if (!job.has_value()) {
        telemetry::log_warning("merging layers: {} ({})", job.error().message, job.error().detail);
        return;
    }
    Result<Job> ended = parts_.shared.engine.wait(*job, kLookAtStop);
    while (ended.has_value() && !workflow::is_terminal(ended->state) && !stop.stop_requested()) ended = parts_.shared.engine.wait(*job, kLookAtStop);
    if (!ended.has_value() || ended->state != JobState::succeeded) return;  // its row says why
    if (ended->detail && ended->detail->find("true") != std::string::npos)
        rest(limits::kMergeRetryYielded);
    else
        rest(limits::kMergeRetryDone);
}

}  // namespace ramet::lifecycle

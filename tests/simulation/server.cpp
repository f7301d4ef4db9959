#include "simulation/server.hpp"

#include <stdexcept>

#include "api/json.hpp"
#include "clone/clone_vm.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/events.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/reconcile.hpp"
#include "lifecycle/snapshots.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/images.hpp"
#include "simulation/memory_files.hpp"
#include "store/sqlite/database.hpp"
#include "store/table.hpp"

namespace ramet::sim {

namespace {

constexpr std::size_t kThreads = 3;  // of each pool: enough that jobs and branches overtake each other
constexpr std::chrono::minutes kJobPatience{20};
constexpr int kLooksForJobs = 20;

resources::LiveFacts live_facts(storage::PrimaryStorages& storages) {
    return {[&storages](const std::string& directory) -> resources::PhysicalCapacity {
                const auto storage = storages.open(directory);
                const auto capacity = storage.has_value() ? (*storage)->capacity() : Result<storage::Capacity>(storage.error());
                if (!capacity.has_value()) return {};
                return {capacity->total_bytes, capacity->available_bytes};
            },
            [&storages](const std::string& directory, const std::string& path) -> std::int64_t {
                const auto storage = storages.open(directory);
                return storage.has_value() ? (*storage)->allocated_bytes(path).value_or(0) : 0;
            }};
}

constexpr std::size_t kReaders = 2;  // one thread runs at a time, and every life opens them anew

}  // namespace

void Machine::outlive_the_server() {
    let_go_of_database(data_dir + "/ramet.db");
    auto vms = std::make_unique<test::FakeHypervisor>();
    vms->take_over(*hypervisor);
    static_cast<void>(hypervisor.release());  // who held its lock is gone
    hypervisor = std::move(vms);
    auto taps = std::make_unique<test::FakePlumbing>();
    taps->take_over(*plumbing);
    static_cast<void>(plumbing.release());
    plumbing = std::move(taps);
}

void Machine::lose_power() {
    for (const auto& [vm, record] : hypervisor->domains()) {
        hypervisor->change(vm, [](test::FakeHypervisor::Domain& domain) {
            domain.state = hypervisor::DomainState::shut_off;
            domain.thaws = domain.freezes;
        });
    }
    plumbing = std::make_unique<test::FakePlumbing>();
    lose_unsynced_log(data_dir + "/ramet.db");
}

Server::Server(Machine& machine, Seam& seam)
    : machine_(machine),
      seam_(seam),
      storages_(seam, dir_storages_, machine.claims_to_share_blocks),
      hypervisor_(seam, *machine.hypervisor),
      plumbing_(seam, *machine.plumbing) {
    Result<std::unique_ptr<store::Database>> opened = store::open_sqlite(machine.data_dir + "/ramet.db", nullptr, kReaders);
    if (!opened.has_value()) throw std::runtime_error("the database cannot be opened: " + opened.error().message + " " + opened.error().detail);
    database_ = std::move(*opened);
    build();
}

void Server::build() {
    faulty_database_ = std::make_unique<FaultyDatabase>(seam_, *database_);
    log_ = std::make_unique<store::DatabaseSagaLog>(*faulty_database_);
    inventory_ = std::make_unique<resources::Inventory>(*faulty_database_, live_facts(storages_));
    workflow::EngineOptions options{kThreads, kThreads, &api::error_object};
    options.on_built = [this](workflow::Saga& saga) { seam_.watch().watch(saga); };
    engine_ = std::make_unique<workflow::Engine>(*log_, clock_, std::move(options));
    resources_ = std::make_unique<resources::Parts>(
        resources::Parts{*faulty_database_, clock_, storages_, plumbing_, *inventory_, *engine_, machine_.data_dir});
    identity_keeper_ = std::make_unique<guest::IdentityKeeper>(*faulty_database_, hypervisor_, &lifecycle::wanted_identity);
    parts_ = std::make_unique<lifecycle::Parts>(lifecycle::Parts{*resources_, hypervisor_, *identity_keeper_});
    resources::register_image_sagas(*engine_, *resources_);
    lifecycle::register_create_saga(*engine_, *parts_);
    lifecycle::register_power_sagas(*engine_, *parts_);
    lifecycle::register_destroy_sagas(*engine_, *parts_);
    lifecycle::register_volume_sagas(*engine_, *parts_);
    lifecycle::register_snapshot_sagas(*engine_, *parts_);
    lifecycle::register_revert_saga(*engine_, *parts_);
    lifecycle::register_checkpoint_sagas(*engine_, *parts_);
    lifecycle::register_merge_saga(*engine_, *parts_);
    lifecycle::register_flatten_saga(*engine_, *parts_);
    merger_ = std::make_unique<lifecycle::Merger>(*parts_);
    lifecycle::register_lease_sagas(*engine_, *parts_);
    clone::register_clone_saga(*engine_, *parts_);
    garbage_ = std::make_unique<lifecycle::GarbageKeeper>(*parts_);
    lifecycle::register_garbage_saga(*engine_, *garbage_);
    leases_ = std::make_unique<lifecycle::LeaseKeeper>(*parts_, clock_);
}

Server::~Server() {
    merger_->stop();
    garbage_->stop();
    leases_->stop();
    hypervisor_.on_exit(nullptr);
    engine_.reset();
}

Result<void> Server::start() {
    TRY(hypervisor_.reattach());
    hypervisor_.on_exit([this](const VmId& vm) { static_cast<void>(lifecycle::vm_exited(*parts_, vm)); });
    engine_->on_finished([this](const Job&) { merger_->notice(); });
    TRY(engine_->recover());
    TRY(lifecycle::reconcile_at_start(*parts_));
    identity_keeper_->start();
    merger_->start();
    leases_->start();
    return {};
}

Result<void> Server::maintain() {
    TRY(lifecycle::expunge_expired(*parts_));
    TRY(lifecycle::remove_doomed_layers(*parts_));
    TRY(lifecycle::remove_doomed_memory_images(*parts_));
    TRY(lifecycle::prune_events(*parts_));
    return {};
}

void Server::wait_for_all_jobs() {
    store::DatabaseSagaLog log(*database_);
    for (int looks = 0; looks < kLooksForJobs; ++looks) {
        const Result<std::vector<Job>> jobs = log.unfinished_jobs();
        if (!jobs.has_value() || jobs->empty()) return;
        static_cast<void>(engine_->recover());  // also what rests
        for (const Job& job : *jobs) static_cast<void>(engine_->wait(job.uuid, kJobPatience));
    }
}

}  // namespace ramet::sim

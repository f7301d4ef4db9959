#include "daemon/service.hpp"

#include <pwd.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <stop_token>
#include <thread>

#include "api/json.hpp"
#include "api/openapi.hpp"
#include "base/disk_precedence.hpp"
#include "base/limits.hpp"
#include "clone/clone_vm.hpp"
#include "daemon/assets.hpp"
#include "daemon/data_dir.hpp"
#include "daemon/job_access.hpp"
#include "daemon/resident_memory.hpp"
#include "http/edge.hpp"
#include "http/routes.hpp"
#include "http/server.hpp"
#include "hypervisor/linux/plumbing.hpp"
#include "hypervisor/qemu/qemu.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/events.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/garbage.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/lease.hpp"
#include "lifecycle/memory_check.hpp"
#include "lifecycle/merge.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/process_keeper.hpp"
#include "lifecycle/reconcile.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/snapshots.hpp"
#include "lifecycle/volume_from_snapshot.hpp"
#include "lifecycle/volumes.hpp"
#include "resources/bootstrap.hpp"
#include "resources/images.hpp"
#include "resources/management.hpp"
#include "storage/dir/dir_storage.hpp"
#include "store/saga_log.hpp"
#include "store/sqlite/database.hpp"
#include "telemetry/log.hpp"
#include "telemetry/metrics.hpp"

namespace ramet::daemon {
namespace {

constexpr std::chrono::seconds kMaintenancePause{600};
constexpr std::chrono::seconds kExpungeLook{2};  // how often it is asked whether it is time: a setting that was changed holds soon

struct QemuUser {
    std::string name;
    uid_t uid;
    gid_t gid;
};

// Who QEMU runs as when we are root; nothing otherwise.
std::optional<QemuUser> find_qemu_user(const std::string& wanted) {
    if (::geteuid() != 0) return std::nullopt;
    const passwd* entry = ::getpwnam(wanted.c_str());
    if (entry == nullptr) entry = ::getpwnam("nobody");
    if (entry == nullptr) return std::nullopt;
    return QemuUser{entry->pw_name, entry->pw_uid, entry->pw_gid};
}

resources::LiveFacts live_facts(storage::PrimaryStorages& storages) {
    return {[&storages](const std::string& directory) -> resources::PhysicalCapacity {
                const auto storage = storages.open(directory);
                if (!storage.has_value()) return {};
                const auto capacity = (*storage)->capacity();
                return capacity.has_value() ? resources::PhysicalCapacity{capacity->total_bytes, capacity->available_bytes}
                                            : resources::PhysicalCapacity{};
            },
            [&storages](const std::string& directory, const std::string& path) -> std::int64_t {
                const auto storage = storages.open(directory);
                if (!storage.has_value()) return 0;
                return (*storage)->allocated_bytes(path).value_or(0);
            }};
}

}  // namespace

// In the order of construction: each uses what stands above it.
struct Service::Parts {
    Options options;
    StepProofClock clock;
    telemetry::Metrics metrics;
    std::atomic<bool> lost_sync{false};
    std::unique_ptr<store::Database> database;
    std::unique_ptr<storage::DirStorages> storages;
    std::unique_ptr<hypervisor::Plumbing> plumbing;
    std::unique_ptr<hypervisor::Hypervisor> hypervisor;
    std::unique_ptr<store::DatabaseSagaLog> log;
    std::unique_ptr<resources::Inventory> inventory;
    std::unique_ptr<identity::Accounts> accounts;
    std::unique_ptr<workflow::Engine> engine;
    std::unique_ptr<resources::Parts> resources;
    std::unique_ptr<guest::IdentityKeeper> identity_keeper;
    std::unique_ptr<lifecycle::Parts> lifecycle;
    std::unique_ptr<lifecycle::Merger> merger;
    std::unique_ptr<lifecycle::LeaseKeeper> lease_keeper;
    std::unique_ptr<lifecycle::ProcessKeeper> process_keeper;
    std::unique_ptr<lifecycle::GarbageKeeper> garbage_keeper;
    std::unique_ptr<http::Edge> edge;
    std::unique_ptr<http::Server> server;
    std::string address;
    std::mutex maintenance_mutex;
    std::condition_variable_any maintenance_wake;
    std::jthread maintenance;

    Result<void> open_adapters();
    void build_use_cases();
    Result<void> prepare();  // first start, and what an earlier server left
    Result<void> listen();
    void maintain(const std::stop_token& stop);
};

Result<void> Service::Parts::open_adapters() {
    TRY(open_data_dir(options.data_dir));
    const std::optional<QemuUser> user = find_qemu_user(options.qemu_user);
    TRY_ASSIGN(database, store::open_sqlite(options.data_dir + "/ramet.db", [this] {
                   lost_sync = true;
                   ::kill(::getpid(), SIGTERM);  // main() waits for it
               }));
    storages = std::make_unique<storage::DirStorages>(user ? std::optional(storage::FileOwner{user->uid, user->gid}) : std::nullopt);
    hypervisor::OpenedPlumbing opened =
        hypervisor::open_plumbing_with_reason({options.data_dir, user ? user->uid : ::geteuid(), user ? user->gid : ::getegid()});
    plumbing = std::move(opened.plumbing);
    telemetry::log_info("network: {} ({})", plumbing->privileged() ? "bridges and taps" : "QEMU user networking", opened.reason);
    hypervisor::QemuOptions qemu;
    qemu.run_root = options.data_dir + "/run";
    qemu.qemu_user = options.qemu_user;
    qemu.force_tcg = options.force_tcg;
    qemu.fork_processes = options.fork_processes;
    qemu.allow_userfaultfd = options.allow_userfaultfd;
    TRY_ASSIGN(hypervisor, hypervisor::open_qemu(qemu));
    const hypervisor::Capabilities& capabilities = hypervisor->capabilities();
    telemetry::log_info("{} with {} as {}: {}", capabilities.version, capabilities.accelerator, capabilities.qemu_user,
                        capabilities.accelerator_reason);
    telemetry::log_info("memory captures: {} ({})", capabilities.live_memory ? "live" : "the source stands still", capabilities.live_memory_reason);
    return {};
}

void Service::Parts::build_use_cases() {
    log = std::make_unique<store::DatabaseSagaLog>(*database);
    inventory = std::make_unique<resources::Inventory>(*database, live_facts(*storages));
    accounts = std::make_unique<identity::Accounts>(*database, clock);
    workflow::EngineOptions engine_options{limits::kSagaThreads, limits::kBranchThreads, &api::error_object};
    engine_options.slow_job_threads = limits::kSlowSagaThreads;
    engine_options.slow_branch_threads = limits::kSlowBranchThreads;
    engine = std::make_unique<workflow::Engine>(*log, clock, std::move(engine_options));
    resources = std::make_unique<resources::Parts>(resources::Parts{*database, clock, *storages, *plumbing, *inventory, *engine, options.data_dir});
    identity_keeper = std::make_unique<guest::IdentityKeeper>(*database, *hypervisor, &lifecycle::wanted_identity);
    lifecycle =
        std::make_unique<lifecycle::Parts>(lifecycle::Parts{*resources, *hypervisor, *identity_keeper, options.memory_dir, options.ready_processes});
    lifecycle->resident_memory = [root = options.data_dir + "/run"](const VmId& vm, std::int64_t bytes) { return resident_memory(root, vm, bytes); };
    resources::offer_management_nodes(*resources);
    resources::register_image_sagas(*engine, *resources);
    lifecycle::register_create_saga(*engine, *lifecycle);
    lifecycle::register_power_sagas(*engine, *lifecycle);
    lifecycle::register_destroy_sagas(*engine, *lifecycle);
    lifecycle::register_volume_sagas(*engine, *lifecycle);
    lifecycle::register_snapshot_sagas(*engine, *lifecycle);
    lifecycle::register_revert_saga(*engine, *lifecycle);
    lifecycle::register_volume_from_snapshot_sagas(*engine, *lifecycle);
    lifecycle::register_checkpoint_sagas(*engine, *lifecycle);
    lifecycle::register_merge_saga(*engine, *lifecycle);
    lifecycle::register_flatten_saga(*engine, *lifecycle);
    merger = std::make_unique<lifecycle::Merger>(*lifecycle);
    lifecycle::register_lease_sagas(*engine, *lifecycle);
    lifecycle::register_memory_check_saga(*engine, *lifecycle);
    clone::register_clone_saga(*engine, *lifecycle);
    garbage_keeper = std::make_unique<lifecycle::GarbageKeeper>(*lifecycle);
    lifecycle::register_garbage_saga(*engine, *garbage_keeper);
    lease_keeper = std::make_unique<lifecycle::LeaseKeeper>(*lifecycle, clock);
    process_keeper = std::make_unique<lifecycle::ProcessKeeper>(*lifecycle);
}

Result<void> Service::Parts::prepare() {
    TRY_ASSIGN(const std::string password, initial_admin_password(options.data_dir));
    TRY(accounts->ensure_admin(password));
    resources::MachineFacts machine = resources::measure_machine();
    machine.accelerator = hypervisor->capabilities().accelerator;
    machine.accelerator_reason = hypervisor->capabilities().accelerator_reason;
    machine.hypervisor_version = hypervisor->capabilities().version;
    TRY(resources::bootstrap(*resources, identity::admin_caller(), machine));
    TRY_ASSIGN(const std::vector<VmId> running, hypervisor->reattach());
    if (!running.empty()) telemetry::log_info("{} VMs outlived the last server and are taken up", running.size());
    hypervisor->on_exit([this](const VmId& vm) {
        telemetry::log_info("VM {} has ended", vm.text());
        const Result<void> noted = lifecycle::vm_exited(*lifecycle, vm);
        if (!noted.has_value()) telemetry::log_error("VM {}: {} ({})", vm.text(), noted.error().message, noted.error().detail);
    });
    return {};
}

Result<void> Service::Parts::listen() {
    http::EdgeParts parts;
    parts.check_session = [this](const std::string& session) { return accounts->authenticate(session); };
    parts.check_references = http::database_reference_check(*database);
    parts.query = [this](const http::Call& call, const api::MessageInfo& message, const query::Parameters& parameters) -> Result<http::Answer> {
        TRY_ASSIGN(std::string body, inventory->query(message, parameters, call.caller));
        return http::Answer{http::Body{std::move(body)}};
    };
    parts.jobs = job_access(*log, *engine, *database);
    parts.web_hooks.addresses = options.web_hooks;
    parts.assets = make_assets(options.console_dir);
    parts.openapi = api::openapi_document(RAMET_VERSION);
    parts.version = RAMET_VERSION;
    parts.fallback_authority = options.listen_address + ":" + std::to_string(options.listen_port);
    const http::Routes routes = http::make_routes(*lifecycle, *accounts, parts.jobs);
    edge = std::make_unique<http::Edge>(std::move(parts), routes, clock, metrics);
    edge->resume_web_hooks();
    engine->on_finished([this](const Job& job) { edge->job_finished(job); });
    engine->on_finished([this](const Job&) { merger->notice(); });
    engine->on_finished([](const Job& job) {
        if (job.finish_date && job.finish_date->milliseconds - job.create_date.milliseconds <= limits::kShortJob.count()) expect_urgent_disk_use();
    });
    // Jobs of the last server go on before anyone can ask for new ones.
    TRY_ASSIGN(const std::size_t taken_up, engine->recover());
    if (taken_up > 0) telemetry::log_info("{} unfinished jobs are taken up", taken_up);
    TRY(lifecycle::reconcile_at_start(*lifecycle));
    metrics.add_gauge("ramet_jobs_running", "Jobs that are at work", [this] { return static_cast<double>(engine->running_jobs()); });
    metrics.add_gauge("ramet_garbage", "Things that nobody owns: seen, or in quarantine",
                      [this] { return static_cast<double>(garbage_keeper->known()); });
    identity_keeper->start();
    merger->start();
    lease_keeper->start();
    process_keeper->start();
    garbage_keeper->start();
    http::ServerOptions listener;
    listener.address = options.listen_address;
    listener.port = options.listen_port;
    server = std::make_unique<http::Server>(listener, [this](const http::Request& request) { return edge->handle(request); });
    TRY(server->start());
    address =
        "http://" + (options.listen_address == "0.0.0.0" ? std::string("127.0.0.1") : options.listen_address) + ":" + std::to_string(server->port());
    maintenance = std::jthread([this](const std::stop_token& stop) { maintain(stop); });
    return {};
}

void Service::Parts::maintain(const std::stop_token& stop) {
    using std::chrono::steady_clock;
    const auto warn = [](const auto& done) {
        if (!done.has_value()) telemetry::log_warning("maintenance: {} ({})", done.error().message, done.error().detail);
    };
    lifecycle::ExpungePace expunge_pace(*lifecycle);
    steady_clock::time_point next = steady_clock::now();
    while (!stop.stop_requested()) {
        const steady_clock::time_point now = steady_clock::now();
        const Result<bool> due = expunge_pace.is_due(now);
        warn(due);
        if (due.value_or(false)) warn(lifecycle::expunge_expired(*lifecycle));
        if (now >= next) {
            next = now + kMaintenancePause;
            warn(resources::expunge_expired_images(*resources));
            warn(lifecycle::prune_events(*lifecycle));
            warn(accounts->purge_expired_sessions());
            warn(log->purge_finished(Timestamp{clock.now().milliseconds - std::chrono::milliseconds(limits::kJobKept).count()}));
        }
        std::unique_lock lock(maintenance_mutex);
        maintenance_wake.wait_for(lock, stop, kExpungeLook, [] { return false; });
    }
}

Service::Service(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Service>> Service::start(const Options& options) {
    auto parts = std::make_unique<Parts>();
    parts->options = options;
    TRY(parts->open_adapters());
    parts->build_use_cases();
    TRY(parts->prepare());
    TRY(parts->listen());
    return std::unique_ptr<Service>(new Service(std::move(parts)));
}

Service::~Service() {
    if (parts_->server) parts_->server->stop();
    parts_->merger->stop();
    if (parts_->maintenance.joinable()) {
        parts_->maintenance.request_stop();
        parts_->maintenance.join();
    }
    parts_->garbage_keeper->stop();
    parts_->lease_keeper->stop();
    parts_->process_keeper->stop();
    parts_->hypervisor->on_exit(nullptr);
    parts_->server.reset();
    parts_->engine.reset();  // before what it tells of jobs that end
}

const std::string& Service::address() const { return parts_->address; }

bool Service::lost_sync() const { return parts_->lost_sync; }

Result<void> Service::teardown(const Options& options) {
    Parts parts;
    parts.options = options;
    TRY(parts.open_adapters());
    parts.build_use_cases();
    TRY(parts.hypervisor->reattach());
    TRY_ASSIGN(const std::vector<VmId> domains, parts.hypervisor->running_domains());
    for (const VmId& vm : domains) {
        TRY(parts.hypervisor->stop(vm, hypervisor::StopMode::cold, {}));
        TRY(lifecycle::note_exit(*parts.lifecycle, vm));
    }
    return parts.plumbing->remove_all();
}

}  // namespace ramet::daemon

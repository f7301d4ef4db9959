#include "simulation/world.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/invariants.hpp"
#include "lifecycle/reconcile.hpp"
#include "resources/bootstrap.hpp"
#include "simulation/interpose.hpp"
#include "simulation/picture.hpp"
#include "simulation/stuck_jobs.hpp"
#include "workflow/step_state.hpp"

namespace ramet::sim {

namespace fs = std::filesystem;

namespace {

constexpr int kSlots = 64;
constexpr int kStartsWithFaults = 5;  // then the operator has repaired the machine
constexpr int kLooks = 3;
constexpr int kLooksForQuiet = 100;                 // more than a run has chains to merge
constexpr std::int64_t kBetweenJobs = 100'000'000;  // within this the merger finds the next one
constexpr std::int64_t kImageBytes = limits::kMiB;

// Sealed files are immutable where the file system can.
void remove_tree(const std::string& root) {
    std::error_code error;
    for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end; entry.increment(error)) {
        if (!entry->is_regular_file()) continue;
        const int file = ::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC);
        int flags = 0;
        if (::ioctl(file, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL) != 0) {
            flags &= ~FS_IMMUTABLE_FL;
            ::ioctl(file, FS_IOC_SETFLAGS, &flags);
        }
        ::close(file);
    }
    fs::remove_all(root, error);
}

void must(const Result<void>& done) {
    if (!done.has_value()) throw std::runtime_error(done.error().message + " " + done.error().detail);
}

Result<void> add_image(store::Transaction& transaction, const std::string& file) {
    TRY_ASSIGN(const std::vector<BackupStorage> stores, store::list<BackupStorage>(transaction));
    Image image;
    image.uuid = ImageId::derived("simulation", "image");
    image.name = "image";
    image.status = ImageStatus::ready;
    image.size = kImageBytes;
    TRY(store::insert(transaction, image));
    TRY(identity::own(transaction, identity::admin_caller(), image.uuid.text(), describe<Image>().vo_type));
    ImageBackupStorageRef copy;
    copy.uuid = image.uuid.text() + "-" + stores.front().uuid.text();
    copy.image_uuid = image.uuid;
    copy.backup_storage_uuid = stores.front().uuid;
    copy.install_path = stores.front().url + "/" + file;
    copy.status = ImageStatus::ready;
    return store::insert(transaction, copy);
}

void make_pool(const std::string& data_dir) {
    for (const char* folder : {"/seeds", "/run", "/memory"}) fs::create_directories(data_dir + folder);
    Machine machine{data_dir};
    const auto tally = std::make_unique<Tally>();
    Seam seam(*tally);
    Server server(machine, seam);
    must(server.quiet_database().write([](store::Transaction& transaction) {
        Account admin;
        admin.uuid = identity::admin_caller().account;
        admin.name = identity::admin_caller().account_name;
        admin.type = "SystemAdmin";
        return store::insert(transaction, admin);
    }));
    resources::MachineFacts facts;
    facts.cpu_num = 64;
    facts.memory_bytes = 64 * limits::kGiB;
    must(resources::bootstrap(server.parts().shared, identity::admin_caller(), facts));
    storage::DirStorages storages;
    const std::shared_ptr<storage::PrimaryStorage> images = storages.open(data_dir + "/images").value();
    must(images->create_empty("image.qcow2", kImageBytes, storage::Provisioning::thin));
    must(server.quiet_database().write([](store::Transaction& transaction) { return add_image(transaction, "image.qcow2"); }));
}

}  // namespace

// --- the slot

Slot::Slot() {
    for (int number = 0; number < kSlots; ++number) {
        root_ = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/ramet-simulation-" + std::to_string(100 + number);
        lock_ = ::open((root_ + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) == 0) break;
        if (lock_ >= 0) ::close(lock_);
        lock_ = -1;
    }
    if (lock_ < 0) throw std::runtime_error("no slot is free for a simulation");
    remove_tree(root_);
    fs::create_directories(data_dir());
    draw_from_seed();  // the same pool for every worker, and each time
    make_pool(data_dir());
    fs::rename(data_dir(), root_ + "/empty");
}

Slot::~Slot() {
    remove_tree(root_);
    ::unlink((root_ + ".lock").c_str());
    ::close(lock_);
}

void Slot::restore() {
    remove_tree(data_dir());
    fs::copy(root_ + "/empty", data_dir(), fs::copy_options::recursive);
}

// --- the world

World::World(const Slot& slot, Tally& tally, std::uint64_t seed, Script script)
    : tally_(tally),
      seed_(seed),
      script_(std::move(script)),
      seam_(tally),
      machine_{slot.data_dir()} {}

namespace {

Seam* hooked = nullptr;

std::vector<Job> unended(Client& client) {
    std::vector<Job> jobs = client.rows<Job>();
    std::erase_if(jobs, [](const Job& job) { return workflow::is_terminal(job.state); });
    return jobs;
}

}  // namespace

void World::run() {
    simulate_from_now_on();
    scheduler().begin(seed_, [this](const std::string& why) { tally_.violation("simulation: " + why); });
    hooked = &seam_;
    hook_crash_points([](const char* name) { hooked->passage(name); });
    seam_.on_death([this] {
        ++tally_.deaths;
        scheduler().note("the server dies");
        scheduler().drop_other_threads();
        static_cast<void>(server_.release());  // its memory is no more than that: its threads are gone
        machine_.outlive_the_server();
        if (script_.power_cut && script_.power_cut()) {
            ++tally_.power_cuts;
            scheduler().note("and the machine with it");
            machine_.lose_power();
        }
        live();
    });
    live();
}

void World::live() {
    try {
        ++lives_;
        serve();
        settle();
        judge();
    } catch (const std::exception& thrown) { tally_.violation(std::string("simulation: ") + thrown.what()); }
    ::_exit(1);
}

void World::serve() {
    for (int tries = 0;; ++tries) {
        if (tries == kStartsWithFaults) seam_.no_more_faults();
        if (tries > 2 * kStartsWithFaults) throw std::runtime_error("the server does not start any more");
        server_ = std::make_unique<Server>(machine_, seam_);
        if (server_->start().has_value()) break;
        server_.reset();
    }
    Client client(*server_);
    if (std::exchange(prepared_, true)) {
        if (script_.after_death) script_.after_death(client);
        return;
    }
    script_.prepare(client);
    server_->wait_for_all_jobs();
    scheduler().note("prepared");
    seam_.faults(script_.faults, script_.crash);
    seam_.leaves_out = script_.leaves_out;
    seam_.watch().step_without_locks = script_.step_without_locks;
    if (script_.mutate) script_.mutate(client, seam_);
    if (script_.act) script_.act(client);
}

// Faults stop: what is at work ends, and one more server takes up what the last one has left.
void World::settle() {
    seam_.no_more_faults();
    seam_.leaves_out = {};
    seam_.watch().step_without_locks.clear();
    server_->wait_for_all_jobs();
    if (script_.afterwards) {
        Client client(*server_);
        script_.afterwards(client);
    }
    if (script_.judge_at_once) return;
    server_.reset();
    server_ = std::make_unique<Server>(machine_, seam_);
    must(server_->start());
    server_->wait_for_all_jobs();
    must(server_->maintain());
    server_->wait_for_all_jobs();
}

// Merges begin by themselves, one after the other.
void World::wait_until_quiet(Client& client) {
    for (int look = 0; look < kLooksForQuiet; ++look) {
        server_->wait_for_all_jobs();
        scheduler().sleep(kBetweenJobs);
        if (unended(client).empty()) return;
    }
}

void World::judge() {
    tally_.clock_steps += scheduler().wall_steps();
    Client client(*server_);
    wait_until_quiet(client);
    if (script_.damage) script_.damage(client);
    for (const Job& job : client.rows<Job>()) {
        tally_.jobs_succeeded += job.state == JobState::succeeded ? 1 : 0;
        tally_.jobs_failed += job.state == JobState::failed ? 1 : 0;
        tally_.jobs_cancelled += job.state == JobState::cancelled ? 1 : 0;
        tally_.jobs_stuck += job.state == JobState::stuck ? 1 : 0;
        const bool partly = job.state == JobState::succeeded && job.result.value_or("").find("\"error\":") != std::string::npos;
        tally_.jobs_partly += partly ? 1 : 0;
    }
    std::vector<std::string> found = violations(client, script_.stuck_is_no_violation);
    // So do the ends of leases; what they are at is no violation when they have ended, and one that failed is tried again after a while.
    for (int look = 0; look < kLooks && !found.empty() && !script_.damage; ++look) {
        scheduler().sleep(std::chrono::nanoseconds(limits::kKeeperRetry).count());
        server_->wait_for_all_jobs();
        found = violations(client, script_.stuck_is_no_violation);
    }
    for (const std::string& violation : found) tally_.violation(violation);
    if (script_.look) script_.look(client);
    tally_.digest = scheduler().digest();
    tally_.ended = true;
    ::_exit(0);
}

std::vector<std::string> World::violations(Client& client, bool stuck_is_no_violation) {
    std::vector<std::string> found;
    const auto doctor = [&]() -> Result<void> {
        TRY_ASSIGN(const lifecycle::Survey seen, lifecycle::survey(client.parts()));
        TRY_ASSIGN(const std::vector<lifecycle::Invariant> invariants, lifecycle::check_invariants(client.parts(), seen));
        for (const lifecycle::Invariant& invariant : invariants)
            for (const std::string& finding : invariant.findings) found.push_back(std::string(invariant.number) + ": " + finding);
        TRY_ASSIGN(const std::vector<lifecycle::Finding> orphans, lifecycle::find_orphans(client.parts(), seen));
        for (const lifecycle::Finding& orphan : orphans) found.push_back("orphan: " + orphan.kind + ": " + orphan.what);
        return {};
    };
    const Result<void> looked = doctor();
    if (!looked.has_value()) found.push_back("the doctor could not look: " + looked.error().message + " " + looked.error().detail);
    // What the doctor cannot see afterwards and this machine can.
    for (const auto& [vm, domain] : client.vms().domains()) {
        if (domain.freezes != domain.thaws) found.push_back("I9: VM " + vm.text() + " was frozen and not thawed");
        if (domain.background && domain.state != hypervisor::DomainState::shut_off)
            found.push_back("process: VM " + vm.text() + " was left in the background");
    }
    for (const VmInstance& vm : client.rows<VmInstance>({{"state", std::string(name_of(VmState::paused))}})) {
        const auto domain = client.vms().domain(vm.uuid);
        if (domain && domain->state == hypervisor::DomainState::running) found.push_back("I10: VM " + vm.uuid.text() + " is Paused and its CPUs run");
    }
    for (const std::string& difference : processes_unlike_their_rows(client)) found.push_back(difference);
    for (const Job& job : unended(client)) found.push_back("I17: job " + job.uuid.text() + " of kind " + job.kind + " has not ended");
    if (stuck_is_no_violation) found = findings_of_others(std::move(found), resources_of_stuck_jobs(client));
    return found;
}

void run_in_process(Slot& slot, Tally& tally, std::uint64_t seed, const Script& script) {
    // The lives of the server are children of children: they come here when their parents have died.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    slot.restore();
    tally.begin_run();
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("no more processes");
    if (child == 0) World(slot, tally, seed, script).run();
    int status = 0;
    while (::waitpid(-1, &status, 0) > 0)
        if (WIFSIGNALED(status)) tally.violation("simulation: the server died of signal " + std::to_string(WTERMSIG(status)));
    if (!tally.ended && tally.violations[0] == '\0') tally.violation("simulation: the run ended without a judgement");
}

}  // namespace ramet::sim

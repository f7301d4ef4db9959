#include "guest/identity_keeper.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/task_group.hpp"
#include "guest/identity_script.hpp"
#include "model/vm.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::guest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kPingPatience{1000};
constexpr milliseconds kGivePatience{30'000};  // making SSH keys on a slow machine
constexpr milliseconds kRoundPause{400};       // between two looks at guests that are still booting
constexpr seconds kSilentGuestPause{30};       // a guest that stayed silent this long is asked less often
constexpr std::size_t kGuestsAtOnce = 4;

}  // namespace

Result<std::vector<api::IdentityFact>> give_identity(hypervisor::Hypervisor& hypervisor, const WantedIdentity& wanted, milliseconds patience) {
    const std::vector<std::string> arguments{"-c",
                                             std::string(identity_script()),
                                             "ramet-identity",
                                             wanted.instance_id,
                                             wanted.host_name,
                                             std::string(name_of(wanted.mode)),
                                             wanted.expects_address ? "address" : ""};
    TRY_ASSIGN(const hypervisor::ExecResult outcome, hypervisor.agent_exec(wanted.vm, "/bin/sh", arguments, {}, patience));
    if (outcome.exit_code == kTryAgainLater) return fail(ErrorCode::timeout, "the guest is still being set up");
    if (outcome.exit_code != 0) {
        return fail(ErrorCode::operation_failed, "the guest could not take its identity (exit " + std::to_string(outcome.exit_code) + ")",
                    outcome.err.substr(0, 512));
    }
    return read_answer(outcome.out);
}

class IdentityKeeper::Impl {
public:
    Impl(store::Database& database, hypervisor::Hypervisor& hypervisor, Wanted wanted)
        : database_(database),
          hypervisor_(hypervisor),
          wanted_(std::move(wanted)) {}

    void start() {
        thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
    }

    void notice() {
        {
            const std::lock_guard lock(mutex_);
            noticed_ = true;
        }
        wake_.notify_one();
    }

private:
    struct Waiting {
        steady_clock::time_point since, next_try;
    };

    void work(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const bool any = round();
            std::unique_lock lock(mutex_);
            if (any) {
                wake_.wait_for(lock, stop, kRoundPause, [] { return false; });
            } else {
                wake_.wait(lock, stop, [this] { return noticed_; });
            }
            noticed_ = false;
        }
    }

    // Looks once at every pending VM that runs; true when there is one.
    bool round() {
        const Result<std::vector<WantedIdentity>> pending =
            store::read(database_, [this](store::Transaction& transaction) { return pending_vms(transaction); });
        if (!pending.has_value()) {
            telemetry::log_warning("cannot read which guests wait for their identity: {}", pending.error().detail);
            return true;
        }
        std::vector<WantedIdentity> due;
        const auto now = steady_clock::now();
        for (const WantedIdentity& wanted : *pending) {
            const auto known = waiting_.try_emplace(wanted.vm.text(), Waiting{now, now}).first;
            if (known->second.next_try <= now) due.push_back(wanted);
        }
        std::mutex done_mutex;
        std::vector<std::string> done;
        for_each_parallel(due.size(), kGuestsAtOnce, [&](std::size_t index) {
            if (!try_one(due[index])) return;
            const std::lock_guard lock(done_mutex);
            done.push_back(due[index].vm.text());
        });
        const auto after = steady_clock::now();
        for (const WantedIdentity& wanted : due) {
            Waiting& waiting = waiting_[wanted.vm.text()];
            waiting.next_try = after + (after - waiting.since > 20 * kSilentGuestPause ? milliseconds(kSilentGuestPause) : kRoundPause);
        }
        for (const std::string& vm : done) waiting_.erase(vm);
        return !pending->empty();
    }

    Result<std::vector<WantedIdentity>> pending_vms(store::Transaction& transaction) {
        std::vector<WantedIdentity> pending;
        for (const IdentityState state : {IdentityState::pending, IdentityState::given}) {
            TRY_ASSIGN(const std::vector<VmInstance> vms, store::list<VmInstance>(transaction, {{"identityState", std::string(name_of(state))},
                                                                                                {"state", std::string(name_of(VmState::running))}}));
            for (const VmInstance& vm : vms) {
                if (vm.owner_job_uuid) continue;  // an instant clone: its gate is at work
                TRY_ASSIGN(WantedIdentity wanted, wanted_(transaction, vm.uuid));
                pending.push_back(std::move(wanted));
            }
        }
        return pending;
    }

    bool try_one(const WantedIdentity& wanted) {
        if (!hypervisor_.agent_ping(wanted.vm, kPingPatience).has_value()) return false;
        const Result<std::vector<api::IdentityFact>> given = give_identity(hypervisor_, wanted, kGivePatience);
        if (!given.has_value()) {
            if (given.error().code != ErrorCode::timeout) note_refusal(wanted.vm, given.error());
            return false;
        }
        const Result<void> kept = database_.write([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, wanted.vm.text()));
            // It may have been given another name while the guest took this one.
            TRY_ASSIGN(const WantedIdentity now, wanted_(transaction, wanted.vm));
            TRY(note_facts(transaction, wanted.vm, *given));
            if (now.host_name != wanted.host_name) return {};
            vm.identity_state = IdentityState::own;
            return store::update(transaction, vm);
        });
        if (kept.has_value()) telemetry::log_info("VM {}: its identity was seen in the guest", wanted.vm.text());
        return kept.has_value();
    }

    void note_refusal(const VmId& vm, const Error& error) {
        telemetry::log_warning("VM {}: {} ({})", vm.text(), error.message, error.detail);
        const Result<void> noted = database_.write([&](store::Transaction& transaction) { return note_trouble(transaction, vm, error.message); });
        if (!noted.has_value()) telemetry::log_warning("VM {}: {}", vm.text(), noted.error().detail);
    }

    store::Database& database_;
    hypervisor::Hypervisor& hypervisor_;
    Wanted wanted_;
    std::map<std::string, Waiting> waiting_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    bool noticed_ = true;
    std::jthread thread_;
};

IdentityKeeper::IdentityKeeper(store::Database& database, hypervisor::Hypervisor& hypervisor, Wanted wanted)
    : impl_(std::make_unique<Impl>(database, hypervisor, std::move(wanted))) {}
IdentityKeeper::~IdentityKeeper() = default;
void IdentityKeeper::start() { impl_->start(); }
void IdentityKeeper::notice() { impl_->notice(); }

}  // namespace ramet::guest

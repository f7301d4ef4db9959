#include "guest/identity_keeper.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/task_group.hpp"
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
constexpr int kTryAgainLater = 75;             // the script's exit code while cloud-init is still at work
constexpr milliseconds kRoundPause{400};       // between two looks at guests that are still booting
constexpr seconds kSilentGuestPause{30};       // a guest that stayed silent this long is asked less often
constexpr std::size_t kGuestsAtOnce = 4;

// Run by the guest's own /bin/sh, with the instance-id and the host name as arguments. It changes only what still bears another
// identity, so it may run twice. Where cloud-init or the image's own first-boot service does the work, it lets them finish.
constexpr const char* kIdentityScript = R"sh(
id="$1"; name="$2"; marker=/var/lib/ramet/instance-id
[ "$(cat $marker 2>/dev/null)" = "$id" ] && [ "$(hostname)" = "$name" ] && exit 0
keys_done=no
if command -v cloud-init >/dev/null 2>&1 && [ -d /run/cloud-init ]; then
    [ -f /run/cloud-init/result.json ] || exit 75
    [ "$(cat /var/lib/cloud/data/instance-id 2>/dev/null)" = "$id" ] && keys_done=yes
fi
[ "$(cat /etc/ramet/instance-id 2>/dev/null)" = "$id" ] && keys_done=yes
if [ "$(cat /etc/machine-id 2>/dev/null)" != "$id" ]; then
    echo "$id" > /etc/machine-id || exit 1
    [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ] && echo "$id" > /var/lib/dbus/machine-id
fi
if [ "$(hostname)" != "$name" ]; then
    old="$(hostname)"
    if command -v hostnamectl >/dev/null 2>&1; then hostnamectl set-hostname "$name" 2>/dev/null || hostname "$name"; else hostname "$name"; fi
    echo "$name" > /etc/hostname
    [ -w /etc/hosts ] && [ -n "$old" ] && sed -i "s/\([[:space:]]\)$old\([[:space:]]\|$\)/\1$name\2/g" /etc/hosts
fi
if [ $keys_done = no ] && command -v ssh-keygen >/dev/null 2>&1 && [ -d /etc/ssh ]; then
    rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
    ssh-keygen -A >/dev/null 2>&1 || exit 2
    command -v systemctl >/dev/null 2>&1 && systemctl try-restart ssh.service sshd.service >/dev/null 2>&1
fi
mkdir -p /var/lib/ramet && echo "$id" > $marker
sync
exit 0
)sh";

}  // namespace

Result<void> give_identity(hypervisor::Hypervisor& hypervisor, const WantedIdentity& wanted, milliseconds patience) {
    TRY_ASSIGN(
        const hypervisor::ExecResult outcome,
        hypervisor.agent_exec(wanted.vm, "/bin/sh", {"-c", kIdentityScript, "ramet-identity", wanted.instance_id, wanted.host_name}, {}, patience));
    if (outcome.exit_code == kTryAgainLater) return fail(ErrorCode::timeout, "the guest is still being set up by cloud-init");
    if (outcome.exit_code != 0) {
        return fail(ErrorCode::operation_failed, "the guest could not take its identity (exit " + std::to_string(outcome.exit_code) + ")",
                    outcome.err.substr(0, 512));
    }
    return {};
}

class IdentityKeeper::Impl {
public:
    Impl(store::Database& database, hypervisor::Hypervisor& hypervisor, HostName host_name_of)
        : database_(database),
          hypervisor_(hypervisor),
          host_name_of_(std::move(host_name_of)) {}

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
        TRY_ASSIGN(const std::vector<VmInstance> vms,
                   store::list<VmInstance>(transaction, {{"identityState", std::string(name_of(IdentityState::pending))},
                                                         {"state", std::string(name_of(VmState::running))}}));
        for (const VmInstance& vm : vms) {
            if (vm.owner_job_uuid) continue;  // an instant clone: its gate is at work
            TRY_ASSIGN(std::string host_name, host_name_of_(transaction, vm.uuid));
            pending.push_back({vm.uuid, vm.uuid.text(), std::move(host_name)});
        }
        return pending;
    }

    bool try_one(const WantedIdentity& wanted) {
        if (!hypervisor_.agent_ping(wanted.vm, kPingPatience).has_value()) return false;
        const Result<void> given = give_identity(hypervisor_, wanted, kGivePatience);
        if (!given.has_value() && given.error().code == ErrorCode::timeout) return false;
        if (!given.has_value()) {
            telemetry::log_warning("VM {}: {} ({})", wanted.vm.text(), given.error().message, given.error().detail);
            return false;
        }
        const Result<void> kept = database_.write([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, wanted.vm.text()));
            vm.identity_state = IdentityState::own;
            return store::update(transaction, vm);
        });
        if (kept.has_value()) telemetry::log_info("VM {} has its own identity as '{}'", wanted.vm.text(), wanted.host_name);
        return kept.has_value();
    }

    store::Database& database_;
    hypervisor::Hypervisor& hypervisor_;
    HostName host_name_of_;
    std::map<std::string, Waiting> waiting_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    bool noticed_ = true;
    std::jthread thread_;
};

IdentityKeeper::IdentityKeeper(store::Database& database, hypervisor::Hypervisor& hypervisor, HostName host_name_of)
    : impl_(std::make_unique<Impl>(database, hypervisor, std::move(host_name_of))) {}
IdentityKeeper::~IdentityKeeper() = default;
void IdentityKeeper::start() { impl_->start(); }
void IdentityKeeper::notice() { impl_->notice(); }

}  // namespace ramet::guest

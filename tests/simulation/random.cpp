// D1: a seed draws a pool of VMs, what is asked of them, and what goes wrong meanwhile.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <utility>

#include "base/limits.hpp"
#include "lifecycle/checkpoints.hpp"
#include "lifecycle/destroy.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/snapshots.hpp"
#include "lifecycle/volumes.hpp"
#include "simulation/campaigns.hpp"

namespace ramet::sim {

namespace {

constexpr std::uint64_t kSeedsOfAPullRequest = 2000;  // about 0.04 s of a core each
constexpr std::uint64_t kSeedsOfANight = 1'000'000;
constexpr std::uint64_t kReplayedOf = 50;  // each so many-th seed is run twice, which must be the same
constexpr std::int64_t kMillisecond = 1'000'000;

constexpr std::uint64_t kCallsOfAnUndo = 100;  // in its three tries, and of who works beside it

// What goes wrong: at most `left` times, no operation twice in a row, and never three calls within one undo, which tries three times: it gets
// through. One that did not would leave its job stuck, as it should.
struct Trouble {
    Random draw;
    std::uint64_t one_call_in = 0, one_passage_in = 0;  // 0: never
    int left = 0, deaths_left = 0;
    std::map<std::string, int> spared;
    std::uint64_t calls = 0, last_fault = 0, fault_before = 0;

    Fault fault(const Call& call) {
        int& calls_spared = spared[std::string(call.operation)];
        if (calls_spared > 0) --calls_spared;
        ++calls;
        const bool may_be_one_undo = fault_before != 0 && calls - fault_before < kCallsOfAnUndo;
        if (one_call_in == 0 || left == 0 || calls_spared > 0 || may_be_one_undo || !draw.one_in(one_call_in)) return Fault::none;
        --left;
        calls_spared = 4;
        fault_before = std::exchange(last_fault, calls);
        constexpr std::array kKinds{Fault::error, Fault::lost_reply,   Fault::twice,       Fault::delay, Fault::hang,      Fault::no_space,
                                    Fault::torn,  Fault::crash_before, Fault::crash_after, Fault::error, Fault::lost_reply};
        const Fault kind = kKinds.at(draw.below(kKinds.size()));
        const bool dies = kind == Fault::torn || kind == Fault::crash_before || kind == Fault::crash_after;
        if (!dies) return kind;
        return deaths_left-- > 0 ? kind : Fault::error;
    }
    bool death() {
        if (one_passage_in == 0 || deaths_left <= 0 || !draw.one_in(one_passage_in)) return false;
        --deaths_left;
        return true;
    }
};

// The client, over the deaths of its server.
class RandomClient {
public:
    explicit RandomClient(std::uint64_t seed) : draw_(seed), left_(4 + static_cast<int>(draw_.below(10))) {}

    void prepare(Client& client) {
        const std::uint64_t vms = 1 + draw_.below(3);
        for (std::uint64_t i = 0; i < vms; ++i) {
            const std::string name = "vm-" + std::to_string(i);
            client.wait(client.create(name, draw_.one_in(2), draw_.below(3)));
            if (draw_.one_in(3)) client.wait(lifecycle::pause_vm(client.parts(), Client::request(), {client.must_vm(name).uuid}));
            client.guest_writes(name);
        }
        client.vms().set_agent_everywhere(draw_.one_in(2));
        client.server().machine().claims_to_share_blocks = draw_.one_in(3);
    }

    void go_on(Client& client) {
        while (left_ > 0) {
            --left_;
            const Result<std::optional<JobId>> job = ask(client);
            if (!job.has_value()) scheduler().note("refused: " + job.error().message);
            if (!job.has_value() || !*job) continue;
            if (draw_.one_in(6)) {
                scheduler().sleep(static_cast<std::int64_t>(draw_.below(20)) * kMillisecond);
                (void)client.server().engine().cancel(**job);
            }
            if (draw_.one_in(2)) client.wait(job);
        }
    }

private:
    template <class Row>
    std::optional<Row> any(Client& client) {
        std::vector<Row> all = client.rows<Row>();
        if (all.empty()) return std::nullopt;
        std::ranges::sort(all, {}, [](const Row& row) { return row.uuid.text(); });
        return all[draw_.below(all.size())];
    }

    Result<std::optional<JobId>> ask(Client& client) {
        const std::optional<VmInstance> vm = any<VmInstance>(client);
        switch (draw_.below(16)) {
        case 0: return client.create("new-" + std::to_string(left_), draw_.one_in(2), draw_.below(2));
        case 1:
        case 2:
        case 3:
        case 4: return vm ? clone(client, *vm) : Result<std::optional<JobId>>(std::nullopt);
        case 5: return beside(client, vm);
        case 6:
        case 7: return vm ? power(client, *vm) : Result<std::optional<JobId>>(std::nullopt);
        case 8:
        case 9: return vm ? remove(client, *vm) : Result<std::optional<JobId>>(std::nullopt);
        case 10:
        case 11: return volumes(client, vm);
        case 12:
        case 13: return vm ? kept(client, *vm) : Result<std::optional<JobId>>(std::nullopt);
        case 14: return vm ? flatten(client, *vm) : Result<std::optional<JobId>>(std::nullopt);
        default: return lifecycle::clean_garbage(client.parts(), Client::request());
        }
    }

    Result<std::optional<JobId>> clone(Client& client, const VmInstance& vm) {
        constexpr std::array<std::size_t, 6> kBatches{1, 1, 3, 3, 3, 16};
        return client.clone(vm, kBatches.at(draw_.below(kBatches.size())), [&](api::CloneVmInstance& message) {
            message.full = draw_.one_in(2);
            if (draw_.one_in(3)) message.copy = draw_.one_in(4) ? "reflink" : "full";
            message.memory = message.copy == "auto" && draw_.one_in(5);
            message.atomic = draw_.one_in(4);
            if (!message.memory && draw_.one_in(3)) message.strategy = "CreateStopped";
            if (draw_.one_in(6)) message.expires_in = 60 + static_cast<std::int64_t>(draw_.below(300));
            if (draw_.one_in(4)) message.quiesce = draw_.one_in(2) ? "require" : "never";
            const auto checkpoint = any<Checkpoint>(client);
            if (checkpoint && draw_.one_in(3)) {
                message.vm_instance_uuid = VmId();
                message.checkpoint_uuid = checkpoint->uuid;
            }
        });
    }

    // What happens beside the calls.
    Result<std::optional<JobId>> beside(Client& client, const std::optional<VmInstance>& vm) {
        switch (draw_.below(4)) {
        case 0: scheduler().step_wall_clock(static_cast<std::int64_t>(draw_.below(7'200'000)) - 3'600'000); break;
        case 1: scheduler().sleep(static_cast<std::int64_t>(draw_.below(400'000)) * kMillisecond); break;
        case 2:
            if (vm) client.guest_writes(vm->name);
            break;
        default:
            if (vm && client.vms().domain(vm->uuid)) client.vms().crash(vm->uuid);
        }
        return std::nullopt;
    }

    Result<std::optional<JobId>> power(Client& client, const VmInstance& vm) {
        switch (draw_.below(5)) {
        case 0: return lifecycle::start_vm(client.parts(), Client::request(), {vm.uuid});
        case 1: return lifecycle::stop_vm(client.parts(), Client::request(), {vm.uuid, draw_.one_in(2) ? "cold" : "grace"});
        case 2: return lifecycle::reboot_vm(client.parts(), Client::request(), {vm.uuid});
        case 3: return lifecycle::pause_vm(client.parts(), Client::request(), {vm.uuid});
        default: return lifecycle::resume_vm(client.parts(), Client::request(), {vm.uuid});
        }
    }

    Result<std::optional<JobId>> remove(Client& client, const VmInstance& vm) {
        switch (draw_.below(3)) {
        case 0: return lifecycle::expunge_vm(client.parts(), Client::request(), {vm.uuid});
        case 1: return lifecycle::recover_vm(client.parts(), Client::request(), {vm.uuid});
        default: return lifecycle::destroy_vm(client.parts(), Client::request(), {vm.uuid});
        }
    }

    Result<std::optional<JobId>> volumes(Client& client, const std::optional<VmInstance>& vm) {
        const std::optional<Volume> volume = any<Volume>(client);
        if (!volume || draw_.one_in(4)) {
            api::CreateDataVolume message;
            message.name = "extra";
            message.disk_size = limits::kMiB;
            return lifecycle::create_data_volume(client.parts(), Client::request(), message);
        }
        switch (draw_.below(4)) {
        case 0: return lifecycle::detach_data_volume(client.parts(), Client::request(), {volume->uuid, std::nullopt});
        case 1: return lifecycle::delete_data_volume(client.parts(), Client::request(), {volume->uuid});
        case 2: return lifecycle::expunge_data_volume(client.parts(), Client::request(), {volume->uuid});
        default:
            if (!vm) return std::nullopt;
            return lifecycle::attach_data_volume(client.parts(), Client::request(), {volume->uuid, vm->uuid});
        }
    }

    // Snapshots and checkpoints.
    Result<std::optional<JobId>> kept(Client& client, const VmInstance& vm) {
        const auto group = any<VolumeSnapshotGroup>(client);
        const auto checkpoint = any<Checkpoint>(client);
        const std::uint64_t choice = draw_.below(6);
        if (choice == 0 && group) return lifecycle::delete_snapshot_group(client.parts(), Client::request(), {group->uuid});
        if (choice == 1 && group) return lifecycle::revert_vm(client.parts(), Client::request(), {group->uuid});
        if (choice == 2 && checkpoint) return lifecycle::delete_checkpoint(client.parts(), Client::request(), {checkpoint->uuid});
        if (choice < 4) return client.snapshot_group(vm, "group-" + std::to_string(left_), draw_.one_in(3));
        api::CreateCheckpoint message;
        message.vm_instance_uuid = vm.uuid;
        message.name = "checkpoint-" + std::to_string(left_);
        message.memory = draw_.one_in(3);
        return lifecycle::create_checkpoint(client.parts(), Client::request(), message);
    }

    static Result<std::optional<JobId>> flatten(Client& client, const VmInstance& vm) {
        TRY_ASSIGN(const lifecycle::FlattenAnswer answer, lifecycle::flatten_vm(client.parts(), Client::request(), {vm.uuid, true, false}));
        if (const JobId* job = std::get_if<JobId>(&answer)) return *job;
        return std::nullopt;
    }

    Random draw_;
    int left_;
};

}  // namespace

Script random_script(std::uint64_t seed) {
    auto client = std::make_shared<RandomClient>(seed * 3 + 1);
    auto trouble = std::make_shared<Trouble>(Trouble{Random(seed * 3 + 2)});
    constexpr std::array<std::uint64_t, 4> kRates{0, 400, 120, 40};
    trouble->one_call_in = kRates.at(trouble->draw.below(kRates.size()));
    trouble->one_passage_in = kRates.at(trouble->draw.below(kRates.size()));
    trouble->left = static_cast<int>(1 + trouble->draw.below(8));
    trouble->deaths_left = static_cast<int>(1 + trouble->draw.below(4));
    Script script;
    script.prepare = [client](Client& at) { client->prepare(at); };
    script.act = [client](Client& at) { client->go_on(at); };
    script.after_death = script.act;
    script.faults = [trouble](const Call& call, std::uint64_t) { return trouble->fault(call); };
    script.crash = [trouble](std::string_view, std::uint64_t) { return trouble->death(); };
    script.power_cut = [trouble] { return trouble->draw.one_in(2); };
    return script;
}

bool run_random(const Options& options) {
    const std::uint64_t seeds = options.seeds != 0 ? options.seeds : options.nightly ? kSeedsOfANight : kSeedsOfAPullRequest;
    SideBySide all(options.workers);
    all.run(seeds, [&](std::size_t index, Slot& slot, Tally& tally) {
        const std::uint64_t seed = options.first_seed + index;
        all.one_run(slot, tally, seed, random_script(seed));
        if (tally.violations[0] != '\0') SideBySide::report_failure("seed " + std::to_string(seed), tally);
        if (seed % kReplayedOf != 0 && options.campaign != "replay") return;
        const std::uint64_t digest = tally.digest;
        all.one_run(slot, tally, seed, random_script(seed));
        if (tally.digest != digest) {
            tally.violation("two runs of the seed are not the same");
            SideBySide::report_failure("seed " + std::to_string(seed), tally);
        }
        if (options.campaign == "replay")
            std::printf("seed %llu: digest %016llx, twice\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(digest));
    });
    std::printf("D1 random: seeds %llu to %llu, %llu runs, %llu violations\n", static_cast<unsigned long long>(options.first_seed),
                static_cast<unsigned long long>(options.first_seed + seeds - 1), static_cast<unsigned long long>(all.runs()),
                static_cast<unsigned long long>(all.failures()));
    all.print_table(false);
    return all.failures() == 0;
}

}  // namespace ramet::sim

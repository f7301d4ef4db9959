#include "lifecycle/garbage.hpp"

#include <algorithm>
#include <filesystem>

#include "api/json.hpp"
#include "api/messages_vm.hpp"
#include "base/crash_point.hpp"
#include "base/limits.hpp"
#include "lifecycle/events.hpp"
#include "lifecycle/layers.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/survey.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;
namespace fs = std::filesystem;

namespace {

std::string uuid_of(const Unowned& thing) { return JobId::derived(thing.kind, thing.root + "\n" + thing.what).text(); }

bool is_directory(std::string_view kind) { return kind == kFirmwareWithoutVm || kind == kMemoryWithoutRow; }

bool is_on_disk(std::string_view kind) {
    return kind == kFileWithoutRow || kind == kImageFileWithoutRow || kind == kSeedWithoutVm || is_directory(kind);
}

std::string folder_of(const Parts& parts, const Garbage& thing) {
    if (thing.kind == kSeedWithoutVm) return parts.shared.data_dir + "/seeds";
    if (thing.kind == kFirmwareWithoutVm) return parts.shared.data_dir + "/firmware";
    if (thing.kind == kMemoryWithoutRow) return parts.shared.data_dir + "/memory";
    return thing.root;
}

// Below the root of the file's own storage, so that nothing is copied. The uuid keeps names apart.
std::string place_aside(const Garbage& thing, Timestamp now) {
    std::string day = std::to_string(now.milliseconds / 86'400'000);
    return std::string(kQuarantine) + "/" + day + "/" + thing.uuid + "-" + fs::path(thing.what).filename().string();
}

Result<void> rename_file(const std::string& from, const std::string& to) {
    std::error_code error;
    if (!fs::exists(from, error)) return {};  // it went by itself, or is there already
    fs::create_directories(fs::path(to).parent_path(), error);
    fs::rename(from, to, error);
    if (error) return fail(ErrorCode::operation_failed, "what has no owner cannot be put aside", from + ": " + error.message());
    return {};
}

Result<void> remove_from_disk(const std::string& path) {
    std::error_code error;
    fs::remove_all(path, error);  // links in it are not followed
    if (error) return fail(ErrorCode::operation_failed, "what has no owner cannot be removed", path + ": " + error.message());
    std::error_code not_empty;
    fs::remove(fs::path(path).parent_path(), not_empty);
    return {};
}

// May be repeated.
Result<void> put_aside(Parts& parts, const Garbage& thing) {
    if (thing.kind == kFileWithoutRow) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(thing.root));
        TRY_ASSIGN(const bool there, storage->exists(thing.what));
        return there ? storage->move(thing.what, thing.moved_to.value_or("")) : Result<void>{};
    }
    if (is_on_disk(thing.kind)) {
        const std::string folder = folder_of(parts, thing);
        return rename_file(folder + "/" + thing.what, folder + "/" + thing.moved_to.value_or(""));
    }
    if (thing.kind == kProcessWithoutVm) return parts.hypervisor.pause(VmId::trusted(thing.what));
    if (thing.kind == kTapWithoutNic) {
        const Result<void> down = parts.shared.plumbing.set_port(thing.what, false);
        if (!down.has_value() && down.error().code != ErrorCode::not_found) return down;  // not found: only its rules and reservation are left
    }
    return {};
}

Result<void> remove_thing(Parts& parts, const Garbage& thing) {
    if (thing.kind == kFileWithoutRow) {
        TRY_ASSIGN(const std::shared_ptr<storage::PrimaryStorage> storage, parts.shared.storages.open(thing.root));
        return storage->remove(thing.moved_to.value_or(""));
    }
    if (is_on_disk(thing.kind)) {
        const std::string path = folder_of(parts, thing) + "/" + thing.moved_to.value_or("");
        if (thing.kind == kMemoryWithoutRow) (void)parts.hypervisor.remove_memory({path});  // its files are sealed
        return remove_from_disk(path);
    }
    if (thing.kind == kTpmWithoutVm) return parts.hypervisor.stop(VmId::trusted(thing.what), hypervisor::StopMode::cold, {});
    if (thing.kind == kProcessWithoutVm) {
        TRY(parts.hypervisor.stop(VmId::trusted(thing.what), hypervisor::StopMode::cold, {}));
        return parts.hypervisor.forget(VmId::trusted(thing.what));
    }
    if (thing.kind == kRunDirectoryWithoutVm) return parts.hypervisor.forget(VmId::trusted(thing.what));
    if (thing.kind == kTapWithoutNic) {
        hypervisor::PortSpec port;
        port.tap = thing.what;
        return parts.shared.plumbing.unplug(port);
    }
    if (thing.kind == kNetworkWithoutRow) return parts.shared.plumbing.remove_network(L3NetworkId::trusted(thing.what));
    return fail(ErrorCode::internal, "there is no way to remove a " + thing.kind);
}

Event event_about_thing(const Garbage& thing, std::string name, std::string message, Timestamp now) {
    Event event;
    event.uuid = JobId::random().text();
    event.name = std::move(name);
    event.severity = "warning";
    event.message = thing.kind + " " + (thing.root.empty() ? "" : thing.root + "/") + thing.what + ": " + std::move(message);
    event.create_date = now;
    return event;
}

struct Settings {
    std::int64_t interval = 0, second_look = 0, grace = 0;  // milliseconds
};

Result<Settings> read_settings(Parts& parts) {
    return store::read(parts.database(), [](Transaction& transaction) -> Result<Settings> {
        Settings settings;
        TRY_ASSIGN(settings.interval, resources::global_config_number(transaction, "garbage", "lookInterval"));
        TRY_ASSIGN(settings.second_look, resources::global_config_number(transaction, "garbage", "secondLook"));
        TRY_ASSIGN(settings.grace, resources::global_config_number(transaction, "garbage", "gracePeriod"));
        settings.interval *= 1000;
        settings.second_look *= 1000;
        settings.grace *= 1000;
        return settings;
    });
}

// A job that was begun before the thing was first seen may be making or removing it.
bool may_have_an_owner(const Garbage& thing, const std::vector<Job>& unfinished) {
    return std::ranges::any_of(unfinished, [&](const Job& job) { return job.state != JobState::stuck && job.create_date <= thing.first_seen; });
}

struct Decision {
    std::vector<Garbage> to_put_aside, to_remove;
    GarbageCount count;
};

// What the rows of garbage become in the light of this survey; committed before anything is touched.
Result<Decision> decide(Parts& parts, const Survey& survey, const Settings& settings, Grace grace) {
    const std::vector<Unowned> things = unowned(survey);
    return store::write(parts.database(), [&](Transaction& transaction) -> Result<Decision> {
        Decision decision;
        const Timestamp now = parts.now();
        TRY_ASSIGN(std::vector<Garbage> known, store::list<Garbage>(transaction));
        for (const Unowned& thing : things) {
            const std::string uuid = uuid_of(thing);
            if (std::ranges::find(known, uuid, &Garbage::uuid) != known.end()) continue;
            Garbage fresh{uuid, thing.kind, thing.root, thing.what, GarbageState::seen, std::nullopt, now, std::nullopt};
            TRY(store::insert(transaction, fresh));
            telemetry::log_warning("{} {} was seen; it is put aside if nobody owns it at the second look", thing.kind, thing.what);
            known.push_back(std::move(fresh));
        }
        for (Garbage& thing : known) {
            const bool still = std::ranges::any_of(things, [&](const Unowned& seen) { return uuid_of(seen) == thing.uuid; });
            const bool aside = thing.state == GarbageState::quarantined;
            if (!still && !(aside && thing.moved_to)) {  // it went, or it has an owner now
                TRY(store::erase<Garbage>(transaction, {{"uuid", thing.uuid}}));
                continue;
            }
            const bool ripe =
                now.milliseconds - thing.first_seen.milliseconds >= settings.second_look && !may_have_an_owner(thing, survey.rows.unfinished);
            if (!aside && ripe && decision.to_put_aside.size() < limits::kGarbagePerLookMax) {
                thing.state = GarbageState::quarantined;
                thing.quarantine_date = now;
                if (is_on_disk(thing.kind)) thing.moved_to = place_aside(thing, now);
                TRY(store::update(transaction, thing));
                const std::string where = thing.moved_to ? "put aside as " + *thing.moved_to : std::string("put aside");
                TRY(record_event(transaction, event_about_thing(thing, "garbage-quarantined", where, now)));
            }
            if (thing.state == GarbageState::seen) {
                ++decision.count.seen;
                continue;
            }
            ++decision.count.in_quarantine;
            if (still) decision.to_put_aside.push_back(thing);  // also again: the last time may have been cut short
            const bool over = now.milliseconds - thing.quarantine_date->milliseconds >= settings.grace;
            if ((over || grace == Grace::waive) && decision.to_remove.size() < limits::kGarbagePerLookMax) decision.to_remove.push_back(thing);
        }
        return decision;
    });
}

Result<void> forget_thing(Parts& parts, const Garbage& thing) {
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(store::erase<Garbage>(transaction, {{"uuid", thing.uuid}}));
        TRY(record_event(transaction, event_about_thing(thing, "garbage-removed", "removed", parts.now())));
        return {};
    });
}

void warn_about(const Garbage& thing, const Error& error) {
    telemetry::log_warning("{} {}: {} ({}); it is tried again at the next look", thing.kind, thing.what, error.message, error.detail);
}

}  // namespace

Result<GarbageCount> GarbageKeeper::look(Grace grace) {
    if (looking_.exchange(true)) return fail(ErrorCode::overloaded, "garbage is being looked for already; try again in a moment");
    Result<GarbageCount> count = look_alone(grace);
    looking_ = false;
    return count;
}

// What has rows that say so is no garbage, but it is the same work: a removal that failed is tried again.
void GarbageKeeper::finish_removals() {
    const auto warn = [](const Result<void>& done) {
        if (!done.has_value())
            telemetry::log_warning("a removal is tried again at the next look: {} ({})", done.error().message, done.error().detail);
    };
    warn(remove_doomed_layers(parts_));
    warn(remove_doomed_memory_images(parts_));
}

Result<GarbageCount> GarbageKeeper::look_alone(Grace grace) {
    finish_removals();
    TRY_ASSIGN(const Settings settings, read_settings(parts_));
    TRY_ASSIGN(const Survey seen, survey(parts_));
    crash_point("garbage-surveyed");
    TRY_ASSIGN(Decision decision, decide(parts_, seen, settings, grace));
    crash_point("garbage-decided");
    GarbageCount count = decision.count;
    count.second_look = settings.second_look / 1000;
    for (const Garbage& thing : decision.to_put_aside) {
        const Result<void> aside = put_aside(parts_, thing);
        if (aside.has_value()) {
            ++count.put_aside;
            continue;
        }
        warn_about(thing, aside.error());
        std::erase_if(decision.to_remove, [&](const Garbage& other) { return other.uuid == thing.uuid; });
    }
    crash_point("garbage-put-aside");
    for (const Garbage& thing : decision.to_remove) {
        const Result<void> removed = remove_thing(parts_, thing);
        if (!removed.has_value()) {
            warn_about(thing, removed.error());
            continue;
        }
        crash_point("garbage-removed");
        TRY(forget_thing(parts_, thing));
        crash_point("garbage-forgotten");
        ++count.removed;
        --count.in_quarantine;
    }
    known_ = count.seen + count.in_quarantine;
    return count;
}

void GarbageKeeper::start() {
    thread_ = std::jthread([this](const std::stop_token& stop) {
        constexpr std::chrono::milliseconds kAgain{30'000};  // after a look that failed
        while (!stop.stop_requested()) {
            const Result<GarbageCount> count = look(Grace::keep);
            const Result<Settings> settings = read_settings(parts_);
            std::chrono::milliseconds pause = kAgain;
            if (!count.has_value())
                telemetry::log_warning("garbage: {} ({})", count.error().message, count.error().detail);
            else if (settings.has_value())
                pause = std::chrono::milliseconds(count->seen > 0 ? std::min(settings->interval, settings->second_look) : settings->interval);
            const auto end = std::chrono::steady_clock::now() + pause;
            std::unique_lock lock(mutex_);
            wake_.wait_until(lock, stop, end, [] { return false; });
        }
    });
}

void GarbageKeeper::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

void register_garbage_saga(workflow::Engine& engine, GarbageKeeper& keeper) {
    engine.add_kind(
        "clean-garbage",
        [&keeper](const Job& job) -> Result<workflow::Saga> {
            workflow::Saga saga(job.kind, job.uuid);
            auto counted = std::make_shared<GarbageCount>();
            saga.add<Action>(
                "clean", std::vector<std::string>{},
                [&keeper, counted](workflow::StepContext&) -> Result<void> {
                    TRY_ASSIGN(*counted, keeper.look(Grace::waive));
                    return {};
                },
                nullptr);
            saga.report([counted](const workflow::StepContext&, const std::vector<workflow::BranchOutcome>&) -> Result<workflow::Report> {
                const api::CleanGarbageReply reply{counted->removed, counted->seen, counted->second_look};
                return workflow::Report{api::to_json(reply), {}};
            });
            return saga;
        },
        workflow::Pace::slow);
}

Result<JobId> clean_garbage(Parts& parts, const Request& request) { return submit(parts, request, {"clean-garbage", "CleanGarbage", "", "{}"}); }

}  // namespace ramet::lifecycle

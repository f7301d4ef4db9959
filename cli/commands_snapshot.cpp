// snapshot create, list, delete, revert, update, ungroup; checkpoint create, list, update, delete.
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <memory>

#include "base/id.hpp"
#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

const std::vector<Column> kSnapshotColumns{{"NAME", "name"},         {"TYPE", "volumeType"}, {"SIZE", "size"}, {"LATEST", "latest"},
                                           {"VOLUME", "volumeUuid"}, {"GROUP", "groupUuid"}, {"UUID", "uuid"}};
const std::vector<Column> kGroupColumns{{"NAME", "name"},         {"SNAPSHOTS", "snapshotCount"}, {"MEMORY", "memoryImageUuid"},
                                        {"VM", "vmInstanceUuid"}, {"CREATED", "createDate"},      {"UUID", "uuid"}};
const std::vector<Column> kCheckpointColumns{{"NAME", "name"},         {"VM", "vmInstanceName"},  {"CPU", "cpuNum"},
                                             {"MEMORY", "memorySize"}, {"CREATED", "createDate"}, {"UUID", "uuid"}};
const std::string kGroups = "/volume-snapshots/group";
const std::string kSnapshots = "/volume-snapshots";

struct SnapshotOptions {
    std::string target, name, description;
    bool volume = false, groups = false, memory = false;
};

Result<int> create_snapshot(ApiClient& api, const SnapshotOptions& options, Format format) {
    json::object params{{"name", options.name}};
    if (!options.description.empty()) params["description"] = options.description;
    if (options.volume) {
        TRY_ASSIGN(const std::string volume, api.resolve("/volumes", "volume", options.target));
        TRY_ASSIGN(const json::object answer, api.call("POST", "/volumes/" + volume + "/volume-snapshots", {{"params", params}}));
        print_rows({answer.at("inventory")}, kSnapshotColumns, format);
        return kDone;
    }
    TRY_ASSIGN(const std::string vm, api.resolve("/vm-instances", "vm", options.target));
    TRY_ASSIGN(const json::array rows, api.query("/vm-instances", {"uuid=" + vm}));
    if (rows.empty()) return fail(ErrorCode::not_found, "there is no vm with uuid " + vm);
    params["rootVolumeUuid"] = field_text(rows.front(), "rootVolumeUuid");
    if (options.memory) params["withMemory"] = true;
    TRY_ASSIGN(const json::object answer, api.call("POST", kGroups, {{"params", params}}));
    print_rows({answer.at("inventory")}, kGroupColumns, format);
    return kDone;
}

void add_snapshot_create(CLI::App& snapshot, Context& context) {
    auto options = std::make_shared<SnapshotOptions>();
    CLI::App* command =
        snapshot.add_subcommand("create", "Keep a VM's volumes as they are at one instant: ramet snapshot create web01 before-upgrade");
    command->add_option("VM", options->target, "Name or uuid of the VM; of a volume with --volume")->required();
    command->add_option("NAME", options->name, "Name of the snapshot")->required();
    CLI::Option* const volume = command->add_flag("--volume", options->volume, "Of this one volume alone");
    command->add_option("--description", options->description, "Free text");
    command->add_flag("--memory", options->memory, "Keep the VM's memory too: a revert goes on from this very instant")->excludes(volume);
    command->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return create_snapshot(api, *options, context.format); }; });
}

void add_snapshot_list(CLI::App& snapshot, Context& context) {
    auto conditions = std::make_shared<std::vector<std::string>>();
    auto groups = std::make_shared<bool>(false);
    CLI::App* list = snapshot.add_subcommand("list", "List the snapshots of volumes");
    list->add_option("-q", *conditions, "Condition such as name~=before%, repeatable");
    list->add_flag("--groups", *groups, "List the snapshots of whole VMs instead");
    list->callback([&context, conditions, groups] {
        context.command = [&context, conditions, groups](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const json::array rows, api.query((*groups ? kGroups : kSnapshots) + "?sort=name", *conditions));
            print_rows(rows, *groups ? kGroupColumns : kSnapshotColumns, context.format);
            return kDone;
        };
    });
}

// One call for all snapshots of volumes, so that either all of them go or none; then the snapshots of VMs, each by itself. Nothing is deleted
// before all are found.
Result<int> delete_several(ApiClient& api, const std::vector<std::string>& doomed, Format format) {
    json::array single;
    std::vector<std::string> groups;
    for (const std::string& wanted : doomed) {
        TRY_ASSIGN(const std::string path, resolve_snapshot(api, wanted));
        if (path.starts_with(kGroups + "/"))
            groups.push_back(path);
        else
            single.emplace_back(path.substr(kSnapshots.size() + 1));
    }
    json::array results;
    const auto take = [&results](const json::object& answer) {
        for (const json::value& gone : list_field(answer, "results")) results.push_back(gone);
    };
    if (!single.empty()) {
        const json::object parameters{{"uuids", single}};
        TRY_ASSIGN(const json::object answer, api.call("PUT", kSnapshots + "/batch-delete", {{"batchDeleteVolumeSnapshot", parameters}}));
        take(answer);
    }
    for (const std::string& path : groups) {
        TRY_ASSIGN(const json::object answer, api.call("DELETE", path, {}));
        take(answer);
    }
    print_rows(results, {{"SNAPSHOT", "snapshotUuid"}, {"VOLUME", "volumeUuid"}, {"DELETED", "success"}, {"ERROR", "error.details"}}, format);
    return kDone;
}

void add_snapshot_delete_and_revert(CLI::App& snapshot, Context& context) {
    auto doomed = std::make_shared<std::vector<std::string>>();
    CLI::App* remove = snapshot.add_subcommand("delete", "Delete snapshots; later snapshots and clones stay");
    remove->add_option("SNAPSHOTS", *doomed, "Names or uuids of VMs' or volumes' snapshots")->required();
    remove->callback([&context, doomed] {
        context.command = [&context, doomed](ApiClient& api) -> Result<int> {
            if (doomed->size() > 1) return delete_several(api, *doomed, context.format);
            TRY_ASSIGN(const std::string path, resolve_snapshot(api, doomed->front()));
            TRY(api.call("DELETE", path, {}));
            print_done(context.format);
            return kDone;
        };
    });
    auto target = std::make_shared<std::string>();
    CLI::App* revert = snapshot.add_subcommand(
        "revert", "Take a stopped VM, or one volume, back to a snapshot; what was written since is gone. With memory the VM goes on");
    revert->add_option("SNAPSHOT", *target, "Name or uuid of a VM's or a volume's snapshot")->required();
    revert->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string path, resolve_snapshot(api, *target));
            const std::string key = path.starts_with(kGroups + "/") ? "revertVmFromSnapshotGroup" : "revertVolumeFromSnapshot";
            TRY(api.call("PUT", path + "/actions", {{key, json::object{}}}));
            print_done(context.format);
            return kDone;
        };
    });
}

void add_news(CLI::App& update, SnapshotOptions& options) {
    CLI::Option_group* const news = update.add_option_group("news");
    news->add_option("--name", options.name, "Its new name");
    news->add_option("--description", options.description, "Its new description");
    news->require_option(1, 2);
}

json::object news_of(const SnapshotOptions& options) {
    json::object parameters;
    if (!options.name.empty()) parameters["name"] = options.name;
    if (!options.description.empty()) parameters["description"] = options.description;
    return parameters;
}

void add_snapshot_update_and_ungroup(CLI::App& snapshot, Context& context) {
    auto options = std::make_shared<SnapshotOptions>();
    CLI::App* update = snapshot.add_subcommand("update", "Give a snapshot another name or description");
    update->add_option("SNAPSHOT", options->target, "Name or uuid of a VM's or a volume's snapshot")->required();
    add_news(*update, *options);
    update->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string path, resolve_snapshot(api, options->target));
            const json::object parameters = news_of(*options);
            const bool is_group = path.starts_with(kGroups + "/");
            const std::string key = is_group ? "updateVolumeSnapshotGroup" : "updateVolumeSnapshot";
            TRY_ASSIGN(const json::object answer, api.call("PUT", path + "/actions", {{key, parameters}}));
            print_rows({answer.at("inventory")}, is_group ? kGroupColumns : kSnapshotColumns, context.format);
            return kDone;
        };
    });
    auto target = std::make_shared<std::string>();
    CLI::App* ungroup = snapshot.add_subcommand("ungroup", "Dissolve a VM's snapshot; the snapshots of its volumes stay, each by itself");
    ungroup->add_option("SNAPSHOT", *target, "Name or uuid of a VM's snapshot")->required();
    ungroup->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve(kGroups, "snapshot", *target));
            TRY(api.call("DELETE", "/volume-snapshots/ungroup/" + uuid, {}));
            print_done(context.format);
            return kDone;
        };
    });
}

// "web01-20261125-134501"
std::string default_checkpoint_name(const std::string& vm) {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    return fmt::format("{}-{:04}{:02}{:02}-{:02}{:02}{:02}", vm, parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                       parts.tm_sec);
}

void add_checkpoint_create(CLI::App& checkpoint, Context& context) {
    auto options = std::make_shared<SnapshotOptions>();
    CLI::App* command = checkpoint.add_subcommand("create", "Keep a VM as it is now, to be cloned from later: ramet checkpoint create web01 warm");
    command->add_option("VM", options->target, "Name or uuid of the VM")->required();
    command->add_option("NAME", options->name, "Name of the checkpoint; the VM's name with date and time if left out");
    command->add_option("--description", options->description, "Free text");
    command->add_flag("--memory", options->memory, "Keep its memory too: ramet clone --checkpoint warm --memory NAME goes on from this very instant");
    command->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string vm, api.resolve("/vm-instances", "vm", options->target));
            json::object params{{"name", options->name.empty() ? default_checkpoint_name(options->target) : options->name}};
            if (!options->description.empty()) params["description"] = options->description;
            if (options->memory) params["memory"] = true;
            TRY_ASSIGN(const json::object answer, api.call("POST", "/vm-instances/" + vm + "/checkpoints", {{"params", params}}));
            print_rows({answer.at("inventory")}, kCheckpointColumns, context.format);
            return kDone;
        };
    });
}

}  // namespace

Result<std::string> resolve_snapshot(ApiClient& api, const std::string& wanted) {
    const std::string condition = (is_uuid_text(wanted) ? "uuid=" : "name=") + wanted;
    TRY_ASSIGN(const json::array groups, api.query(kGroups, {condition}));
    if (!groups.empty()) {
        TRY_ASSIGN(const std::string uuid, api.resolve(kGroups, "snapshot", wanted));
        return kGroups + "/" + uuid;
    }
    const Result<std::string> uuid = api.resolve(kSnapshots, "snapshot", wanted);
    if (uuid.has_value()) return kSnapshots + "/" + *uuid;
    if (uuid.error().code != ErrorCode::not_found) return uuid.error();
    return fail(ErrorCode::not_found, uuid.error().message + ", and those of whole VMs with --groups");
}

void add_snapshot_commands(CLI::App& app, Context& context) {
    CLI::App* snapshot = app.add_subcommand("snapshot", "Snapshots of VMs and volumes")->require_subcommand(1);
    add_snapshot_create(*snapshot, context);
    add_snapshot_list(*snapshot, context);
    add_snapshot_delete_and_revert(*snapshot, context);
    add_snapshot_update_and_ungroup(*snapshot, context);
    add_snapshot_tree_and_check(*snapshot, context);
}

void add_checkpoint_commands(CLI::App& app, Context& context) {
    CLI::App* checkpoint = app.add_subcommand("checkpoint", "Kept captures of VMs, to clone from")->require_subcommand(1);
    add_checkpoint_create(*checkpoint, context);
    add_list_command(*checkpoint, context, {"/checkpoints", kCheckpointColumns, "List checkpoints", "vmInstanceName=web01"});
    auto options = std::make_shared<SnapshotOptions>();
    CLI::App* update = checkpoint->add_subcommand("update", "Give a checkpoint another name or description");
    update->add_option("CHECKPOINT", options->target, "Name or uuid")->required();
    add_news(*update, *options);
    update->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/checkpoints", "checkpoint", options->target));
            TRY_ASSIGN(const json::object answer, api.call("PUT", "/checkpoints/" + uuid + "/actions", {{"updateCheckpoint", news_of(*options)}}));
            print_rows({answer.at("inventory")}, kCheckpointColumns, context.format);
            return kDone;
        };
    });
    auto target = std::make_shared<std::string>();
    CLI::App* remove = checkpoint->add_subcommand("delete", "Delete a checkpoint; its clones stay, and their disk space with them");
    remove->add_option("CHECKPOINT", *target, "Name or uuid")->required();
    remove->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/checkpoints", "checkpoint", *target));
            TRY(api.call("DELETE", "/checkpoints/" + uuid, {}));
            print_done(context.format);
            return kDone;
        };
    });
}

}  // namespace ramet::cli

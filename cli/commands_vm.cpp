// vm create, list, show, start, stop, reboot, pause, resume, flatten, destroy, recover, expunge; clone.
#include <fmt/format.h>
#include <unistd.h>

#include <memory>

#include "base/id.hpp"
#include "commands.hpp"
#include "expand.hpp"
#include "job_watch.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr std::size_t kNamesMax = 1000;
constexpr std::int64_t kWaitSecondsMax = 3600;  // as the server has it
const std::vector<Column> kVmColumns{{"NAME", "name"},  {"STATE", "state"},       {"IP", "vmNics.0.ip"},          {"MAC", "vmNics.0.mac"},
                                     {"CPU", "cpuNum"}, {"MEMORY", "memorySize"}, {"LEASE ENDS", "leaseEndDate"}, {"UUID", "uuid"}};

Result<json::object> vm_action(ApiClient& api, const std::string& vm, const std::string& key, const json::object& parameters) {
    TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", vm));
    return api.call("PUT", "/vm-instances/" + uuid + "/actions", {{key, parameters}});
}

void print_inventory(const json::object& answer, Format format) {
    if (const json::value* inventory = answer.if_contains("inventory"))
        print_rows({*inventory}, kVmColumns, format);
    else
        print_done(format);
}

void add_action(CLI::App& vm, Context& context, const std::string& name, const std::string& key, const std::string& help) {
    auto target = std::make_shared<std::string>();
    CLI::App* command = vm.add_subcommand(name, help);
    command->add_option("VM", *target, "Name or uuid")->required();
    command->callback([&context, target, key] {
        context.command = [&context, target, key](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const json::object answer, vm_action(api, *target, key, {}));
            print_inventory(answer, context.format);
            return kDone;
        };
    });
}

struct CreateOptions {
    std::string name, image, snapshot, memory = "128M", strategy = "InstantStart", offering, storage;
    std::int64_t cpu = 1;
    std::vector<std::string> networks, tags;
};

Result<int> create(ApiClient& api, const CreateOptions& options, Format format) {
    json::object params{{"name", options.name}, {"strategy", options.strategy}};
    std::string path = "/vm-instances";
    if (options.snapshot.empty()) {
        TRY_ASSIGN(const std::string image, api.resolve("/images", "image", options.image));
        params["imageUuid"] = image;
    } else {
        TRY_ASSIGN(const std::string snapshot, resolve_snapshot(api, options.snapshot));
        path += "/from" + snapshot;
    }
    if (options.offering.empty()) {
        const std::optional<std::int64_t> memory = parse_size(options.memory);
        if (!memory) return fail(ErrorCode::invalid_argument, "--memory: write a size such as 512M or 2G");
        params["cpuNum"] = options.cpu;
        params["memorySize"] = *memory;
    } else {
        TRY_ASSIGN(const std::string offering, api.resolve("/instance-offerings", "offering", options.offering));
        params["instanceOfferingUuid"] = offering;
    }
    json::array networks;
    for (const std::string& network : options.networks) {
        TRY_ASSIGN(const std::string uuid, api.resolve("/l3-networks", "network", network));
        networks.emplace_back(uuid);
    }
    if (networks.size() > 1) params["defaultL3NetworkUuid"] = networks.front();
    params["l3NetworkUuids"] = networks;
    if (!options.storage.empty()) {
        TRY_ASSIGN(const std::string storage, api.resolve("/primary-storage", "storage", options.storage));
        params[options.snapshot.empty() ? "primaryStorageUuidForRootVolume" : "primaryStorageUuid"] = storage;
    }
    json::object body{{"params", params}};
    if (!options.tags.empty()) body["systemTags"] = json::value_from(options.tags);
    TRY_ASSIGN(const json::object answer, api.call("POST", path, body));
    print_inventory(answer, format);
    return kDone;
}

void add_create(CLI::App& vm, Context& context) {
    auto options = std::make_shared<CreateOptions>();
    CLI::App* command = vm.add_subcommand("create", "Make a VM from an image, or from a snapshot");
    command->add_option("NAME", options->name, "Its name")->required();
    CLI::Option_group* const origin = command->add_option_group("from");
    origin->add_option("--image", options->image, "Name or uuid of the image");
    origin->add_option("--snapshot", options->snapshot, "Name or uuid of a VM's or a volume's snapshot instead");
    origin->require_option(1);
    CLI::Option* cpu = command->add_option("--cpu", options->cpu, "vCPUs")->capture_default_str();
    CLI::Option* memory = command->add_option("--memory", options->memory, "Memory, such as 512M")->capture_default_str();
    command->add_option("--offering", options->offering, "Instance offering instead of --cpu and --memory")->excludes(cpu)->excludes(memory);
    command->add_option("--network", options->networks, "L3 network, repeatable; the network 'default' if left out");
    command->add_option("--storage", options->storage, "Primary storage of its root volume; from a snapshot, of all its volumes");
    command->add_option("--strategy", options->strategy, "InstantStart, CreateStopped or JustCreate")->capture_default_str();
    command->add_option("--system-tag", options->tags, "System tag, repeatable");
    command->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) {
            if (options->networks.empty()) options->networks = {"default"};
            return create(api, *options, context.format);
        };
    });
}

void add_list_and_show(CLI::App& vm, Context& context) {
    add_list_command(vm, context, {"/vm-instances", kVmColumns, "List VMs", "state=Running or name~=web%"});
    auto target = std::make_shared<std::string>();
    CLI::App* show = vm.add_subcommand("show", "Show all of a VM");
    show->add_option("VM", *target, "Name or uuid")->required();
    show->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", *target));
            TRY_ASSIGN(const json::array rows, api.query("/vm-instances", {"uuid=" + uuid}));
            if (rows.empty()) return fail(ErrorCode::not_found, "there is no vm with uuid " + uuid);
            print_object(rows.front(), context.format);
            return kDone;
        };
    });
}

const std::vector<Column> kFactColumns{{"IDENTIFIER", "identifier"}, {"STATE", "state"},  {"BY", "means"},
                                       {"OLD", "oldValue"},          {"NEW", "newValue"}, {"REASON", "reason"}};

void add_identity(CLI::App& vm, Context& context) {
    auto target = std::make_shared<std::string>();
    CLI::App* command = vm.add_subcommand("identity", "Show every identifier of a VM: its source's, its own, and what set it");
    command->add_option("VM", *target, "Name or uuid")->required();
    command->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", *target));
            TRY_ASSIGN(const json::object answer, api.call("GET", "/vm-instances/" + uuid + "/identity", {}));
            if (context.format == Format::json)
                fmt::print("{}\n", pretty(answer));
            else
                print_rows(answer.at("facts").as_array(), kFactColumns, context.format);
            return kDone;
        };
    });
}

void add_stop_and_destroy(CLI::App& vm, Context& context) {
    struct Options {
        std::string target;
        bool flag = false;
    };
    auto stop = std::make_shared<Options>();
    CLI::App* stop_command = vm.add_subcommand("stop", "Stop a VM");
    stop_command->add_option("VM", stop->target, "Name or uuid")->required();
    stop_command->add_flag("--cold", stop->flag, "Pull the plug");
    stop_command->callback([&context, stop] {
        context.command = [&context, stop](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const json::object answer, vm_action(api, stop->target, "stopVmInstance", {{"type", stop->flag ? "cold" : "grace"}}));
            print_inventory(answer, context.format);
            return kDone;
        };
    });
    auto destroy = std::make_shared<Options>();
    CLI::App* destroy_command = vm.add_subcommand("destroy", "Destroy a VM; `vm recover` brings it back until it is expunged");
    destroy_command->add_option("VM", destroy->target, "Name or uuid")->required();
    destroy_command->add_flag("--expunge", destroy->flag, "Remove it for ever");
    destroy_command->callback([&context, destroy] {
        context.command = [&context, destroy](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", destroy->target));
            TRY(api.call("DELETE", "/vm-instances/" + uuid, {}));
            if (destroy->flag) {
                TRY_ASSIGN(const json::array rows, api.query("/vm-instances", {"uuid=" + uuid}));
                if (!rows.empty()) TRY(api.call("PUT", "/vm-instances/" + uuid + "/actions", {{"expungeVmInstance", json::object{}}}));
            }
            print_done(context.format);
            return kDone;
        };
    });
}

struct CloneOptions {
    std::string source, strategy = "InstantStart", quiesce = "auto", identity = "reset", root_storage, data_storage, cluster, host, expires_in;
    std::string checkpoint, snapshot;  // set: cloned from this, and `source` is the first name
    std::vector<std::string> names, system_tags, user_tags, root_tags, data_tags, nics;
    std::string wait_for;
    std::int64_t wait_seconds = 0;
    bool full = false, memory = false;
    std::string copy = "auto", bandwidth;
    bool atomic = false, dry_run = false;
};

Result<json::object> clone_parameters(ApiClient& api, const CloneOptions& options) {
    json::array names;
    std::vector<std::string> patterns = options.names;
    if (!options.checkpoint.empty() || !options.snapshot.empty()) patterns.insert(patterns.begin(), options.source);
    if (patterns.empty()) return fail(ErrorCode::invalid_argument, "give the names of the clones after the VM");
    for (const std::string& pattern : patterns) {
        TRY_ASSIGN(const std::vector<std::string> expanded, expand_names(pattern, kNamesMax));
        for (const std::string& name : expanded) names.emplace_back(name);
    }
    json::object parameters{
        {"strategy", options.strategy}, {"names", names}, {"full", options.full}, {"quiesce", options.quiesce}, {"identity", options.identity}};
    const auto refer = [&](const std::string& key, const std::string& path, const std::string& kind, const std::string& wanted) -> Result<void> {
        if (wanted.empty()) return {};
        TRY_ASSIGN(const std::string uuid, api.resolve(path, kind, wanted));
        parameters[key] = uuid;
        return {};
    };
    TRY(refer("primaryStorageUuidForRootVolume", "/primary-storage", "storage", options.root_storage));
    TRY(refer("primaryStorageUuidForDataVolume", "/primary-storage", "storage", options.data_storage));
    TRY(refer("clusterUuid", "/clusters", "cluster", options.cluster));
    TRY(refer("hostUuid", "/hosts", "host", options.host));
    if (!options.wait_for.empty()) parameters["waitFor"] = options.wait_for;
    if (options.wait_seconds > 0) parameters["waitForSeconds"] = options.wait_seconds;
    if (options.memory) parameters["memory"] = true;
    parameters["copy"] = options.copy;
    if (options.atomic) parameters["atomic"] = true;
    if (options.dry_run) parameters["dryRun"] = true;
    if (!options.bandwidth.empty()) {
        const std::optional<std::int64_t> bandwidth = parse_size(options.bandwidth);
        if (!bandwidth) return fail(ErrorCode::invalid_argument, "--bandwidth: write bytes per second, such as 100M");
        parameters["bandwidth"] = *bandwidth;
    }
    if (!options.expires_in.empty()) {
        const std::optional<std::int64_t> seconds = parse_seconds(options.expires_in);
        if (!seconds) return fail(ErrorCode::invalid_argument, "--expires-in: write a time such as 90s, 30m, 2h or 7d");
        parameters["expiresIn"] = *seconds;
    }
    if (!options.root_tags.empty()) parameters["rootVolumeSystemTags"] = json::value_from(options.root_tags);
    if (!options.data_tags.empty()) parameters["dataVolumeSystemTags"] = json::value_from(options.data_tags);
    if (!options.nics.empty()) parameters["vmNicParams"] = json::value_from(options.nics);
    if (!options.system_tags.empty()) parameters["systemTags"] = json::value_from(options.system_tags);
    if (!options.user_tags.empty()) parameters["userTags"] = json::value_from(options.user_tags);
    return parameters;
}

// `ramet clone web01 new --checkpoint warm` would make a clone named web01: whoever writes that takes web01 for what is cloned.
Result<void> refuse_source_among_names(ApiClient& api, const CloneOptions& options) {
    const char* kept = !options.checkpoint.empty() ? "checkpoint" : !options.snapshot.empty() ? "snapshot" : nullptr;
    if (kept == nullptr) return {};
    const std::string condition = (is_uuid_text(options.source) ? "uuid=" : "name=") + options.source;
    TRY_ASSIGN(const json::array vms, api.query("/vm-instances", {condition, "state!=Destroyed"}));
    if (vms.empty()) return {};
    return fail(ErrorCode::invalid_argument,
                fmt::format("'{}' is a VM: with --{} the {} is what is cloned, and only names of the clones are given", options.source, kept, kept));
}

// Sends the request to what is cloned: a VM, or something kept of one.
Result<json::object> send_clone(ApiClient& api, const CloneOptions& options, json::object parameters) {
    if (!options.checkpoint.empty()) {
        TRY_ASSIGN(const std::string uuid, api.resolve("/checkpoints", "checkpoint", options.checkpoint));
        return api.call("PUT", "/checkpoints/" + uuid + "/actions", {{"cloneVmInstance", parameters}});
    }
    if (options.snapshot.empty()) return vm_action(api, options.source, "cloneVmInstance", parameters);
    TRY_ASSIGN(const std::string uuid, api.resolve("/volume-snapshots/group", "snapshot", options.snapshot));
    TRY_ASSIGN(const json::array groups, api.query("/volume-snapshots/group", {"uuid=" + uuid}));
    if (groups.empty()) return fail(ErrorCode::not_found, "there is no snapshot of a VM with uuid " + uuid + "; see `ramet snapshot list --groups`");
    parameters["volumeSnapshotGroupUuid"] = uuid;
    return vm_action(api, field_text(groups.front(), "vmInstanceUuid"), "cloneVmInstance", parameters);
}

const std::vector<Column> kPlannedVolumeColumns{
    {"VOLUME", "type"}, {"STRATEGY", "strategy"}, {"PROVISIONING", "provisioning"}, {"BYTES EACH", "bytesToWrite"}, {"STORAGE", "primaryStorageUuid"},
    {"WHY", "reason"}};
const std::vector<Column> kPlannedCloneColumns{
    {"CLONE", "name"}, {"HOST", "hostUuid"}, {"MAC", "nics.0.mac"}, {"IP", "nics.0.ip"}, {"ERROR", "error.details"}};

void print_plan(const json::object& answer, Format format) {
    if (format == Format::json) {
        fmt::print("{}\n", pretty(answer));
        return;
    }
    const json::value& plan = answer.at("result").at("plan");
    print_rows(plan.at("volumes").as_array(), kPlannedVolumeColumns, format);
    fmt::print("\n");
    print_rows(plan.at("clones").as_array(), kPlannedCloneColumns, format);
    const double seconds = static_cast<double>(plan.at("estimatedMilliseconds").to_number<std::int64_t>()) / 1000;
    fmt::print("\nsource:   {}\n", field_text(plan, "capture"));
    if (plan.as_object().contains("memory"))
        fmt::print("memory:   {} ({})\n          {} bytes to write to {} ({}), about {} ms\n", field_text(plan, "memory.capture"),
                   field_text(plan, "memory.reason"), field_text(plan, "memory.bytesToWrite"), field_text(plan, "memory.place"),
                   field_text(plan, "memory.bytesBasis"), field_text(plan, "memory.estimatedMilliseconds"));
    fmt::print("in all:   {} bytes to write, about {:.3f} s ({})\nnothing has been changed\n", field_text(plan, "bytesToWrite"), seconds,
               field_text(plan, "estimateBasis"));
}

// As the call itself would end.
int exit_code_of_plan(const json::object& answer, bool atomic) {
    const int code = exit_code_of_entries(answer.at("result").at("plan").at("clones").as_array());
    return atomic && code == kPartlyDone ? kFailed : code;
}

void print_made(const json::array& made, const json::object& answer) {
    print_rows(made, kVmColumns, Format::table);
    if (const std::string capture = capture_text(answer, "result.capture"); !capture.empty()) fmt::print("\ncapture:  {}\n", capture);
}

Result<int> clone(ApiClient& api, const CloneOptions& options, Format format) {
    TRY(refuse_source_among_names(api, options));
    TRY_ASSIGN(const json::object parameters, clone_parameters(api, options));
    // For people alone: scripts that join stderr and stdout must get the answer as it is. They find the job with `ramet job list`.
    if (!options.dry_run && ::isatty(STDERR_FILENO) == 1) api.when_accepted([](const std::string& job) { fmt::print(stderr, "job {}\n", job); });
    TRY_ASSIGN(const json::object answer, send_clone(api, options, parameters));
    if (options.dry_run) {
        print_plan(answer, format);
        return exit_code_of_plan(answer, options.atomic);
    }
    const json::object& result = answer.at("result").as_object();
    const json::array& entries = result.at("inventories").as_array();
    json::array made;
    for (const json::value& entry : entries) {
        if (const json::value* inventory = entry.as_object().if_contains("inventory")) {
            made.push_back(*inventory);
            continue;
        }
        fmt::print(stderr, "ramet: error {}: {}\n", field_text(entry, "error.code"), field_text(entry, "error.details"));
    }
    if (format == Format::json)
        fmt::print("{}\n", pretty(answer));
    else
        print_made(made, answer);
    return exit_code_of_entries(entries);
}

}  // namespace

void add_vm_commands(CLI::App& app, Context& context) {
    CLI::App* vm = app.add_subcommand("vm", "VM instances")->require_subcommand(1);
    add_create(*vm, context);
    add_list_and_show(*vm, context);
    add_identity(*vm, context);
    add_stop_and_destroy(*vm, context);
    add_lease_commands(*vm, context);
    add_vm_settings_commands(*vm, context);
    add_action(*vm, context, "start", "startVmInstance", "Start a VM");
    add_action(*vm, context, "reboot", "rebootVmInstance", "Restart a VM");
    add_action(*vm, context, "pause", "pauseVmInstance", "Stop a VM's vCPUs");
    add_action(*vm, context, "resume", "resumeVmInstance", "Let a paused VM run on");
    add_flatten_command(*vm, context, {"VM", "/vm-instances", "vm", "flattenVmInstance", "Copy what a VM shares with others into its own volumes"});
    add_action(*vm, context, "recover", "recoverVmInstance", "Bring a destroyed VM back");
    add_action(*vm, context, "expunge", "expungeVmInstance", "Remove a destroyed VM for ever");
}

void add_clone_command(CLI::App& app, Context& context) {
    auto options = std::make_shared<CloneOptions>();
    CLI::App* command = app.add_subcommand("clone", "Clone a VM: ramet clone web01 'web-{01..10}', or ramet clone --checkpoint warm 'web-{01..10}'");
    command->add_option("SOURCE", options->source, "Name or uuid of the VM to clone; left out with --checkpoint and --snapshot")->required();
    command->add_option("NAMES", options->names, "Names of the clones; 'web-{01..10}' stands for ten");
    CLI::Option* checkpoint = command->add_option("--checkpoint", options->checkpoint, "Clone this checkpoint, by name or uuid");
    command->add_option("--snapshot", options->snapshot, "Clone this snapshot of a VM, by name or uuid")->excludes(checkpoint);
    command->add_option("--strategy", options->strategy, "InstantStart, CreateStopped or JustCreate")->capture_default_str();
    command->add_option("--wait-for", options->wait_for, "When a clone counts as made: created, running, agent or ip");
    command->add_option("--wait-seconds", options->wait_seconds, "How long a guest is waited for")
        ->check(CLI::Range(std::int64_t{1}, kWaitSecondsMax));
    command->add_option("--identity", options->identity, "reset, or keep: the guest stays who it is, its links are down")->capture_default_str();
    command->add_flag("--full", options->full, "Clone the data volumes too");
    command->add_flag("--memory", options->memory, "Instant clones: they go on from the source's memory instead of booting");
    command->add_option("--quiesce", options->quiesce, "never, auto or require: freeze the source's file systems for the capture")
        ->capture_default_str();
    command->add_option("--root-storage", options->root_storage, "Primary storage of the root volumes");
    command->add_option("--data-storage", options->data_storage, "Primary storage of the data volumes");
    command->add_option("--cluster", options->cluster, "Cluster the clones run in");
    command->add_option("--host", options->host, "Host the clones run on");
    command->add_option("--expires-in", options->expires_in, "Lease after which the clones are destroyed: 90s, 30m, 2h, 7d");
    command->add_option("--root-tag", options->root_tags, "System tag of each root volume, repeatable");
    command->add_option("--data-tag", options->data_tags, "System tag of each data volume, repeatable");
    command->add_option("--nic", options->nics, "NIC parameters as a JSON object, repeatable");
    command->add_option("--system-tag", options->system_tags, "System tag of each clone, repeatable");
    command->add_option("--user-tag", options->user_tags, "User tag of each clone, repeatable");
    command->add_option("--copy", options->copy, "auto, linked, reflink or full; a choice that cannot be had is an error")->capture_default_str();
    command->add_option("--bandwidth", options->bandwidth, "Limit of all copies together, bytes per second, such as 100M");
    command->add_flag("--atomic", options->atomic, "All clones or none");
    command->add_flag("--dry-run", options->dry_run, "Show the plan; nothing changes");
    command->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return clone(api, *options, context.format); }; });
}

}  // namespace ramet::cli

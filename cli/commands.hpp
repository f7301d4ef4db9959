// One function per group of commands: adds its sub-commands to the application. A command's work runs after parsing and returns the exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api_client.hpp"
#include "output.hpp"

namespace ramet::cli {

enum ExitCode : int { kDone = 0, kFailed = 1, kWrongUse = 2, kPartlyDone = 3 };

struct Context {
    Connection connection;
    Format format = Format::table;
    std::function<Result<int>(ApiClient&)> command;  // set by the parsed sub-command
};

void add_login_commands(CLI::App& app, Context& context);
void add_image_commands(CLI::App& app, Context& context);
void add_vm_commands(CLI::App& app, Context& context);
void add_clone_command(CLI::App& app, Context& context);
void add_volume_commands(CLI::App& app, Context& context);
void add_place_commands(CLI::App& app, Context& context);  // network, cluster, storage, host, offering
void add_snapshot_commands(CLI::App& app, Context& context);
void add_checkpoint_commands(CLI::App& app, Context& context);
void add_doctor_command(CLI::App& app, Context& context);
void add_lineage_command(CLI::App& app, Context& context);
// `list`: the rows of a query by name, or in the order that `path` asks for.
struct ListTarget {
    std::string path;
    std::vector<Column> columns;
    std::string help = "List them", example = "name~=web%";  // a condition
    std::size_t rows = 0;                                    // shown when no condition is given; 0: what the server gives
};
void add_list_command(CLI::App& group, Context& context, const ListTarget& target);
// `flatten` of VMs and of volumes.
struct FlattenTarget {
    std::string argument, path, kind, key, help;
};
void add_flatten_command(CLI::App& group, Context& context, const FlattenTarget& target);
// Rows of one kind, as a command names one of them.
struct Rows {
    std::string argument, path, kind;
    std::vector<Column> columns;
};
struct VerbValue {
    std::string name, help, parameter;
    std::vector<std::string> choices{};  // none: any text
};
// `enable`, `expunge` and the like: one word that says what is done to a row.
struct Verb {
    std::string name, key, help;
    boost::json::object parameters{};
    std::optional<VerbValue> value{};  // said on the command line, one more parameter
};
void add_verb(CLI::App& group, Context& context, const Rows& rows, const Verb& verb);
Verb rename_verb(const std::string& key);
Verb boot_mode_verb(const std::string& key, const std::string& help);
void add_job_commands(CLI::App& app, Context& context);
void add_lease_commands(CLI::App& vm, Context& context);  // of `vm`
void add_event_commands(CLI::App& app, Context& context);
void add_snapshot_tree_and_check(CLI::App& snapshot, Context& context);  // of `snapshot`
void add_vm_settings_commands(CLI::App& vm, Context& context);           // of `vm`
void add_config_commands(CLI::App& app, Context& context);

// A snapshot of a whole VM, or of one volume when none has that name: its path below /zstack/v1.
Result<std::string> resolve_snapshot(ApiClient& api, const std::string& wanted);

// "512M", "2G", "1073741824" in bytes; a CLI11 validator result text is empty when right.
std::optional<std::int64_t> parse_size(const std::string& text);
// "90", "90s", "30m", "2h", "7d" in seconds; nothing when it is no such time.
std::optional<std::int64_t> parse_seconds(const std::string& text);

}  // namespace ramet::cli

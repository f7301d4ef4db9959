// snapshot tree, check: how snapshots follow from each other, and whether VMs can be taken back to theirs.
#include <fmt/format.h>

#include <map>
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

struct TreeOptions {
    std::string target;  // empty: all
    bool is_volume = false;
};

std::string line_of(const json::value& leaf) {
    const auto part = [&](const char* field) { return field_text(leaf, std::string("inventory.") + field); };
    const json::value& snapshot = leaf.at("inventory");
    std::string line = fmt::format("{}  {}, {}, {}", part("name"), human_bytes(number_field(snapshot, "size")), part("createDate"), part("uuid"));
    if (part("latest") == "true") line += "  <- the volume goes on from here";
    return line;
}

void print_leaf(const json::value& leaf, const std::string& indent, bool last) {
    fmt::print("{}{}{}\n", indent, last ? "└─ " : "├─ ", line_of(leaf));
    const json::array& children = list_field(leaf.as_object(), "children");
    for (const json::value& child : children) print_leaf(child, indent + (last ? "   " : "│  "), &child == &children.back());
}

void print_trees(const json::array& trees, const std::map<std::string, std::string>& volume_names) {
    for (const json::value& tree : trees) {
        const std::string volume = field_text(tree, "volumeUuid");
        const auto name = volume_names.find(volume);
        fmt::print("{} ({}){}\n", name == volume_names.end() ? "volume" : name->second, volume,
                   field_text(tree, "current") == "true" ? "" : ", a tree that it has left");
        const json::value* root = tree.as_object().if_contains("tree");
        if (root != nullptr && root->is_object()) print_leaf(*root, "", true);
    }
}

Result<int> show_trees(ApiClient& api, const TreeOptions& options, Format format) {
    std::vector<std::string> of_trees, of_volumes{"snapshot.status=Ready"};
    if (!options.target.empty() && options.is_volume) {
        TRY_ASSIGN(const std::string volume, api.resolve("/volumes", "volume", options.target));
        of_trees.push_back("volumeUuid=" + volume);
        of_volumes.push_back("uuid=" + volume);
    } else if (!options.target.empty()) {
        TRY_ASSIGN(const std::string vm, api.resolve("/vm-instances", "vm", options.target));
        of_trees.push_back("volume.vmInstanceUuid=" + vm);
        of_volumes.push_back("vmInstanceUuid=" + vm);
    }
    TRY_ASSIGN(const json::array trees, api.query("/volume-snapshots/trees?sort=volumeUuid", of_trees));
    if (format == Format::json) {
        print_rows(trees, {}, format);
        return kDone;
    }
    TRY_ASSIGN(const json::array volumes, api.query("/volumes", of_volumes));
    std::map<std::string, std::string> names;
    for (const json::value& volume : volumes) names[field_text(volume, "uuid")] = field_text(volume, "name");
    print_trees(trees, names);
    return kDone;
}

// Exit 1 as soon as one of them cannot be reverted to.
Result<int> check_groups(ApiClient& api, const std::vector<std::string>& wanted, Format format) {
    std::string uuids;
    std::map<std::string, std::string> names;
    for (const std::string& name : wanted) {
        TRY_ASSIGN(const std::string uuid, api.resolve("/volume-snapshots/group", "snapshot of a VM", name));
        uuids += (uuids.empty() ? "?uuids=" : "&uuids=") + uuid;
        names[uuid] = name;
    }
    TRY_ASSIGN(const json::object answer, api.get("/volume-snapshots/groups/availabilities" + uuids));
    bool all = true;
    json::array rows = answer.at("results").as_array();
    for (json::value& row : rows) {
        all = all && field_text(row, "available") == "true";
        if (format == Format::table) row.as_object()["name"] = names[field_text(row, "uuid")];
    }
    print_rows(rows, {{"NAME", "name"}, {"AVAILABLE", "available"}, {"WHY NOT", "reason"}}, format);
    return all ? kDone : kFailed;
}

}  // namespace

void add_snapshot_tree_and_check(CLI::App& snapshot, Context& context) {
    auto options = std::make_shared<TreeOptions>();
    CLI::App* tree = snapshot.add_subcommand("tree", "Draw which snapshot was taken after which, and which one each volume goes on from");
    CLI::Option* target = tree->add_option("VM", options->target, "Name or uuid of the VM, or of a volume with --volume; left out: all");
    tree->add_flag("--volume", options->is_volume, "Of this one volume alone")->needs(target);
    tree->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return show_trees(api, *options, context.format); }; });
    auto wanted = std::make_shared<std::vector<std::string>>();
    CLI::App* check = snapshot.add_subcommand("check", "Tell whether VMs can be reverted to their snapshots, and why not; exit 1 when one cannot");
    check->add_option("SNAPSHOT", *wanted, "Names or uuids of VMs' snapshots")->required();
    check->callback(
        [&context, wanted] { context.command = [&context, wanted](ApiClient& api) { return check_groups(api, *wanted, context.format); }; });
}

}  // namespace ramet::cli

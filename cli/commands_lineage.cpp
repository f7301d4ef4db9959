// lineage: a tree of layers and the VMs on them.
#include <fmt/format.h>

#include <map>
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

class Tree {
public:
    explicit Tree(const json::object& answer) : layers_(list_field(answer, "layers")) {
        for (const json::value& layer : layers_) by_uuid_[field_text(layer, "uuid")] = &layer;
        for (const json::value& vm : list_field(answer, "vms")) {
            if (!vm.is_object()) continue;
            for (const json::value& volume : list_field(vm.as_object(), "volumes"))
                add_volume(volume, fmt::format("{} ({})", field_text(vm, "name"), field_text(vm, "state")));
        }
        for (const json::value& volume : list_field(answer, "volumes")) add_volume(volume, "no VM");
        for (const json::value& layer : layers_) {
            const std::string parent = field_text(layer, "parentUuid");
            children_[by_uuid_.contains(parent) ? parent : ""].push_back(&layer);
        }
    }

    void print() const { print_children("", ""); }

private:
    struct User {
        const json::value* volume;
        std::string owner;
    };

    void add_volume(const json::value& volume, std::string owner) {
        users_[field_text(volume, "topLayerUuid")].push_back({&volume, std::move(owner)});
    }

    std::string line_of(const json::value& layer) const {
        const std::string uuid = field_text(layer, "uuid");
        if (const auto users = users_.find(uuid); users != users_.end()) {
            const User& user = users->second.front();
            const bool root = field_text(*user.volume, "type") == "Root";
            return fmt::format("{}{}  own {}, shared {}, depth {}", user.owner, root ? "" : " data volume " + field_text(*user.volume, "name"),
                               human_bytes(number_field(*user.volume, "ownBytes")), human_bytes(number_field(*user.volume, "sharedBytes")),
                               number_field(*user.volume, "depth"));
        }
        const std::int64_t volumes = number_field(layer, "volumes"), foreign = number_field(layer, "foreignVolumes");
        std::string line = fmt::format("{} {}  {}, {} volume{}", field_text(layer, "kind"), uuid.substr(0, 8),
                                       human_bytes(number_field(layer, "bytes")), volumes, volumes == 1 ? "" : "s");
        if (foreign > 0) line += fmt::format(" ({} of other accounts)", foreign);
        return line;
    }

    void print_children(const std::string& parent, const std::string& indent) const {
        const auto children = children_.find(parent);
        if (children == children_.end()) return;
        for (const json::value* layer : children->second) {
            const bool last = layer == children->second.back(), top_level = parent.empty();
            fmt::print("{}{}{}\n", indent, top_level ? "" : (last ? "└─ " : "├─ "), line_of(*layer));
            print_children(field_text(*layer, "uuid"), indent + (top_level ? "" : (last ? "   " : "│  ")));
        }
    }

    const json::array& layers_;
    std::map<std::string, const json::value*> by_uuid_;
    std::map<std::string, std::vector<User>> users_;
    std::map<std::string, std::vector<const json::value*>> children_;
};

}  // namespace

void add_lineage_command(CLI::App& app, Context& context) {
    auto target = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("lineage", "Show which VMs and layers stand on which, with shared and own bytes");
    command->add_option("VM", *target, "Name or uuid; left out: everything you may see");
    command->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            std::string path = "/lineage";
            if (!target->empty()) {
                TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", *target));
                path = "/vm-instances/" + uuid + "/lineage";
            }
            TRY_ASSIGN(const json::object answer, api.get(path));
            if (context.format == Format::json) {
                print_object(answer, context.format);
                return kDone;
            }
            Tree(answer).print();
            fmt::print("total {}\n", human_bytes(number_field(answer, "totalBytes")));
            return kDone;
        };
    });
}

void add_flatten_command(CLI::App& group, Context& context, const FlattenTarget& target) {
    struct Options {
        std::string wanted;
        bool dry_run = false, root_only = false;
    };
    auto options = std::make_shared<Options>();
    CLI::App* command = group.add_subcommand("flatten", target.help);
    command->add_option(target.argument, options->wanted, "Name or uuid")->required();
    command->add_flag("--dry-run", options->dry_run, "Only tell how many bytes would be copied");
    if (target.key == "flattenVmInstance") command->add_flag("--root-only", options->root_only, "Leave its data volumes as they are");
    command->callback([&context, options, target] {
        context.command = [&context, options, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve(target.path, target.kind, options->wanted));
            json::object parameters{{"dryRun", options->dry_run}};
            if (options->root_only) parameters["full"] = false;
            TRY_ASSIGN(const json::object answer, api.call("PUT", target.path + "/" + uuid + "/actions", {{target.key, parameters}}));
            if (options->dry_run)
                print_object(json::object{{"bytesToCopy", answer.at("bytesToCopy")}}, context.format);
            else
                print_object(answer.at("inventory"), context.format);
            return kDone;
        };
    });
}

}  // namespace ramet::cli

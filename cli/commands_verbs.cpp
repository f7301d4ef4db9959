// What is done to one image or volume by a single word: boot-mode, rename, enable, disable, recover, expunge; and the boot mode of a VM.
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

// PUT PATH/UUID/actions {KEY: parameters}
struct Action {
    std::string key;
    json::object parameters;
};

Result<int> act(ApiClient& api, const Rows& rows, const std::string& wanted, const Action& action, Format format) {
    TRY_ASSIGN(const std::string uuid, api.resolve(rows.path, rows.kind, wanted));
    TRY_ASSIGN(const json::object answer, api.call("PUT", rows.path + "/" + uuid + "/actions", {{action.key, action.parameters}}));
    if (const json::value* inventory = answer.if_contains("inventory"))
        print_rows({*inventory}, rows.columns, format);
    else
        print_done(format);
    return kDone;
}

struct Target {
    std::string wanted, value;
};

}  // namespace

void add_verb(CLI::App& group, Context& context, const Rows& rows, const Verb& verb) {
    auto target = std::make_shared<Target>();
    CLI::App* command = group.add_subcommand(verb.name, verb.help);
    command->add_option(rows.argument, target->wanted, "Name or uuid")->required();
    command->callback([&context, target, rows, verb] {
        context.command = [&context, target, rows, verb](ApiClient& api) {
            return act(api, rows, target->wanted, {verb.key, verb.parameters}, context.format);
        };
    });
}

void add_rename(CLI::App& group, Context& context, const Rows& rows, const std::string& key) {
    auto target = std::make_shared<Target>();
    CLI::App* command = group.add_subcommand("rename", "Give it another name");
    command->add_option(rows.argument, target->wanted, "Name or uuid")->required();
    command->add_option("NAME", target->value, "Its new name")->required();
    command->callback([&context, target, rows, key] {
        context.command = [&context, target, rows, key](ApiClient& api) {
            return act(api, rows, target->wanted, {key, {{"name", target->value}}}, context.format);
        };
    });
}

void add_boot_mode(CLI::App& group, Context& context, const Rows& rows, const std::string& key, const std::string& help) {
    auto target = std::make_shared<Target>();
    CLI::App* command = group.add_subcommand("boot-mode", help);
    command->add_option(rows.argument, target->wanted, "Name or uuid")->required();
    command->add_option("MODE", target->value, "UEFI or Legacy (BIOS)")->required()->check(CLI::IsMember({"UEFI", "Legacy"}));
    command->callback([&context, target, rows, key] {
        context.command = [&context, target, rows, key](ApiClient& api) {
            return act(api, rows, target->wanted, {key, {{"bootMode", target->value}}}, context.format);
        };
    });
}

}  // namespace ramet::cli

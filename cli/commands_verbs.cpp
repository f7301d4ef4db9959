// What is done to one image or volume by a single word: boot-mode, rename, enable, disable, recover, expunge; and the boot mode of a VM.
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

// PUT PATH/UUID/actions {KEY: parameters}
Result<int> act(ApiClient& api, const Rows& rows, const std::string& wanted, const std::string& key, const json::object& parameters, Format format) {
    TRY_ASSIGN(const std::string uuid, api.resolve(rows.path, rows.kind, wanted));
    TRY_ASSIGN(const json::object answer, api.call("PUT", rows.path + "/" + uuid + "/actions", {{key, parameters}}));
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
    if (verb.value) {
        CLI::Option* value = command->add_option(verb.value->name, target->value, verb.value->help)->required();
        if (!verb.value->choices.empty()) value->check(CLI::IsMember(verb.value->choices));
    }
    command->callback([&context, target, rows, verb] {
        context.command = [&context, target, rows, verb](ApiClient& api) {
            json::object parameters = verb.parameters;
            if (verb.value) parameters[verb.value->parameter] = target->value;
            return act(api, rows, target->wanted, verb.key, parameters, context.format);
        };
    });
}

Verb rename_verb(const std::string& key) { return {"rename", key, "Give it another name", {}, VerbValue{"NAME", "Its new name", "name"}}; }

Verb boot_mode_verb(const std::string& key, const std::string& help) {
    return {"boot-mode", key, help, {}, VerbValue{"MODE", "UEFI or Legacy (BIOS)", "bootMode", {"UEFI", "Legacy"}}};
}

}  // namespace ramet::cli

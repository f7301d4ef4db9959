// vm update, hostname, link, console; config list, set.
#include <fmt/format.h>

#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

struct VmOptions {
    std::string vm, name, description;
    std::int64_t nic = 0;
};

void add_update(CLI::App& vm, Context& context) {
    auto options = std::make_shared<VmOptions>();
    CLI::App* update = vm.add_subcommand("update", "Give a VM another name or description");
    update->add_option("VM", options->vm, "Name or uuid")->required();
    CLI::Option_group* const news = update->add_option_group("news");
    news->add_option("--name", options->name, "Its new name");
    news->add_option("--description", options->description, "Its new description");
    news->require_option(1, 2);
    update->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", options->vm));
            json::object parameters;
            if (!options->name.empty()) parameters["name"] = options->name;
            if (!options->description.empty()) parameters["description"] = options->description;
            TRY_ASSIGN(const json::object answer, api.call("PUT", "/vm-instances/" + uuid + "/actions", {{"updateVmInstance", parameters}}));
            print_rows({answer.at("inventory")}, {{"NAME", "name"}, {"DESCRIPTION", "description"}, {"STATE", "state"}, {"UUID", "uuid"}},
                       context.format);
            return kDone;
        };
    });
}

Result<int> host_name(ApiClient& api, const VmOptions& options, Format format) {
    TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", options.vm));
    const std::string path = "/vm-instances/" + uuid;
    if (options.name == "none")
        TRY(api.call("DELETE", path + "/hostnames", {}));
    else if (!options.name.empty())
        TRY(api.call("PUT", path + "/actions", {{"setVmHostname", json::object{{"hostname", options.name}}}}));
    TRY_ASSIGN(const json::object answer, api.get(path + "/hostnames"));
    if (format == Format::json)
        fmt::print("{}\n", pretty(answer));
    else
        fmt::print("{}\n", field_text(answer, "hostname"));
    return kDone;
}

Result<int> set_link(ApiClient& api, const VmOptions& options, Format format) {
    TRY_ASSIGN(const std::string vm, api.resolve("/vm-instances", "vm", options.vm));
    TRY_ASSIGN(const json::array nics, api.query("/vm-instances/nics", {"vmInstanceUuid=" + vm, fmt::format("deviceId={}", options.nic)}));
    if (nics.empty())
        return fail(ErrorCode::not_found, fmt::format("VM '{}' has no NIC {}; see `ramet vm show {}`", options.vm, options.nic, options.vm));
    const json::object parameters{{"state", options.name == "up" ? "enable" : "disable"}};
    TRY_ASSIGN(const json::object answer,
               api.call("PUT", "/vm-instances/nics/" + field_text(nics.front(), "uuid") + "/actions", {{"changeVmNicState", parameters}}));
    print_rows({answer.at("inventory")}, {{"NIC", "deviceId"}, {"STATE", "state"}, {"MAC", "mac"}, {"IP", "ip"}, {"UUID", "uuid"}}, format);
    return kDone;
}

void add_host_name_and_link(CLI::App& vm, Context& context) {
    auto named = std::make_shared<VmOptions>();
    CLI::App* hostname = vm.add_subcommand("hostname", "Show the host name that a VM's guest is given, or set it: ramet vm hostname web02 www");
    hostname->add_option("VM", named->vm, "Name or uuid")->required();
    hostname->add_option("HOSTNAME", named->name, "The new one; none: the server chooses one again");
    hostname->callback([&context, named] { context.command = [&context, named](ApiClient& api) { return host_name(api, *named, context.format); }; });
    auto linked = std::make_shared<VmOptions>();
    CLI::App* link = vm.add_subcommand("link", "Put a NIC's link up or down, such as that of a clone that keeps its source's identity");
    link->add_option("VM", linked->vm, "Name or uuid")->required();
    link->add_option("STATE", linked->name, "up or down")->required()->check(CLI::IsMember({"up", "down"}));
    link->add_option("--nic", linked->nic, "Which NIC, from 0")->check(CLI::NonNegativeNumber)->capture_default_str();
    link->callback([&context, linked] { context.command = [&context, linked](ApiClient& api) { return set_link(api, *linked, context.format); }; });
}

void add_console(CLI::App& vm, Context& context) {
    auto target = std::make_shared<std::string>();
    CLI::App* console = vm.add_subcommand("console", "Tell where a running VM's screen can be reached (VNC)");
    console->add_option("VM", *target, "Name or uuid")->required();
    console->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", *target));
            TRY_ASSIGN(const json::object answer, api.get("/vm-instances/" + uuid + "/console-addresses"));
            print_rows({answer}, {{"PROTOCOL", "protocol"}, {"HOST", "hostIp"}, {"PORT", "port"}, {"SOCKET", "path"}}, context.format);
            return kDone;
        };
    });
}

const std::vector<Column> kConfigColumns{
    {"CATEGORY", "category"}, {"NAME", "name"}, {"VALUE", "value"}, {"DEFAULT", "defaultValue"}, {"MEANING", "description"}};

Result<int> set_config(ApiClient& api, const std::string& setting, const std::string& value, Format format) {
    const std::size_t dot = setting.find('.');  // a name may have more of them
    if (dot == std::string::npos || dot == 0 || dot + 1 == setting.size())
        return fail(ErrorCode::invalid_argument, "SETTING: write CATEGORY.NAME, such as garbage.gracePeriod; see `ramet config list`");
    const std::string path =
        "/global-configurations/" + percent_encode(setting.substr(0, dot)) + "/" + percent_encode(setting.substr(dot + 1)) + "/actions";
    TRY_ASSIGN(const json::object answer, api.call("PUT", path, {{"updateGlobalConfig", json::object{{"value", value}}}}));
    print_rows({answer.at("inventory")}, kConfigColumns, format);
    return kDone;
}

}  // namespace

void add_vm_settings_commands(CLI::App& vm, Context& context) {
    add_update(vm, context);
    add_host_name_and_link(vm, context);
    add_console(vm, context);
    const Rows rows{"VM", "/vm-instances", "vm", {{"NAME", "name"}, {"STATE", "state"}, {"UUID", "uuid"}}};
    add_verb(vm, context, rows, boot_mode_verb("setVmBootMode", "Set how a VM boots, from its next start on"));
}

void add_config_commands(CLI::App& app, Context& context) {
    CLI::App* config = app.add_subcommand("config", "Settings of the server")->require_subcommand(1);
    add_list_command(*config, context,
                     {"/global-configurations?sort=category", kConfigColumns, "List the settings with what they mean", "category=garbage"});
    struct Options {
        std::string setting, value;
    };
    auto options = std::make_shared<Options>();
    CLI::App* set = config->add_subcommand("set", "Change a setting: ramet config set garbage.gracePeriod 3600");
    set->add_option("SETTING", options->setting, "CATEGORY.NAME")->required();
    set->add_option("VALUE", options->value, "Its new value")->required();
    set->callback([&context, options] {
        context.command = [&context, options](ApiClient& api) { return set_config(api, options->setting, options->value, context.format); };
    });
}

}  // namespace ramet::cli

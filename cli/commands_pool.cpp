// login; image, volume, network, cluster, storage, host, offering.
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cmath>
#include <iostream>
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

const std::vector<Column> kImageColumns{{"NAME", "name"}, {"STATUS", "status"}, {"FORMAT", "format"}, {"SIZE", "size"}, {"UUID", "uuid"}};
const std::vector<Column> kVolumeColumns{{"NAME", "name"}, {"TYPE", "type"},         {"STATUS", "status"},
                                         {"SIZE", "size"}, {"VM", "vmInstanceUuid"}, {"UUID", "uuid"}};

std::string ask_password() {
    termios before{};
    const bool terminal = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        std::cerr << "Password: ";
        termios silent = before;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    std::string password;
    std::getline(std::cin, password);
    if (terminal) {
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        std::cerr << '\n';
    }
    return password;
}

struct ImageOptions {
    std::string name, url, format = "qcow2", checksum;
};

Result<int> add_image(ApiClient& api, const ImageOptions& options, Format format) {
    TRY_ASSIGN(const json::array storages, api.query("/backup-storage", {"state=Enabled"}));
    if (storages.empty()) return fail(ErrorCode::operation_failed, "there is no backup storage to keep images in");
    json::object params{{"name", options.name},
                        {"url", options.url.starts_with("/") ? "file://" + options.url : options.url},
                        {"format", options.format},
                        {"mediaType", "RootVolumeTemplate"}};
    params["backupStorageUuids"] = json::array{field_text(storages.front(), "uuid")};
    if (!options.checksum.empty()) params["checksum"] = options.checksum;
    TRY_ASSIGN(const json::object answer, api.call("POST", "/images", {{"params", params}}));
    print_rows({answer.at("inventory")}, kImageColumns, format);
    return kDone;
}

struct VolumeOptions {
    std::string name, size = "1G", snapshot, vm, volume;
};

Result<int> create_volume(ApiClient& api, const VolumeOptions& options, Format format) {
    std::string path = "/volumes/data";
    json::object params{{"name", options.name}};
    if (options.snapshot.empty()) {
        const std::optional<std::int64_t> size = parse_size(options.size);
        if (!size) return fail(ErrorCode::invalid_argument, "--size: write a size such as 512M or 10G");
        params["diskSize"] = *size;
    } else {
        TRY_ASSIGN(const std::string snapshot, api.resolve("/volume-snapshots", "snapshot", options.snapshot));
        path += "/from/volume-snapshots/" + snapshot;
    }
    TRY_ASSIGN(const json::object answer, api.call("POST", path, {{"params", params}}));
    print_rows({answer.at("inventory")}, kVolumeColumns, format);
    return kDone;
}

void add_volume_action(CLI::App& group, Context& context, const std::string& name, const std::string& help, bool with_vm,
                       const std::function<Result<json::object>(ApiClient&, const std::string& volume, const std::string& vm)>& act) {
    auto options = std::make_shared<VolumeOptions>();
    CLI::App* command = group.add_subcommand(name, help);
    command->add_option("VOLUME", options->volume, "Name or uuid")->required();
    if (with_vm) command->add_option("VM", options->vm, "Name or uuid")->required();
    command->callback([&context, options, with_vm, act] {
        context.command = [&context, options, with_vm, act](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string volume, api.resolve("/volumes", "volume", options->volume));
            std::string vm;
            if (with_vm) { TRY_ASSIGN(vm, api.resolve("/vm-instances", "vm", options->vm)); }
            TRY_ASSIGN(const json::object answer, act(api, volume, vm));
            if (const json::value* inventory = answer.if_contains("inventory"))
                print_rows({*inventory}, kVolumeColumns, context.format);
            else
                print_done(context.format);
            return kDone;
        };
    });
}

struct StorageOptions {
    std::string name, directory;
    bool create = false;
};

Result<int> add_storage(ApiClient& api, const StorageOptions& options, Format format) {
    TRY_ASSIGN(const json::array zones, api.query("/zones", {}));
    if (zones.empty()) return fail(ErrorCode::operation_failed, "there is no zone");
    const json::object params{
        {"name", options.name}, {"url", options.directory}, {"zoneUuid", field_text(zones.front(), "uuid")}, {"createDirectory", options.create}};
    TRY_ASSIGN(const json::object answer, api.call("POST", "/primary-storage/local-storage", {{"params", params}}));
    print_object(answer.at("inventory"), format);
    return kDone;
}

void add_storage_commands(CLI::App& storage, Context& context) {
    auto options = std::make_shared<StorageOptions>();
    CLI::App* add = storage.add_subcommand("add", "Add a directory as primary storage");
    add->add_option("NAME", options->name, "Its name")->required();
    add->add_option("DIRECTORY", options->directory, "An absolute path on the server")->required();
    add->add_flag("--create", options->create, "Make the directory if it is not there");
    add->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return add_storage(api, *options, context.format); }; });
    auto target = std::make_shared<std::string>();
    CLI::App* remove = storage.add_subcommand("delete", "Let go of a primary storage that holds no volumes; its directory stays");
    remove->add_option("STORAGE", *target, "Name or uuid")->required();
    remove->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/primary-storage", "storage", *target));
            TRY(api.call("DELETE", "/primary-storage/" + uuid, {}));
            print_done(context.format);
            return kDone;
        };
    });
}

}  // namespace

std::optional<std::int64_t> parse_size(const std::string& text) {
    std::size_t used = 0;
    double number = 0;
    try {
        number = std::stod(text, &used);
    } catch (const std::exception&) { return std::nullopt; }
    constexpr std::string_view kUnits = "KMGT";
    const std::string unit = text.substr(used);
    double factor = 1;
    if (!unit.empty()) {
        const std::size_t power = kUnits.find(static_cast<char>(std::toupper(static_cast<unsigned char>(unit.front()))));
        if (power == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "iB" && unit.substr(1) != "B")) return std::nullopt;
        factor = std::pow(1024.0, static_cast<double>(power) + 1);
    }
    if (!std::isfinite(number) || number < 0 || number * factor > 9.0e18) return std::nullopt;
    return static_cast<std::int64_t>(number * factor);
}

void add_list_command(CLI::App& group, Context& context, const ListTarget& target) {
    auto conditions = std::make_shared<std::vector<std::string>>();
    CLI::App* list = group.add_subcommand("list", target.help);
    list->add_option("-q", *conditions, "Condition such as " + target.example + ", repeatable");
    list->callback([&context, conditions, target] {
        context.command = [&context, conditions, target](ApiClient& api) -> Result<int> {
            std::string path = target.path;
            if (!path.contains('?')) path += "?sort=name";
            if (target.rows > 0 && conditions->empty()) path += fmt::format("&limit={}", target.rows);
            TRY_ASSIGN(const json::array rows, api.query(path, *conditions));
            print_rows(rows, target.columns, context.format);
            return kDone;
        };
    });
}

void add_login_commands(CLI::App& app, Context& context) {
    CLI::App* login =
        app.add_subcommand("login", "Log in and keep the session; the password comes from RAMET_PASSWORD, the terminal or standard input");
    login->callback([&context] {
        context.command = [&context](ApiClient& api) -> Result<int> {
            TRY(api.log_in(context.connection.password ? *context.connection.password : ask_password()));
            fmt::print(stderr, "logged in to {} as {}\n", context.connection.server, context.connection.account);
            print_done(context.format);
            return kDone;
        };
    });
}

void add_image_commands(CLI::App& app, Context& context) {
    CLI::App* image = app.add_subcommand("image", "Images")->require_subcommand(1);
    add_list_command(*image, context, {"/images", kImageColumns});
    auto options = std::make_shared<ImageOptions>();
    CLI::App* add = image->add_subcommand("add", "Bring an image in");
    add->add_option("NAME", options->name, "Its name")->required();
    add->add_option("URL", options->url, "file:///..., an absolute path, http:// or https://")->required();
    add->add_option("--format", options->format, "qcow2 or raw")->capture_default_str();
    add->add_option("--checksum", options->checksum, "sha256:<hex>, sha512:<hex> or md5:<hex>");
    add->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return add_image(api, *options, context.format); }; });
    auto target = std::make_shared<std::string>();
    CLI::App* remove = image->add_subcommand("delete", "Delete an image");
    remove->add_option("IMAGE", *target, "Name or uuid")->required();
    remove->callback([&context, target] {
        context.command = [&context, target](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(const std::string uuid, api.resolve("/images", "image", *target));
            TRY(api.call("DELETE", "/images/" + uuid, {}));
            print_done(context.format);
            return kDone;
        };
    });
    const Rows rows{"IMAGE", "/images", "image", kImageColumns};
    add_verb(*image, context, rows, {"recover", "recoverImage", "Bring a deleted image back"});
    add_verb(*image, context, rows, {"expunge", "expungeImage", "Remove a deleted image and its file for ever"});
    add_verb(*image, context, rows, {"enable", "changeImageState", "Let VMs be made from it again", {{"stateEvent", "enable"}}});
    add_verb(*image, context, rows, {"disable", "changeImageState", "Let no more VMs be made from it", {{"stateEvent", "disable"}}});
    add_verb(*image, context, rows, rename_verb("updateImage"));
    add_verb(*image, context, rows, boot_mode_verb("setImageBootMode", "Set how VMs made from it boot"));
}

void add_volume_commands(CLI::App& app, Context& context) {
    CLI::App* volume = app.add_subcommand("volume", "Volumes")->require_subcommand(1);
    add_list_command(*volume, context, {"/volumes", kVolumeColumns});
    auto options = std::make_shared<VolumeOptions>();
    CLI::App* create = volume->add_subcommand("create", "Make a data volume");
    create->add_option("NAME", options->name, "Its name")->required();
    CLI::Option* size = create->add_option("--size", options->size, "Size, such as 10G")->capture_default_str();
    create->add_option("--snapshot", options->snapshot, "Begin as this snapshot of a volume, by name or uuid")->excludes(size);
    create->callback(
        [&context, options] { context.command = [&context, options](ApiClient& api) { return create_volume(api, *options, context.format); }; });
    add_volume_action(*volume, context, "attach", "Attach a data volume to a VM", true,
                      [](ApiClient& api, const std::string& id, const std::string& vm) {
                          return api.call("POST", "/volumes/" + id + "/vm-instances/" + vm, {{"params", json::object{}}});
                      });
    add_volume_action(*volume, context, "detach", "Detach a data volume", false, [](ApiClient& api, const std::string& id, const std::string&) {
        return api.call("DELETE", "/volumes/" + id + "/vm-instances", {});
    });
    add_flatten_command(*volume, context, {"VOLUME", "/volumes", "volume", "flattenVolume", "Copy what a volume shares with others into it"});
    add_volume_action(*volume, context, "delete", "Delete a data volume", false,
                      [](ApiClient& api, const std::string& id, const std::string&) { return api.call("DELETE", "/volumes/" + id, {}); });
    const Rows rows{"VOLUME", "/volumes", "volume", kVolumeColumns};
    add_verb(*volume, context, rows, {"recover", "recoverDataVolume", "Bring a deleted data volume back"});
    add_verb(*volume, context, rows, {"expunge", "expungeDataVolume", "Remove a deleted data volume for ever"});
    add_verb(*volume, context, rows, {"enable", "changeVolumeState", "Let a volume be used again", {{"stateEvent", "enable"}}});
    add_verb(*volume, context, rows, {"disable", "changeVolumeState", "Let no VM get this volume any more", {{"stateEvent", "disable"}}});
    add_verb(*volume, context, rows, rename_verb("updateVolume"));
}

void add_place_commands(CLI::App& app, Context& context) {
    const auto add_place = [&](const char* name, const char* help, const ListTarget& list) {
        CLI::App* place = app.add_subcommand(name, help)->require_subcommand(1);
        add_list_command(*place, context, list);
        return place;
    };
    add_place("network", "L3 networks",
              {"/l3-networks", {{"NAME", "name"}, {"STATE", "state"}, {"CIDR", "ipRanges.0.networkCidr"}, {"UUID", "uuid"}}});
    add_place("cluster", "Clusters", {"/clusters", {{"NAME", "name"}, {"STATE", "state"}, {"HYPERVISOR", "hypervisorType"}, {"UUID", "uuid"}}});
    add_place("host", "Hosts",
              {"/hosts",
               {{"NAME", "name"},
                {"STATUS", "status"},
                {"CPU", "availableCpuCapacity"},
                {"MEMORY", "availableMemoryCapacity"},
                {"ACCELERATOR", "accelerator"},
                {"UUID", "uuid"}}});
    add_place("offering", "Instance offerings",
              {"/instance-offerings", {{"NAME", "name"}, {"CPU", "cpuNum"}, {"MEMORY", "memorySize"}, {"UUID", "uuid"}}});
    CLI::App* storage = add_place(
        "storage", "Primary storages",
        {"/primary-storage", {{"NAME", "name"}, {"STATUS", "status"}, {"AVAILABLE", "availableCapacity"}, {"URL", "url"}, {"UUID", "uuid"}}});
    add_storage_commands(*storage, context);
}

}  // namespace ramet::cli

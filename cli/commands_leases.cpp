// vm extend, vm lease; event list.
#include <algorithm>
#include <charconv>
#include <memory>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr const char* kHowToWrite = "write a time such as 90s, 30m, 2h or 7d";

Result<int> change_lease(ApiClient& api, const std::string& vm, const std::string& key, const json::object& parameters, Format format) {
    TRY_ASSIGN(const std::string uuid, api.resolve("/vm-instances", "vm", vm));
    TRY_ASSIGN(const json::object answer, api.call("PUT", "/vm-instances/" + uuid + "/actions", {{key, parameters}}));
    print_rows({answer.at("inventory")}, {{"NAME", "name"}, {"STATE", "state"}, {"LEASE ENDS", "leaseEndDate"}, {"UUID", "uuid"}}, format);
    return kDone;
}

}  // namespace

std::optional<std::int64_t> parse_seconds(const std::string& text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number < 1) return std::nullopt;
    const std::string unit(end, text.data() + text.size());
    const std::int64_t seconds = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
    constexpr std::int64_t kMost = 315'360'000;  // ten years, as the server has it
    if (seconds == 0 || number > kMost / seconds) return std::nullopt;
    return number * seconds;
}

void add_lease_commands(CLI::App& vm, Context& context) {
    struct Options {
        std::string target, time;
    };
    auto extend = std::make_shared<Options>();
    CLI::App* extend_command = vm.add_subcommand("extend", "Let a VM with a lease live longer: ramet vm extend web02 2h");
    extend_command->add_option("VM", extend->target, "Name or uuid")->required();
    extend_command->add_option("TIME", extend->time, "What is added to its lease: 90s, 30m, 2h, 7d")->required();
    extend_command->callback([&context, extend] {
        context.command = [&context, extend](ApiClient& api) -> Result<int> {
            const std::optional<std::int64_t> seconds = parse_seconds(extend->time);
            if (!seconds) return fail(ErrorCode::invalid_argument, std::string("TIME: ") + kHowToWrite);
            return change_lease(api, extend->target, "extendVmInstanceLease", {{"expiresIn", *seconds}}, context.format);
        };
    });
    auto lease = std::make_shared<Options>();
    CLI::App* lease_command = vm.add_subcommand("lease", "Set when a VM is destroyed and expunged: ramet vm lease web02 2h, or none");
    lease_command->add_option("VM", lease->target, "Name or uuid")->required();
    lease_command->add_option("TIME", lease->time, "From now: 90s, 30m, 2h, 7d; or none")->required();
    lease_command->callback([&context, lease] {
        context.command = [&context, lease](ApiClient& api) -> Result<int> {
            if (lease->time == "none") return change_lease(api, lease->target, "setVmInstanceLease", {}, context.format);
            const std::optional<std::int64_t> seconds = parse_seconds(lease->time);
            if (!seconds) return fail(ErrorCode::invalid_argument, std::string("TIME: ") + kHowToWrite + ", or none");
            return change_lease(api, lease->target, "setVmInstanceLease", {{"expiresIn", *seconds}}, context.format);
        };
    });
}

void add_event_commands(CLI::App& app, Context& context) {
    CLI::App* event = app.add_subcommand("event", "What has happened")->require_subcommand(1);
    auto conditions = std::make_shared<std::vector<std::string>>();
    CLI::App* list = event->add_subcommand("list", "List events, such as warnings of leases that end; the newest last");
    list->add_option("-q", *conditions, "Condition such as name=lease-warning, repeatable");
    list->callback([&context, conditions] {
        context.command = [&context, conditions](ApiClient& api) -> Result<int> {
            TRY_ASSIGN(json::array rows, api.query("/events?sort=-createDate", *conditions));
            std::reverse(rows.begin(), rows.end());  // the newest were asked for, and are read last
            print_rows(rows, {{"DATE", "createDate"}, {"EVENT", "name"}, {"RESOURCE", "resourceName"}, {"MESSAGE", "message"}}, context.format);
            return kDone;
        };
    });
}

}  // namespace ramet::cli

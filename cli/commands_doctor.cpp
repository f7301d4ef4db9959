// doctor: what the server promises, checked; --clean removes what nobody owns, --memory reads what was captured.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>

#include "commands.hpp"

namespace ramet::cli {

namespace json = boost::json;

namespace {

constexpr int kCleanTriesMax = 3;  // what was never seen before needs a second look; what a job may own, the job's end

void print_invariants(const json::array& invariants, const json::array& findings) {
    for (const json::value& invariant : invariants) {
        const std::string state = field_text(invariant, "state");
        fmt::print("{:4} {:19} {}\n", field_text(invariant, "number"), state, field_text(invariant, "claim"));
        if (const std::string reason = field_text(invariant, "reason"); !reason.empty()) fmt::print("{:24} {}\n", "", reason);
        const json::value* found = invariant.as_object().if_contains("findings");
        if (found == nullptr || !found->is_array()) continue;
        for (const json::value& finding : found->as_array()) fmt::print("{:24} ! {}\n", "", std::string_view(finding.as_string()));
    }
    for (const json::value& finding : findings) fmt::print("! {}: {}\n", field_text(finding, "kind"), field_text(finding, "what"));
}

Result<int> clean(ApiClient& api) {
    for (int tries = 1;; ++tries) {
        TRY_ASSIGN(const json::object done, api.call("PUT", "/doctor/actions", {{"cleanGarbage", json::object{}}}));
        const std::int64_t waiting = done.at("waiting").to_number<std::int64_t>();
        fmt::print(stderr, "removed: {}, waiting: {}\n", done.at("removed").to_number<std::int64_t>(), waiting);
        if (waiting == 0) return kDone;
        if (tries == kCleanTriesMax) return kPartlyDone;
        const std::int64_t seconds = done.at("waitSeconds").to_number<std::int64_t>();
        fmt::print(stderr, "looking again in {} s: nothing is removed at first sight\n", seconds + 1);
        std::this_thread::sleep_for(std::chrono::seconds(seconds + 1));
    }
}

Result<void> verify_memory(ApiClient& api) {
    TRY_ASSIGN(const json::object done, api.call("PUT", "/doctor/actions", {{"verifyMemoryImages", json::object{}}}));
    fmt::print(stderr, "memory images read: {}, damaged: {}\n", done.at("verified").to_number<std::int64_t>(), done.at("damaged").as_array().size());
    return {};
}

Result<int> check(ApiClient& api, Format format) {
    TRY_ASSIGN(const json::object answer, api.get("/doctor"));
    const json::array& findings = answer.at("findings").as_array();
    const json::array& invariants = answer.at("invariants").as_array();
    bool violated = !findings.empty();
    for (const json::value& invariant : invariants) violated = violated || field_text(invariant, "state") == "violated";
    if (format == Format::json) {
        fmt::print("{}\n", pretty(answer));
    } else {
        print_invariants(invariants, findings);
        fmt::print("{}\n", violated ? "something is wrong; see the lines with !" : "every invariant that can be checked holds");
    }
    return violated ? kFailed : kDone;
}

}  // namespace

void add_doctor_command(CLI::App& app, Context& context) {
    auto cleaning = std::make_shared<bool>(false);
    auto verifying = std::make_shared<bool>(false);
    CLI::App* command =
        app.add_subcommand("doctor", "Check every invariant of the server, and that nothing lies around; exit 1 when something is wrong");
    command->add_flag("--clean", *cleaning, "First remove what nobody owns, without its grace period");
    command->add_flag("--memory", *verifying, "First read all captured memory and hold it against its checksums");
    command->callback([&context, cleaning, verifying] {
        context.command = [&context, cleaning, verifying](ApiClient& api) -> Result<int> {
            if (*cleaning) TRY(clean(api));
            if (*verifying) TRY(verify_memory(api));
            return check(api, context.format);
        };
    });
}

}  // namespace ramet::cli

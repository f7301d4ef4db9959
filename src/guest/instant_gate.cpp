#include "guest/instant_gate.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "base/patience.hpp"
#include "guest/instant_gate_script.hpp"
#include "telemetry/log.hpp"

namespace ramet {

template <> const TypeInfo& describe<guest::GateFact>() {
    using guest::GateFact;
    static const TypeInfo info = object<GateFact>("GateFact", "One thing of a clone's identity.", field<&GateFact::what>("what", "What it is."),
                                                  field<&GateFact::outcome>("outcome", "changed, kept or failed."),
                                                  field<&GateFact::detail>("detail", "What it is now, or why not."));
    return info;
}

}  // namespace ramet

namespace ramet::guest {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

namespace {

constexpr milliseconds kResumedPingPatience{500};  // once; a guest that has just gone on may be slow
constexpr std::size_t kEntropyBytes = 64;
constexpr std::size_t kFactsMax = 64;  // a guest can say anything
constexpr std::size_t kFactCharactersMax = 200;
constexpr milliseconds kOpenPatience{15'000};
constexpr milliseconds kClockPatience{20'000};  // the agent sets the hardware clock too, which takes a busy guest seconds
constexpr int kDateAttempts = 3;
constexpr milliseconds kClockLate{400};  // of the half second that is promised

std::string fresh_entropy() {
    std::array<unsigned char, kEntropyBytes> bytes;
    randombytes_buf(bytes.data(), bytes.size());
    std::string text(kEntropyBytes * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();
    return text;
}

// The guest's words, without what could not be text.
std::string cleaned(std::string_view text) {
    std::string clean(text.substr(0, kFactCharactersMax));
    for (char& c : clean) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    }
    return clean;
}

std::vector<GateFact> read_facts(const std::string& text) {
    std::vector<GateFact> facts;
    std::size_t place = 0;
    while (place < text.size() && facts.size() < kFactsMax) {
        const std::size_t end = std::min(text.find('\n', place), text.size());
        const std::string_view line = std::string_view(text).substr(place, end - place);
        place = end + 1;
        const std::size_t first = line.find('|'), second = first == std::string_view::npos ? first : line.find('|', first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view outcome = line.substr(first + 1, second - first - 1);
        if (outcome != "changed" && outcome != "kept" && outcome != "failed") continue;
        facts.push_back({cleaned(line.substr(0, first)), std::string(outcome), cleaned(line.substr(second + 1))});
    }
    return facts;
}

std::string word(const std::string& text) { return text.empty() ? "-" : text; }

Result<void> wait_for_agent(hypervisor::Hypervisor& hypervisor, const VmId& vm, steady_clock::time_point deadline, const std::stop_token& stop) {
    while (true) {
        if (stop.stop_requested()) return fail(ErrorCode::cancelled, "cancelled");
        Result<void> answer = hypervisor.agent_ping(vm, kResumedPingPatience);
        if (answer.has_value()) return {};
        if (answer.error().code == ErrorCode::wrong_state) return answer;  // it has ended
        // Anything else may be the rest of a conversation that the source had: the next try begins anew.
        if (steady_clock::now() > deadline) {
            return fail(ErrorCode::timeout,
                        "the guest agent, which answered in the source, does not answer in the clone; its links stay down. Clone again, or without "
                        "memory",
                        answer.error().detail);
        }
        std::this_thread::sleep_for(milliseconds(5));
    }
}

// A guest's first answers may be the rest of a conversation that the source had; so a script may run twice.
Result<hypervisor::ExecResult> run_script(hypervisor::Hypervisor& hypervisor, const VmId& vm, const std::vector<std::string>& arguments,
                                          const std::string& input, milliseconds patience, const std::stop_token& stop) {
    Result<hypervisor::ExecResult> run = hypervisor.agent_exec(vm, "/bin/sh", arguments, input, patience, stop);
    const bool garbled = !run.has_value() && run.error().code != ErrorCode::timeout && run.error().code != ErrorCode::wrong_state &&
                         run.error().code != ErrorCode::cancelled;
    return garbled ? hypervisor.agent_exec(vm, "/bin/sh", arguments, input, patience, stop) : run;
}

// Some guests' `date` knows whole seconds alone: it is told one as it begins. What the way there took is all that the clock can be late by.
Result<GateFact> set_clock_by_date(hypervisor::Hypervisor& hypervisor, const VmId& vm, const std::stop_token& stop) {
    milliseconds late{0};
    for (int attempt = 0; attempt < kDateAttempts; ++attempt) {
        const auto second = std::chrono::ceil<std::chrono::seconds>(system_clock::now());
        TRY(pause_patiently(std::chrono::ceil<milliseconds>(second - system_clock::now())));
        const std::string told = std::to_string(second.time_since_epoch().count());
        TRY_ASSIGN(const hypervisor::ExecResult set,
                   run_script(hypervisor, vm, {"-c", kGateClockScript, "ramet-gate", told}, {}, kClockPatience, stop));
        if (set.exit_code != 0) {
            return fail(ErrorCode::operation_failed,
                        "the guest's clock cannot be set: its agent refused, and so did date; allow the agent guest-set-time in the source and clone "
                        "again",
                        set.err.substr(0, 512));
        }
        late = std::chrono::ceil<milliseconds>(system_clock::now() - second);
        if (late <= kClockLate) break;
    }
    return GateFact{"clock", "changed", "set to the host's by date, late by " + std::to_string(late.count()) + " ms at most"};
}

Result<GateFact> set_clock(hypervisor::Hypervisor& hypervisor, const VmId& vm, const std::stop_token& stop) {
    if (hypervisor.agent_set_clock(vm, kClockPatience).has_value()) return GateFact{"clock", "changed", "set to the host's"};
    return set_clock_by_date(hypervisor, vm, stop);
}

Result<std::vector<GateFact>> through_the_agent(hypervisor::Hypervisor& hypervisor, const GateRequest& request, milliseconds patience,
                                                const std::stop_token& stop) {
    TRY(wait_for_agent(hypervisor, request.vm, steady_clock::now() + patience, stop));
    TRY_ASSIGN(GateFact clock, set_clock(hypervisor, request.vm, stop));
    std::vector<std::string> arguments{"-c", kGateScript, "ramet-gate", request.instance_id, request.host_name};
    for (const GateNic& nic : request.nics) {
        const std::string address = nic.nic.ip.empty() ? "-" : nic.nic.ip + "/" + std::to_string(nic.prefix_length);
        arguments.push_back(nic.old_mac + " " + nic.nic.mac + " " + address + " " + word(nic.nic.gateway));
    }
    TRY_ASSIGN(const hypervisor::ExecResult outcome, run_script(hypervisor, request.vm, arguments, fresh_entropy(), patience, stop));
    std::vector<GateFact> facts = read_facts(outcome.out);
    if (outcome.exit_code != 0) {
        const auto broken = std::ranges::find(facts, "failed", &GateFact::outcome);
        const std::string why = broken != facts.end() ? broken->what + ": " + broken->detail : "exit " + std::to_string(outcome.exit_code);
        return fail(ErrorCode::operation_failed, "the guest could not take an identity of its own (" + why + ")", outcome.err.substr(0, 512));
    }
    facts.push_back(std::move(clock));
    return facts;
}

}  // namespace

Result<std::vector<GateFact>> pass_instant_gate(hypervisor::Hypervisor& hypervisor, const GateRequest& request, milliseconds patience,
                                                const std::stop_token& stop) {
    std::vector<GateFact> facts;
    if (request.agent) {
        TRY_ASSIGN(facts, through_the_agent(hypervisor, request, patience, stop));
        std::vector<std::string> arguments{"-c", kGateOpenScript, "ramet-gate"};
        for (const GateNic& nic : request.nics) {
            if (!nic.nic.link_up) continue;
            TRY(hypervisor.set_link(request.vm, nic.nic.nic, true));
            arguments.push_back(nic.nic.mac + " " + word(nic.nic.gateway));
        }
        const auto opened = hypervisor.agent_exec(request.vm, "/bin/sh", arguments, {}, kOpenPatience, stop);
        if (!opened.has_value())
            telemetry::log_warning("VM {}: its DHCP clients were not started again: {}", request.vm.text(), opened.error().message);
    } else {
        for (const GateNic& nic : request.nics) {
            TRY(hypervisor.swap_nic(request.vm, nic.nic));
            facts.push_back({"mac", "changed", nic.old_mac + " to " + nic.nic.mac + " by another NIC"});
        }
        facts.push_back({"clock", "kept", "the guest has no agent; its hardware clock is right"});
        facts.push_back({"hostName", "kept", "the guest has no agent"});
        facts.push_back({"machineId", "kept", "the guest has no agent"});
        facts.push_back({"sshHostKeys", "kept", "the guest has no agent"});
        facts.push_back({"randomPool", "kept", "the guest has no agent; a kernel that knows the VM generation id has changed it"});
    }
    for (const GateNic& nic : request.nics) facts.push_back({"link", nic.nic.link_up ? "changed" : "kept", nic.nic.link_up ? "up" : "down"});
    facts.push_back({"smbios", "kept", "uuid and serial are the source's until the guest boots"});
    return facts;
}

Result<std::vector<GateFact>> wake_in_the_present(hypervisor::Hypervisor& hypervisor, const VmId& vm, bool agent, milliseconds patience,
                                                  const std::stop_token& stop) {
    if (!agent) {
        return std::vector<GateFact>{{"clock", "kept", "the guest has no agent; its hardware clock is right"},
                                     {"randomPool", "kept", "the guest has no agent"}};
    }
    const auto is_over = [](const Error& error) { return error.code == ErrorCode::cancelled || error.code == ErrorCode::wrong_state; };
    const auto not_done = [](std::string what, const Error& error) { return GateFact{std::move(what), "failed", error.message}; };
    const Result<void> answers = wait_for_agent(hypervisor, vm, steady_clock::now() + patience, stop);
    if (!answers.has_value() && is_over(answers.error())) return std::unexpected<Error>(answers.error());
    if (!answers.has_value()) {
        const Error silent{ErrorCode::timeout, "the guest agent, which answered when the memory was kept, does not answer", {}, nullptr, {}};
        return std::vector<GateFact>{not_done("clock", silent), not_done("randomPool", silent)};
    }
    std::vector<GateFact> facts;
    Result<GateFact> clock = set_clock(hypervisor, vm, stop);
    if (!clock.has_value() && is_over(clock.error())) return std::unexpected<Error>(clock.error());
    facts.push_back(clock.has_value() ? std::move(*clock) : not_done("clock", clock.error()));
    const Result<hypervisor::ExecResult> reseeded =
        run_script(hypervisor, vm, {"-c", kGateScript, "ramet-gate", vm.text(), "-"}, fresh_entropy(), patience, stop);
    if (!reseeded.has_value() && is_over(reseeded.error())) return std::unexpected<Error>(reseeded.error());
    if (!reseeded.has_value()) {
        facts.push_back(not_done("randomPool", reseeded.error()));
    } else {
        for (GateFact& fact : read_facts(reseeded->out)) facts.push_back(std::move(fact));
    }
    return facts;
}

}  // namespace ramet::guest

// Where faults come in: every call of a port and every crash point passes here. A campaign decides what happens to each; what has happened is
// counted in a table that outlives the process, so that it also tells what a killed server had done.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "simulation/mutation.hpp"
#include "simulation/scheduler.hpp"
#include "simulation/step_watch.hpp"
#include "simulation/tally.hpp"

namespace ramet::sim {

enum class Port : std::uint8_t { storage, hypervisor, agent, plumbing, database };
inline constexpr std::array<std::string_view, 5> kPortNames{"storage", "hypervisor", "agent", "plumbing", "database"};

struct Call {
    Port port;
    std::string_view operation;
    std::string about;             // a path or a uuid; never an absolute path, so that a trace is the same anywhere
    bool repeatable = true;        // the port promises that a second call is as one
    std::stop_token stop{};        // of calls that can be cancelled
    std::function<void()> tear{};  // leaves half of the effect
};

class Seam {
public:
    using Decide = std::function<Fault(const Call&, std::uint64_t number)>;
    // Does the server die at this passage of a crash point?
    using DecideCrash = std::function<bool(std::string_view name, std::uint64_t number)>;
    explicit Seam(Tally& tally) : tally_(tally), watch_([&tally](const std::string& violation) { tally.violation(violation); }) {}
    StepWatch& watch() { return watch_; }

    // From here on, counting from 1.
    void faults(Decide decide, DecideCrash crash) {
        decide_ = std::move(decide);
        crash_ = std::move(crash);
        calls_ = passages_ = 0;
        open_ = true;
    }
    void no_more_faults() {
        decide_ = {};
        crash_ = {};
        mutation = {};
        open_ = false;
    }
    void on_death(std::function<void()> die) { die_ = std::move(die); }  // does not return to its caller
    template <class Effect>
    auto call(const Call& call, const Effect& effect) -> decltype(effect()) {
        using Outcome = decltype(effect());
        const Fault fault = enter(call);
        const StepWatch::Visit visit(watch_, call.operation, call.about);
        const std::uint64_t number = calls_;
        if (fault == Fault::swallow) {
            if (mutation.after) mutation.after(call, number, true);
            return Outcome{std::in_place};
        }
        if (const std::optional<Error> error = before(call, fault)) return Outcome(*error);
        Outcome outcome = effect();
        if (fault == Fault::twice) outcome = effect();
        if (fault == Fault::crash_after) die();
        if (fault == Fault::falsify) falsify(outcome);
        if (mutation.after) mutation.after(call, number, outcome.has_value());
        scheduler().note(outcome.has_value() ? "  ok" : "  failed");
        if (fault == Fault::lost_reply) return Outcome(Error{ErrorCode::timeout, "the answer was lost", {}, nullptr, {}});
        return outcome;
    }
    void passage(const char* name);
    void note_refusal() { ++tally_.refused; }  // of what a client asked for
    // A statement of a transaction; true: it is left out.
    std::function<bool(std::string_view sql)> leaves_out{};
    Mutation mutation;

private:
    Fault enter(const Call& call);
    std::optional<Error> before(const Call& call, Fault fault);
    void die() {
        watch_.forget();
        die_();
    }
    Tally& tally_;
    StepWatch watch_;
    Decide decide_;
    DecideCrash crash_;
    std::function<void()> die_;
    bool open_ = false;
    std::uint64_t calls_ = 0, passages_ = 0;
};

}  // namespace ramet::sim

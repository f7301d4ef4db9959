// What a step holds that was cut off or that failed: no other job gets in between it and its second run or its undo.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/toy_saga.hpp"
#include "workflow/engine.hpp"

namespace ramet::workflow {
namespace {

using test::Gate;
using test::kHarnessPatience;
using test::ToyWorld;
using testing::ElementsAre;

struct Events {
    std::mutex mutex;
    std::vector<std::string> all;
    void add(std::string event) {
        const std::lock_guard lock(mutex);
        all.push_back(std::move(event));
    }
};

// Notes its runs and undos, passes a gate, and holds the one thing that all want.
class Noted final : public Step {
public:
    Noted(Events& events, Gate& gate, std::string job, bool fails) : events_(events), gate_(gate), job_(std::move(job)), fails_(fails) {}
    std::string_view name() const override { return "noted"; }
    std::vector<std::string> locks() const override { return {"the-vm"}; }
    Result<Output> run(StepContext& context) override {
        if (!gate_.pass(context.stop())) return fail(ErrorCode::cancelled, "told to stop");
        events_.add("run " + job_);
        if (fails_) return fail(ErrorCode::operation_failed, "it was made to fail");
        return Output{};
    }
    Result<void> undo(StepContext&) override {
        events_.add("undo " + job_);
        return {};
    }

private:
    Events& events_;
    Gate& gate_;
    std::string job_;
    bool fails_;
};

class EngineLocks : public testing::Test {
protected:
    EngineLocks() {
        for (const char* name : {"first", "second"}) {
            EXPECT_TRUE(log.save_job(ToyWorld::job_named(name)).has_value());
            gates[name].close();
        }
    }
    // With one thread jobs begin in the order in which they come.
    std::unique_ptr<Engine> new_engine(std::size_t threads = 1) {
        auto engine = std::make_unique<Engine>(log, clock, test::harness_detail::options_of(threads, 1));
        engine->add_kind("toy", [this](const Job& row) -> Result<Saga> {
            Saga saga(row.kind, row.uuid);
            saga.add<Noted>(events, gates.at(row.plan), row.plan, row.plan == failing);
            return saga;
        });
        return engine;
    }
    static JobId uuid(const std::string& name) { return ToyWorld::job_named(name).uuid; }
    void open_all() {
        for (auto& [name, gate] : gates) gate.open();
    }
    static void expect_ends(Engine& engine) {
        for (const char* name : {"first", "second"}) EXPECT_TRUE(is_terminal(engine.wait(uuid(name), kHarnessPatience)->state)) << name;
    }

    test::FakeSagaLog log;
    SystemClock clock;
    Events events;
    std::map<std::string, Gate> gates;
    std::string failing;
};

TEST_F(EngineLocks, AStepThatADeathCutOffRunsBeforeOlderJobsThatWaitForIt) {
    {
        const std::unique_ptr<Engine> engine = new_engine();
        ASSERT_TRUE(engine->start(ToyWorld::job_named("second")).has_value());
        ASSERT_TRUE(gates["second"].await_visitor());
        ASSERT_TRUE(engine->start(ToyWorld::job_named("first")).has_value());
    }
    open_all();
    const std::unique_ptr<Engine> engine = new_engine();
    ASSERT_EQ(engine->recover().value_or(0), 2U);
    expect_ends(*engine);
    EXPECT_THAT(events.all, ElementsAre("run second", "run first"));
}

TEST_F(EngineLocks, AStepThatADeathCutOffIsTakenBackBeforeOlderJobsThatWaitForIt) {
    {
        const std::unique_ptr<Engine> engine = new_engine();
        ASSERT_TRUE(engine->start(ToyWorld::job_named("second")).has_value());
        ASSERT_TRUE(gates["second"].await_visitor());
    }
    log.put_step(cause_row(uuid("second"), Error{ErrorCode::cancelled, "cancelled", {}, nullptr, {}}, Timestamp{}));
    open_all();
    const std::unique_ptr<Engine> engine = new_engine();
    ASSERT_EQ(engine->recover().value_or(0), 2U);
    expect_ends(*engine);
    EXPECT_THAT(events.all, ElementsAre("undo second", "run first"));
}

TEST_F(EngineLocks, AStepThatFailsIsTakenBackBeforeAJobThatWaitsForIt) {
    failing = "first";
    const std::unique_ptr<Engine> engine = new_engine(2);
    ASSERT_TRUE(engine->start(ToyWorld::job_named("first")).has_value());
    ASSERT_TRUE(gates["first"].await_visitor());
    ASSERT_TRUE(engine->start(ToyWorld::job_named("second")).has_value());
    while (log.job(uuid("second")).state != JobState::running || engine->running_jobs() != 1) std::this_thread::yield();  // until it waits
    open_all();
    expect_ends(*engine);
    EXPECT_THAT(events.all, ElementsAre("run first", "undo first", "run second"));
}

}  // namespace
}  // namespace ramet::workflow

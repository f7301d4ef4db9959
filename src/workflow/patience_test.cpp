// A step's waits for what is outside end with a cancel; its undo's do not.
#include "base/patience.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "support/toy_saga.hpp"
#include "workflow/engine.hpp"

namespace ramet::workflow {
namespace {

using namespace std::chrono_literals;
using test::ToyWorld;

struct Seen {
    std::atomic<bool> runs{false};
    std::atomic<bool> undo_was_patient{false};
};

class Waits final : public Step {
public:
    explicit Waits(Seen& seen) : seen_(seen) {}
    std::string_view name() const override { return "waits"; }
    Result<Output> run(StepContext&) override {
        seen_.runs = true;
        TRY(pause_patiently(60s));
        return Output{};
    }
    Result<void> undo(StepContext&) override {
        seen_.undo_was_patient = still_patient().has_value();
        return {};
    }

private:
    Seen& seen_;
};

TEST(EnginePatience, ACancelEndsAWaitDeepInAStepAndLetsItsUndoWait) {
    test::FakeSagaLog log;
    SystemClock clock;
    Seen seen;
    const Job job = ToyWorld::job_named("waits");
    ASSERT_TRUE(log.save_job(job).has_value());
    Engine engine(log, clock, test::harness_detail::options_of(1, 1));
    engine.add_kind("toy", [&](const Job& row) -> Result<Saga> {
        Saga saga(row.kind, row.uuid);
        saga.add<Waits>(seen);
        return saga;
    });
    ASSERT_TRUE(engine.start(job).has_value());
    while (!seen.runs) std::this_thread::sleep_for(1ms);
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(engine.cancel(job.uuid).has_value());
    EXPECT_EQ(engine.wait(job.uuid, test::kHarnessPatience)->state, JobState::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
    EXPECT_TRUE(seen.undo_was_patient);
}

}  // namespace
}  // namespace ramet::workflow

#include "lifecycle/await_guest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/json.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/power.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"

namespace ramet::lifecycle {
namespace {

using namespace std::chrono_literals;

class NoStorages final : public storage::PrimaryStorages {
public:
    Result<std::shared_ptr<storage::PrimaryStorage>> open(const std::string& root) override {
        return std::shared_ptr<storage::PrimaryStorage>(std::make_shared<test::FakePrimaryStorage>(root));
    }
};

class Context final : public workflow::StepContext {
public:
    const JobId& job() const override { return job_; }
    std::stop_token stop() const override { return stop_.get_token(); }
    workflow::Output output_of(std::string_view) const override { return {}; }
    void progress(std::int64_t, std::int64_t) override {}
    void come_back(std::chrono::milliseconds pause) override { pause_ = pause; }
    bool comes_back() { return std::exchange(pause_, std::nullopt).has_value(); }
    void cancel() { stop_.request_stop(); }

private:
    JobId job_ = JobId::trusted(test::uuid_text(99));
    std::stop_source stop_;
    std::optional<std::chrono::milliseconds> pause_;
};

class AwaitGuestTest : public testing::Test {
protected:
    AwaitGuestTest() {
        vms.change(pool.web.uuid, [&](test::FakeHypervisor::Domain& domain) {
            domain.state = hypervisor::DomainState::running;
            hypervisor::NicSpec nic;
            nic.ip = "10.0.0.20";
            domain.spec.nics = {nic};
        });
        register_power_sagas(engine, parts);
    }
    // The error's text; "seen", or "later".
    std::string look(WaitFor what, std::chrono::seconds patience = 60s) {
        AwaitGuest step(parts, pool.web.uuid, what, patience);
        const Result<workflow::Output> outcome = step.run(context);
        if (!outcome.has_value()) return outcome.error().message;
        return context.comes_back() ? "later" : "seen";
    }
    void let_agent_answer() {
        vms.change(pool.web.uuid, [](test::FakeHypervisor::Domain& domain) { domain.agent = true; });
    }

    test::SmallPool pool;
    SystemClock clock;
    NoStorages storages;
    test::FakePlumbing plumbing;
    test::FakeHypervisor vms;
    resources::Inventory inventory{*pool, {}};
    store::DatabaseSagaLog log{*pool};
    workflow::Engine engine{log, clock, {2, 2, &api::error_object}};
    resources::Parts shared{*pool, clock, storages, plumbing, inventory, engine, pool.folder().string()};
    guest::IdentityKeeper keeper{*pool, vms, &wanted_identity};
    Parts parts{shared, vms, keeper};
    Context context;
};

TEST_F(AwaitGuestTest, ComesBackUntilTheAgentAnswers) {
    EXPECT_EQ(look(WaitFor::agent), "later");
    let_agent_answer();
    EXPECT_EQ(look(WaitFor::agent), "seen");
}

TEST_F(AwaitGuestTest, TakesTheAgentsReportOrAnAnswerOnTheBridgeForTheAddress) {
    EXPECT_EQ(look(WaitFor::ip), "later");
    plumbing.set_answering("10.0.0.20");
    EXPECT_EQ(look(WaitFor::ip), "seen");
    plumbing.set_answering("");
    let_agent_answer();
    EXPECT_EQ(look(WaitFor::ip), "seen");
    vms.change(pool.web.uuid, [](test::FakeHypervisor::Domain& domain) { domain.spec.nics[0].ip = "10.0.0.21"; });
    EXPECT_EQ(look(WaitFor::ip), "later");
}

TEST_F(AwaitGuestTest, SaysAfterItsPatienceWhatWasNotSeen) {
    EXPECT_THAT(look(WaitFor::agent, 0s), testing::HasSubstr("the guest agent did not answer within 0 s"));
    EXPECT_THAT(look(WaitFor::ip, 0s), testing::HasSubstr("nothing answered on 10.0.0.20"));
}

TEST_F(AwaitGuestTest, EndsWithTheVmAndWithTheJob) {
    context.cancel();
    EXPECT_EQ(look(WaitFor::agent), "cancelled");
    Context fresh;
    vms.crash(pool.web.uuid);
    AwaitGuest step(parts, pool.web.uuid, WaitFor::agent, 60s);
    EXPECT_THAT(step.run(fresh).error().message, testing::HasSubstr("the VM ended"));
}

TEST_F(AwaitGuestTest, AsksForOneStartHoweverOftenItRuns) {
    Job making;
    making.uuid = context.job();
    making.kind = "clone-vm";
    making.api_name = "CloneVmInstance";
    making.account_uuid = pool.bob.account;
    making.plan = "{}";
    making.state = JobState::running;
    pool.add(making);
    AskStart step(parts, pool.db.uuid);
    ASSERT_TRUE(step.run(context).has_value());
    ASSERT_TRUE(step.run(context).has_value());
    const std::vector<Job> starts = pool.rows<Job>({{"kind", std::string("start-vm")}});
    ASSERT_EQ(starts.size(), 1U);
    EXPECT_EQ(starts[0].account_uuid, pool.bob.account);
    ASSERT_TRUE(step.undo(context).has_value());
    ASSERT_TRUE(step.undo(context).has_value());
    EXPECT_TRUE(pool.rows<Job>({{"kind", std::string("start-vm")}})[0].finish_date.has_value());
}

}  // namespace
}  // namespace ramet::lifecycle

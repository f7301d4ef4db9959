// A clone job that copies for long, what others do to its source meanwhile, and how it is taken back then.
#include <gtest/gtest.h>

#include <atomic>

#include "clone/clone_vm.hpp"
#include "lifecycle/flatten.hpp"
#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/power.hpp"
#include "support/toy_saga.hpp"

namespace ramet::clone {
namespace {

// alice's web01 runs; a first clone of it has cut its disk and copies what is below. Then web01 is stopped.
class OvertakenCloneTest : public lifecycle::LifecycleFixture {
protected:
    OvertakenCloneTest() {
        register_clone_saga(engine, parts);
        lifecycle::register_power_sagas(engine, parts);
        lifecycle::register_flatten_saga(engine, parts);
        storages.at(pool.storage.url)->put("web01.qcow2", {DiskFormat::qcow2, kDiskBytes, kDiskBytes, false, {}});
        storages.at(pool.storage.url)->set_while_copying([this] {
            if (!copied.exchange(true)) copying.pass({});
        });
        test::TestDatabase::must((*pool).write([this](store::Transaction& transaction) { return make_ready(transaction); }));
        hypervisor.change(pool.web.uuid, [this](auto& domain) {
            domain.state = hypervisor::DomainState::running;
            domain.spec.disks.push_back({*pool.web.root_volume_uuid, 0, {{pool.storage.url, "web01.qcow2", DiskFormat::qcow2}}});
        });
        copying.close();
        first = clone("full");
        EXPECT_TRUE(copying.await_visitor());
        end_of(lifecycle::stop_vm(parts, request(), {pool.web.uuid, "cold"}));
    }
    ~OvertakenCloneTest() override { copying.open(); }

    Result<void> make_ready(store::Transaction& transaction) {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, pool.web.root_volume_uuid->text()));
        volume.install_path = pool.storage.url + "/web01.qcow2";
        volume.size = kDiskBytes;
        TRY(store::update(transaction, volume));
        TRY_ASSIGN(Layer layer, store::get<Layer>(transaction, volume.top_layer_uuid->text()));
        layer.size = kDiskBytes;
        TRY(store::update(transaction, layer));
        pool.storage.status = pool.host.status = Connection::connected;
        pool.host.cpu_num = 4;
        TRY(store::update(transaction, pool.host));
        return store::update(transaction, pool.storage);
    }
    lifecycle::Request request() const { return {pool.admin, JobId::random(), std::nullopt, std::nullopt}; }
    JobId clone(const std::string& copy) {
        api::CloneVmInstance message;
        message.vm_instance_uuid = pool.web.uuid;
        message.names = {"clone-" + copy};
        message.copy = copy;
        message.strategy = "CreateStopped";
        const Result<JobId> job = clone_vm(parts, request(), message);
        EXPECT_TRUE(job.has_value()) << job.error().message << " " << job.error().detail;
        return job.value_or(JobId{});
    }
    JobState end_of(const Result<JobId>& job) {
        EXPECT_TRUE(job.has_value());
        return engine.wait(*job, test::kHarnessPatience)->state;
    }
    JobState cancel_first() {
        EXPECT_TRUE(engine.cancel(first).has_value());
        copying.open();
        return end_of(first);
    }
    Layer top() {
        const Volume volume = pool.rows<Volume>({{"uuid", pool.web.root_volume_uuid->text()}}).at(0);
        return pool.rows<Layer>({{"uuid", volume.top_layer_uuid->text()}}).at(0);
    }
    bool is_sealed_file(const Layer& layer) { return storages.at(pool.storage.url)->files().at(layer.path).sealed; }

    static constexpr std::int64_t kDiskBytes = 1 << 20;
    test::Gate copying;
    std::atomic<bool> copied = false;
    JobId first;
};

TEST_F(OvertakenCloneTest, ItsUndoLeavesTheTopOfALaterCutAlone) {
    const Layer first_top = top();
    ASSERT_EQ(end_of(clone("linked")), JobState::succeeded);
    const Layer second_top = top();
    ASSERT_NE(second_top.uuid, first_top.uuid);
    EXPECT_EQ(cancel_first(), JobState::cancelled);
    EXPECT_EQ(top().uuid, second_top.uuid);
    EXPECT_FALSE(top().sealed);
    EXPECT_FALSE(is_sealed_file(second_top));
    EXPECT_EQ(top().parent_uuid, first_top.uuid);  // what the guest wrote between the two
    EXPECT_TRUE(is_sealed_file(first_top));
}

TEST_F(OvertakenCloneTest, ItsUndoLeavesTheTopOfAFlattenedSourceAlone) {
    const Layer first_top = top();
    const Result<lifecycle::FlattenAnswer> flattened = lifecycle::flatten_vm(parts, request(), {pool.web.uuid, true, false});
    ASSERT_TRUE(flattened.has_value());
    ASSERT_EQ(end_of(std::get<JobId>(*flattened)), JobState::succeeded);
    const Layer flat = top();
    ASSERT_NE(flat.uuid, first_top.uuid);
    EXPECT_EQ(cancel_first(), JobState::cancelled);
    EXPECT_EQ(top().uuid, flat.uuid);
    EXPECT_FALSE(top().sealed);
    EXPECT_FALSE(is_sealed_file(flat));
}

}  // namespace
}  // namespace ramet::clone

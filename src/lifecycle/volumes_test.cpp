#include "lifecycle/volumes.hpp"

#include <gtest/gtest.h>

#include "api/json.hpp"
#include "lifecycle/identity_report.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"

namespace ramet::lifecycle {
namespace {

class AttachTest : public testing::Test {
protected:
    AttachTest() { register_volume_sagas(engine, parts); }
    JobState attach(const VolumeId& volume, const VmId& vm) {
        const Result<JobId> job =
            attach_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, api::AttachDataVolumeToVm{volume, vm});
        EXPECT_TRUE(job.has_value());
        return engine.wait(*job, std::chrono::seconds(60))->state;
    }
    Volume root() { return pool.rows<Volume>({{"uuid", pool.db.root_volume_uuid->text()}}).at(0); }

    test::SmallPool pool;
    SystemClock clock;
    test::FakePrimaryStorages storages;
    test::FakePlumbing plumbing;
    test::FakeHypervisor hypervisor;
    resources::Inventory inventory{*pool, resources::LiveFacts{}};
    store::DatabaseSagaLog log{*pool};
    workflow::Engine engine{log, clock, {1, 1, &api::error_object}};
    resources::Parts shared{*pool, clock, storages, plumbing, inventory, engine, pool.folder().string()};
    guest::IdentityKeeper identity{*pool, hypervisor, &wanted_identity};
    Parts parts{shared, hypervisor, identity};
};

TEST_F(AttachTest, ARootVolumeStaysWithItsVm) {
    EXPECT_EQ(attach(*pool.db.root_volume_uuid, pool.db.uuid), JobState::failed);
    EXPECT_EQ(root().vm_instance_uuid, pool.db.uuid);
    EXPECT_EQ(root().device_id, 0);
}

TEST_F(AttachTest, AVolumeOfAVmThatIsBeingMadeStaysWithIt) {
    Job job;
    job.uuid = JobId::random();
    job.kind = "create-vm";
    job.account_uuid = pool.bob.account;
    job.state = JobState::running;
    pool.add(job);
    pool.db.owner_job_uuid = job.uuid;
    Volume data = root();
    data.uuid = VolumeId::trusted(test::uuid_text(60));
    data.type = VolumeType::data;
    data.device_id = 1;
    data.status = VolumeStatus::creating;
    data.top_layer_uuid.reset();
    pool.add_owned(data, pool.bob);
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.db); }));
    EXPECT_EQ(attach(data.uuid, pool.db.uuid), JobState::failed);
    EXPECT_EQ(pool.rows<Volume>({{"uuid", data.uuid.text()}}).at(0).vm_instance_uuid, pool.db.uuid);
    EXPECT_TRUE(storages.at(pool.storage.url)->calls().empty());
}

TEST_F(AttachTest, OfAVolumeThatIsGoneFails) { EXPECT_EQ(attach(VolumeId::trusted(test::uuid_text(60)), pool.db.uuid), JobState::failed); }

}  // namespace
}  // namespace ramet::lifecycle

#include "lifecycle/volumes.hpp"

#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::lifecycle {
namespace {

class AttachTest : public LifecycleFixture {
protected:
    AttachTest() { register_volume_sagas(engine, parts); }
    JobState attach(const VolumeId& volume, const VmId& vm) {
        const Result<JobId> job =
            attach_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, api::AttachDataVolumeToVm{volume, vm});
        EXPECT_TRUE(job.has_value());
        return engine.wait(*job, std::chrono::seconds(60))->state;
    }
    Volume root() { return pool.rows<Volume>({{"uuid", pool.db.root_volume_uuid->text()}}).at(0); }
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

TEST_F(AttachTest, ASecondCallFailsAndDetachesNothing) {
    Volume data = root();
    data.uuid = VolumeId::trusted(test::uuid_text(60));
    data.type = VolumeType::data;
    data.device_id = 1;
    pool.add_owned(data, pool.bob);
    EXPECT_EQ(attach(data.uuid, pool.db.uuid), JobState::failed);
    EXPECT_EQ(pool.rows<Volume>({{"uuid", data.uuid.text()}}).at(0).vm_instance_uuid, pool.db.uuid);
}

TEST_F(AttachTest, ADetachNamesTheVmThatHasTheVolumeOrNone) {
    Volume data = root();
    data.uuid = VolumeId::trusted(test::uuid_text(60));
    data.type = VolumeType::data;
    data.device_id = 1;
    pool.add_owned(data, pool.bob);
    const lifecycle::Request request{pool.admin, JobId::random(), std::nullopt, std::nullopt};
    const Result<JobId> other = detach_data_volume(parts, request, {data.uuid, pool.web.uuid});
    ASSERT_FALSE(other.has_value());
    EXPECT_EQ(other.error().code, ErrorCode::detach_volume_failed);
    EXPECT_NE(other.error().message.find("vmUuid"), std::string::npos);
    const Result<JobId> right = detach_data_volume(parts, request, {data.uuid, pool.db.uuid});
    ASSERT_TRUE(right.has_value());
    EXPECT_EQ(engine.wait(*right, std::chrono::seconds(60))->state, JobState::succeeded);
    EXPECT_FALSE(pool.rows<Volume>({{"uuid", data.uuid.text()}}).at(0).vm_instance_uuid.has_value());
}

TEST_F(AttachTest, OfAVolumeThatIsGoneFails) { EXPECT_EQ(attach(VolumeId::trusted(test::uuid_text(60)), pool.db.uuid), JobState::failed); }

}  // namespace
}  // namespace ramet::lifecycle

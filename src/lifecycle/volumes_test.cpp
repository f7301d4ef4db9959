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

TEST_F(AttachTest, AVmTakesAsManyDataVolumesAsTheSettingAllows) {
    Volume data = root();
    data.type = VolumeType::data;
    data.size = 1 << 20;
    data.top_layer_uuid.reset();
    data.uuid = VolumeId::trusted(test::uuid_text(60));
    data.device_id = 1;
    pool.add_owned(data, pool.bob);  // attached
    data.uuid = VolumeId::trusted(test::uuid_text(61));
    data.status = VolumeStatus::not_instantiated;
    data.device_id.reset();
    data.vm_instance_uuid.reset();
    pool.add_owned(data, pool.bob);
    set_config("kvm", "dataVolume.maxNum", "1");
    const Result<JobId> refused =
        attach_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, api::AttachDataVolumeToVm{data.uuid, pool.db.uuid});
    ASSERT_TRUE(refused.has_value());
    const Result<Job> end = engine.wait(*refused, std::chrono::seconds(60));
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->state, JobState::failed);
    EXPECT_NE(end->error.value_or("").find("at most 1 data volumes (kvm.dataVolume.maxNum)"), std::string::npos) << end->error.value_or("");
    set_config("kvm", "dataVolume.maxNum", "2");
    EXPECT_EQ(attach(data.uuid, pool.db.uuid), JobState::succeeded);
}

class CreateVolumeTest : public LifecycleFixture {
protected:
    CreateVolumeTest() { register_volume_sagas(engine, parts); }
    Result<JobId> create(const std::function<void(api::CreateDataVolume&)>& edit) {
        api::CreateDataVolume message;
        message.name = "data";
        edit(message);
        Result<JobId> job = create_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message);
        if (job.has_value()) { EXPECT_TRUE(engine.wait(*job, std::chrono::seconds(60)).has_value()); }
        return job;
    }
    static void expect_refusal(const Result<JobId>& job, ErrorCode code, std::string_view words) {
        ASSERT_FALSE(job.has_value()) << words;
        EXPECT_EQ(job.error().code, code) << words;
        EXPECT_NE(job.error().message.find(words), std::string::npos) << job.error().message;
    }
};

TEST_F(CreateVolumeTest, ItsSizeIsWholeSectors) {
    ASSERT_TRUE(create([](api::CreateDataVolume& message) { message.disk_size = 1048577; }).has_value());
    EXPECT_EQ(pool.rows<Volume>({{"name", "data"}}).at(0).size, 1049088);
}

TEST_F(CreateVolumeTest, ADisabledOfferingIsRefused) {
    DiskOffering offering;
    offering.uuid = DiskOfferingId::trusted(test::uuid_text(61));
    offering.name = "10G";
    offering.disk_size = 1048577;  // as it could be made once
    pool.add_owned(offering, pool.admin);
    const auto with_offering = [&](api::CreateDataVolume& message) { message.disk_offering_uuid = offering.uuid; };
    ASSERT_TRUE(create(with_offering).has_value());
    EXPECT_EQ(pool.rows<Volume>({{"name", "data"}}).at(0).size, 1049088);
    offering.state = Enablement::disabled;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, offering); }));
    expect_refusal(create(with_offering), ErrorCode::operation_failed, "diskOfferingUuid names a disk offering that is Disabled");
}

TEST_F(CreateVolumeTest, ItsUuidIsAUuidThatIsFree) {
    const auto create_as = [&](const std::string& uuid) {
        return create([&](api::CreateDataVolume& message) {
            message.disk_size = 1 << 20;
            message.resource_uuid = VolumeId::trusted(uuid);
        });
    };
    expect_refusal(create_as(std::string(32, '0')), ErrorCode::invalid_argument, "resourceUuid");
    expect_refusal(create_as("nonsense"), ErrorCode::invalid_argument, "resourceUuid");
    expect_refusal(create_as(pool.db.root_volume_uuid->text()), ErrorCode::conflict, "resourceUuid");
    EXPECT_TRUE(create_as(test::uuid_text(62)).has_value());
}

TEST_F(CreateVolumeTest, ItsNewNameIsNotEmpty) {
    const auto rename = [&](const std::string& name) { return update_volume(parts, {*pool.db.root_volume_uuid, name, std::nullopt}); };
    const Result<std::string> refused = rename("");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(refused.error().message.find("name"), std::string::npos);
    EXPECT_TRUE(rename("renamed").has_value());
    EXPECT_EQ(pool.rows<Volume>({{"name", "renamed"}}).size(), 1U);
}

TEST_F(AttachTest, OfAVolumeThatIsGoneFails) { EXPECT_EQ(attach(VolumeId::trusted(test::uuid_text(60)), pool.db.uuid), JobState::failed); }

}  // namespace
}  // namespace ramet::lifecycle

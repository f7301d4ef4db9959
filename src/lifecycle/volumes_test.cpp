#include "lifecycle/volumes.hpp"

#include <thread>

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

class RecoverTest : public LifecycleFixture {
protected:
    RecoverTest() { register_volume_sagas(engine, parts); }
    VolumeId deleted(int number) {
        Layer layer;
        layer.uuid = LayerId::trusted(test::uuid_text(number + 1));
        layer.primary_storage_uuid = pool.storage.uuid;
        layer.path = std::to_string(number) + ".qcow2";
        layer.volume_uuid = VolumeId::trusted(test::uuid_text(number));
        pool.add(layer);
        storages.at(pool.storage.url)->put(layer.path, {DiskFormat::qcow2, 1 << 20, 1 << 20, false, {}});
        Volume volume;
        volume.uuid = *layer.volume_uuid;
        volume.name = "data";
        volume.type = VolumeType::data;
        volume.status = VolumeStatus::deleted;
        volume.primary_storage_uuid = pool.storage.uuid;
        volume.top_layer_uuid = layer.uuid;
        pool.add_owned(volume, pool.alice);
        return volume.uuid;
    }
    Job expunge(const VolumeId& volume) {
        const Result<JobId> job = expunge_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, {volume});
        EXPECT_TRUE(job.has_value());
        return engine.wait(*job, std::chrono::seconds(60)).value_or(Job{});
    }
    std::vector<Volume> rows(const VolumeId& volume) { return pool.rows<Volume>({{"uuid", volume.text()}}); }
};

TEST_F(RecoverTest, AVolumeWhoseExpungeHasBegunStaysDeleted) {
    const VolumeId volume = deleted(70);
    storages.at(pool.storage.url)->plant({"remove"});
    EXPECT_EQ(expunge(volume).state, JobState::failed);
    const Result<std::string> refused = recover_data_volume(parts, {volume});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
    EXPECT_NE(refused.error().message.find("is being expunged"), std::string::npos) << refused.error().message;
    EXPECT_EQ(expunge(volume).state, JobState::succeeded);
    EXPECT_TRUE(rows(volume).empty());
}

TEST_F(RecoverTest, ARecoveredVolumeIsNotExpunged) {
    const VolumeId volume = deleted(70);
    ASSERT_TRUE(recover_data_volume(parts, {volume}).has_value());
    const Job job = expunge(volume);
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_NE(job.error.value_or("").find("only a deleted volume"), std::string::npos);
    EXPECT_EQ(rows(volume).at(0).status, VolumeStatus::ready);
    EXPECT_TRUE(storages.at(pool.storage.url)->files().contains("70.qcow2"));
}

TEST_F(RecoverTest, BesideAnExpungeOneOfTheTwoFails) {
    for (int i = 0; i < 40; ++i) {
        const VolumeId volume = deleted(100 + 2 * i);
        Result<std::string> recovered = fail(ErrorCode::internal, "not asked");
        std::jthread other([&] {
            std::this_thread::sleep_for(std::chrono::microseconds(50 * i));
            recovered = recover_data_volume(parts, {volume});
        });
        const bool expunged = expunge(volume).state == JobState::succeeded;
        other.join();
        EXPECT_NE(recovered.has_value(), expunged) << i;
        EXPECT_EQ(rows(volume).empty(), expunged) << i;
    }
}

TEST_F(AttachTest, OfAVolumeThatIsGoneFails) { EXPECT_EQ(attach(VolumeId::trusted(test::uuid_text(60)), pool.db.uuid), JobState::failed); }

}  // namespace
}  // namespace ramet::lifecycle

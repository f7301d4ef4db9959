#include "lifecycle/create_vm.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <semaphore>

#include "api/json.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/volume_from_snapshot.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"
#include "workflow/step_state.hpp"

namespace ramet::lifecycle {
namespace {

constexpr std::chrono::seconds kPatience{60};

// An engine with one thread for quick jobs, and copies that go on until the test lets them end.
class CreateVmTest : public testing::Test {
protected:
    CreateVmTest() {
        pool.image.size = pool.image.actual_size = 64 << 20;
        pool.storage.status = pool.host.status = Connection::connected;
        pool.host.cpu_num = 8;
        pool.host.total_cpu_capacity = 80;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) -> Result<void> {
            TRY(store::update(transaction, pool.image));
            TRY(store::update(transaction, pool.storage));
            return store::update(transaction, pool.host);
        }));
        BackupStorage store;
        store.uuid = BackupStorageId::trusted(test::uuid_text(18));
        store.name = "images";
        pool.add_owned(store, pool.admin);
        add_file(pool.image.uuid, "/images/debian.qcow2");
        storage().set_while_copying([this] {
            if (!held) return;
            copying.release();
            let_go.acquire();
        });
        register_create_saga(engine, parts);
        register_volume_from_snapshot_sagas(engine, parts);
    }

    test::FakePrimaryStorage& storage() { return *storages.at(pool.storage.url); }
    void add_file(const ImageId& image, const std::string& path) {
        ImageBackupStorageRef ref;
        ref.uuid = image.text() + "-file";
        ref.image_uuid = image;
        ref.backup_storage_uuid = BackupStorageId::trusted(test::uuid_text(18));
        ref.install_path = path;
        ref.status = ImageStatus::ready;
        pool.add(ref);
        storage().add_source(path, 64 << 20);
    }
    api::CreateVmInstance wish(const ImageId& image) const {
        api::CreateVmInstance message;
        message.name = "made";
        message.cpu_num = 1;
        message.memory_size = 128 << 20;
        message.image_uuid = image;
        message.zone_uuid = pool.zone.uuid;
        message.strategy = "CreateStopped";
        return message;
    }
    JobId create(const ImageId& image, std::vector<std::string> root_tags = {}) {
        api::CreateVmInstance message = wish(image);
        message.root_volume_system_tags = std::move(root_tags);
        return begun(create_vm(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message));
    }
    static JobId begun(const Result<JobId>& job) {
        EXPECT_TRUE(job.has_value()) << job.error().message << " " << job.error().detail;
        return job.value_or(JobId::random());
    }
    void expect_refusal(ErrorCode code, std::string_view words, const std::function<void(api::CreateVmInstance&)>& edit) {
        api::CreateVmInstance message = wish(pool.image.uuid);
        edit(message);
        const Result<JobId> job = create_vm(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message);
        ASSERT_FALSE(job.has_value()) << words;
        EXPECT_EQ(job.error().code, code) << words;
        EXPECT_NE(job.error().message.find(words), std::string::npos) << job.error().message;
    }
    template <class Row>
    void rewrite(const Row& row) {
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, row); }));
    }
    JobState end_of(const JobId& job) { return engine.wait(job, kPatience)->state; }
    // What `job` does while it copies; another job, of the image that is cached, is begun and ended meanwhile.
    void expect_others_to_pass(const JobId& job) {
        ASSERT_TRUE(copying.try_acquire_for(kPatience));
        held = false;
        EXPECT_EQ(end_of(create(pool.image.uuid)), JobState::succeeded);
        EXPECT_FALSE(workflow::is_terminal(engine.wait(job, std::chrono::milliseconds(0))->state));
        let_go.release();
        EXPECT_EQ(end_of(job), JobState::succeeded);
    }

    static inline const std::vector<std::string> kThick{"volumeProvisioningStrategy::ThickProvisioning"};
    std::atomic<bool> held{false};
    std::counting_semaphore<> copying{0}, let_go{0};
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

TEST_F(CreateVmTest, AFullCopyKeepsNoQuickJobWaiting) {
    ASSERT_EQ(end_of(create(pool.image.uuid)), JobState::succeeded);  // the image is cached from here on
    held = true;
    expect_others_to_pass(create(pool.image.uuid, kThick));
}

TEST_F(CreateVmTest, AnImageThatIsNotCachedYetKeepsNoQuickJobWaiting) {
    ASSERT_EQ(end_of(create(pool.image.uuid)), JobState::succeeded);
    Image other = pool.image;
    other.uuid = ImageId::trusted(test::uuid_text(60));
    pool.add_owned(other, pool.admin);
    add_file(other.uuid, "/images/other.qcow2");
    held = true;
    expect_others_to_pass(create(other.uuid));
}

TEST_F(CreateVmTest, AVolumeCopiedFromASnapshotKeepsNoQuickJobWaiting) {
    ASSERT_EQ(end_of(create(pool.image.uuid)), JobState::succeeded);
    storage().put("db01.qcow2", {DiskFormat::qcow2, 1 << 20, 1 << 20, true, {}});
    Volume source = pool.rows<Volume>({{"name", "ROOT-for-db01"}}).front();
    source.size = 1 << 20;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, source); }));
    VolumeSnapshot snapshot;
    snapshot.uuid = SnapshotId::trusted(test::uuid_text(70));
    snapshot.name = "kept";
    snapshot.volume_uuid = source.uuid;
    snapshot.tree_uuid = SnapshotTreeId::trusted(test::uuid_text(71));
    snapshot.primary_storage_uuid = pool.storage.uuid;
    snapshot.layer_uuid = *source.top_layer_uuid;
    pool.add(VolumeSnapshotTree{snapshot.tree_uuid, snapshot.volume_uuid, true});
    pool.add_owned(snapshot, pool.admin);
    api::CreateDataVolumeFromVolumeSnapshot message;
    message.volume_snapshot_uuid = snapshot.uuid;
    message.name = "data";
    message.system_tags = kThick;
    held = true;
    expect_others_to_pass(begun(create_volume_from_snapshot(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message)));
    const Volume volume = pool.rows<Volume>({{"name", "data"}}).front();
    EXPECT_EQ(volume.status, VolumeStatus::ready);
    EXPECT_FALSE(pool.rows<Layer>({{"uuid", volume.top_layer_uuid->text()}}).front().parent_uuid.has_value());
}

TEST_F(CreateVmTest, ItsDisksAreWholeSectors) {
    api::CreateVmInstance message = wish(pool.image.uuid);
    message.root_disk_size = (64 << 20) + 1;
    message.data_disk_sizes = {(1 << 20) + 1};
    ASSERT_EQ(end_of(begun(create_vm(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message))), JobState::succeeded);
    EXPECT_EQ(pool.rows<Volume>({{"name", "ROOT-for-made"}}).at(0).size, (64 << 20) + 512);
    EXPECT_EQ(pool.rows<Volume>({{"name", "DATA-for-made"}}).at(0).size, (1 << 20) + 512);
}

TEST_F(CreateVmTest, WhatIsDisabledIsRefused) {
    DiskOffering offering;
    offering.uuid = DiskOfferingId::trusted(test::uuid_text(61));
    offering.name = "1G";
    offering.disk_size = 1 << 30;
    offering.state = Enablement::disabled;
    pool.add_owned(offering, pool.admin);
    pool.l3.state = Enablement::disabled;
    rewrite(pool.l3);
    const auto refused = ErrorCode::operation_failed;
    expect_refusal(refused, "l3NetworkUuids[0] names an L3 network that is Disabled",
                   [&](api::CreateVmInstance& message) { message.l3_network_uuids = {pool.l3.uuid}; });
    expect_refusal(refused, "rootDiskOfferingUuid names a disk offering that is Disabled",
                   [&](api::CreateVmInstance& message) { message.root_disk_offering_uuid = offering.uuid; });
    expect_refusal(refused, "dataDiskOfferingUuids[0] names a disk offering that is Disabled",
                   [&](api::CreateVmInstance& message) { message.data_disk_offering_uuids = {offering.uuid}; });
}

TEST_F(CreateVmTest, AnImageOfADataVolumeIsRefused) {
    pool.image.media_type = "DataVolumeTemplate";
    rewrite(pool.image);
    expect_refusal(ErrorCode::invalid_argument, "imageUuid", [](api::CreateVmInstance&) {});
}

TEST_F(CreateVmTest, ItsUuidIsAUuidThatIsFree) {
    const auto as = [](const std::string& uuid) { return [uuid](api::CreateVmInstance& message) { message.resource_uuid = VmId::trusted(uuid); }; };
    expect_refusal(ErrorCode::invalid_argument, "resourceUuid", as(std::string(32, '0')));
    expect_refusal(ErrorCode::conflict, "resourceUuid", as(pool.web.uuid.text()));
}

}  // namespace
}  // namespace ramet::lifecycle

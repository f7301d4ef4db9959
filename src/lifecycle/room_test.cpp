#include "lifecycle/room.hpp"

#include "base/limits.hpp"
#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/volumes.hpp"

namespace ramet::lifecycle {
namespace {

using limits::kGiB;

// A storage of 100 GiB with 20 GiB free, of which one is its reserve.
class RoomTest : public LifecycleFixture {
protected:
    RoomTest() {
        register_volume_sagas(engine, parts);
        pool.storage.status = Connection::connected;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.storage); }));
        storages.at(pool.storage.url)->set_capacity({100 * kGiB, 20 * kGiB});
    }
    // A disk of web01 that a job is making: of what it promises `written` bytes are in its file.
    void promise(int number, std::int64_t bytes, std::int64_t written = 0) {
        Layer layer;
        layer.uuid = LayerId::trusted(test::uuid_text(number + 1));
        layer.primary_storage_uuid = pool.storage.uuid;
        layer.path = std::to_string(number) + ".qcow2";
        pool.add(layer);
        if (written > 0) storages.at(pool.storage.url)->put(layer.path + ".partial", {DiskFormat::qcow2, bytes, written, false, {}});
        Volume volume;
        volume.uuid = VolumeId::trusted(test::uuid_text(number));
        volume.name = "copy";
        volume.primary_storage_uuid = pool.storage.uuid;
        volume.vm_instance_uuid = pool.web.uuid;
        volume.device_id = number;
        volume.top_layer_uuid = layer.uuid;
        volume.size = volume.actual_size = bytes;
        pool.add(volume);
        Job job;
        job.uuid = JobId::trusted(test::uuid_text(number + 2));
        job.kind = "clone-vm";
        job.account_uuid = pool.admin.account;
        pool.add(job);
        pool.web.owner_job_uuid = job.uuid;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.web); }));
    }
    Room heeded() {
        Room room;
        test::TestDatabase::must(heed_promises(parts, room));
        return room;
    }
    std::string refusal(const Room& room, const std::vector<WantedRoom>& wanted) {
        const Result<void> done = (*pool).read([&](store::Transaction& transaction) { return require_room(transaction, room, wanted); });
        if (!done.has_value()) { EXPECT_EQ(done.error().code, ErrorCode::storage_full); }
        return done.has_value() ? "" : done.error().message;
    }
    WantedRoom copy(std::int64_t bytes) { return {pool.storage.uuid, bytes, bytes}; }
};

TEST_F(RoomTest, CopiesFitTogetherOrNotAtAll) {
    const Room room = heeded();
    EXPECT_EQ(refusal(room, {copy(19 * kGiB)}), "");
    EXPECT_EQ(refusal(room, {copy(10 * kGiB), copy(9 * kGiB)}), "");
    const std::string why = refusal(room, {copy(10 * kGiB), copy(9 * kGiB + 1)});
    for (const char* word : {"'local'", "20401094657 bytes wanted", "20401094656 free", "delete what is not needed"})
        EXPECT_NE(why.find(word), std::string::npos) << why;
}

TEST_F(RoomTest, WhatIsPromisedAndNotWrittenYetIsTaken) {
    promise(70, 8 * kGiB, 3 * kGiB);  // 3 GiB of it are on the disk already, which has 17 left
    const Room room = heeded();
    EXPECT_EQ(room.storages.at(0).available, (17 - 5) * kGiB);
    EXPECT_EQ(refusal(room, {copy(11 * kGiB)}), "");
    EXPECT_NE(refusal(room, {copy(11 * kGiB + 1)}), "");
}

TEST_F(RoomTest, WhatWasPromisedSinceThePlanIsTaken) {
    const Room room = heeded();
    promise(70, 8 * kGiB);
    EXPECT_EQ(refusal(room, {copy(11 * kGiB)}), "");
    EXPECT_NE(refusal(room, {copy(12 * kGiB)}), "");
    EXPECT_EQ(refusal(room, {{pool.storage.uuid, 0, 1000 * 100 * kGiB}}), "");  // a thousand linked clones write nothing yet
}

TEST_F(RoomTest, WithABoundOnVirtualSizesNoMoreArePromised) {
    set_config("mevoco", "overProvisioning.primaryStorage", "2");
    const Room room = heeded();
    EXPECT_EQ(refusal(room, {{pool.storage.uuid, 0, 200 * kGiB}}), "");
    const std::string why = refusal(room, {{pool.storage.uuid, 0, 150 * kGiB}, {pool.storage.uuid, 0, 51 * kGiB}});
    for (const char* word : {"'local' is full of promises", "214748364800 bytes together", "215822106624 more are wanted", "raise the ratio"})
        EXPECT_NE(why.find(word), std::string::npos) << why;
}

TEST_F(RoomTest, AThickDataVolumeThatDoesNotFitIsRefusedAtOnce) {
    const auto create = [&](std::int64_t size, const char* strategy) {
        api::CreateDataVolume message;
        message.name = "data";
        message.disk_size = size;
        message.primary_storage_uuid = pool.storage.uuid;
        message.system_tags = {std::string("volumeProvisioningStrategy::") + strategy};
        return create_data_volume(parts, {pool.admin, JobId::random(), std::nullopt, std::nullopt}, message);
    };
    const Result<JobId> refused = create(20 * kGiB, "ThickProvisioning");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::storage_full);
    EXPECT_TRUE(pool.rows<Volume>({{"name", "data"}}).empty());
    for (const Result<JobId>& made : {create(100 * kGiB, "ThinProvisioning"), create(10 * kGiB, "ThickProvisioning")}) {
        ASSERT_TRUE(made.has_value()) << made.error().message;
        EXPECT_EQ(engine.wait(*made, std::chrono::seconds(60))->state, JobState::succeeded);
    }
}

}  // namespace
}  // namespace ramet::lifecycle

#include "lifecycle/revert_memory.hpp"

#include <gmock/gmock.h>

#include <set>

#include "lifecycle/lifecycle_fixture_test.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/power.hpp"
#include "lifecycle/snapshots.hpp"

namespace ramet::lifecycle {
namespace {

using testing::HasSubstr;
using testing::Optional;

// alice's web01 runs; a group with memory is taken of it, and it is stopped.
class RevertMemory : public LifecycleFixture {
protected:
    RevertMemory() {
        parts.memory_dir = (pool.folder() / "memory").string();
        register_snapshot_sagas(engine, parts);
        register_revert_saga(engine, parts);
        register_power_sagas(engine, parts);
        run_web();
    }
    Result<JobId> take(bool memory = true) {
        api::CreateVolumeSnapshotGroup message;
        message.root_volume_uuid = *pool.web.root_volume_uuid;
        message.name = "warm";
        message.with_memory = memory;
        return create_snapshot_group(parts, request(), message);
    }
    void take_and_stop() {
        const Job taken = end_of(take());
        ASSERT_EQ(taken.state, JobState::succeeded) << taken.error.value_or("");
        ASSERT_EQ(end_of(stop_vm(parts, request(), {pool.web.uuid, "cold"})).state, JobState::succeeded);
        path_before_ = root().install_path.value_or("");
    }
    VolumeSnapshotGroup group() { return pool.rows<VolumeSnapshotGroup>().at(0); }
    Result<JobId> revert() { return revert_vm(parts, request(), {group().uuid}); }
    VmInstance vm() { return pool.rows<VmInstance>({{"uuid", pool.web.uuid.text()}}).at(0); }
    Volume root() { return pool.rows<Volume>({{"uuid", pool.web.root_volume_uuid->text()}}).at(0); }
    std::optional<std::string> obstacle() { return memory_obstacle(parts, group().uuid).value_or("?"); }
    template <class Row>
    void change(const Row& row) {
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, row); }));
    }
    void expect_untouched() {
        EXPECT_EQ(vm().state, VmState::stopped);
        EXPECT_FALSE(vm().owner_job_uuid || vm().host_uuid || vm().revert_job_uuid);
        EXPECT_EQ(root().install_path, path_before_);
        EXPECT_EQ(hypervisor.domain(pool.web.uuid)->state, hypervisor::DomainState::shut_off);
        EXPECT_TRUE(pool.rows<MemoryImageUser>().empty());
        EXPECT_EQ(pool.rows<Layer>({{"volumeUuid", pool.web.root_volume_uuid->text()}}).size(), 2U);
    }

    std::string path_before_;
};

TEST_F(RevertMemory, AGroupKeepsItAndTheVmItBelongsTo) {
    ASSERT_EQ(end_of(take()).state, JobState::succeeded);
    const MemoryImage image = pool.rows<MemoryImage>().at(0);
    EXPECT_EQ(group().memory_image_uuid, image.uuid);
    EXPECT_TRUE(group().machine.has_value());
    EXPECT_FALSE(image.owner_job_uuid);
}

TEST_F(RevertMemory, AStoppedVmHasNoneToKeep) {
    ASSERT_EQ(end_of(stop_vm(parts, request(), {pool.web.uuid, "cold"})).state, JobState::succeeded);
    const Result<JobId> refused = take();
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, HasSubstr("withMemory: the VM instance is Stopped"));
    EXPECT_TRUE(pool.rows<VolumeSnapshotGroup>().empty());
}

TEST_F(RevertMemory, TheVmGoesOnFromItOnTheDisksOfThen) {
    take_and_stop();
    EXPECT_EQ(obstacle(), std::nullopt);
    ASSERT_EQ(end_of(revert()).state, JobState::succeeded);
    EXPECT_EQ(vm().state, VmState::running);
    EXPECT_FALSE(vm().owner_job_uuid);
    EXPECT_EQ(vm().host_uuid, pool.host.uuid);
    const auto domain = hypervisor.domain(pool.web.uuid);
    EXPECT_EQ(domain->from_memory, pool.rows<MemoryImage>().at(0).directory);
    EXPECT_NE(root().install_path, path_before_);
    EXPECT_EQ(domain->spec.disks.at(0).chain_top_first.at(0).root + "/" + domain->spec.disks.at(0).chain_top_first.at(0).path, root().install_path);
    EXPECT_TRUE(domain->spec.nics.at(0).link_up);
    EXPECT_EQ(domain->spec.nics.at(0).mac, "fa:00:00:00:00:20");
    EXPECT_EQ(pool.rows<MemoryImageUser>().size(), 1U);
}

TEST_F(RevertMemory, EachGivesTheVmAnotherGeneration) {
    take_and_stop();
    std::set<std::string> generations;
    for (const char* times : {"once", "twice"}) {
        ASSERT_EQ(end_of(revert()).state, JobState::succeeded) << times;
        const std::string generation = hypervisor.domain(pool.web.uuid)->spec.generation;
        EXPECT_EQ(generation, vm().revert_job_uuid.value_or(JobId{}).text()) << "so it keeps it when it boots";
        generations.insert(generation);
        ASSERT_EQ(end_of(stop_vm(parts, request(), {pool.web.uuid, "cold"})).state, JobState::succeeded);
    }
    EXPECT_EQ(generations.size(), 2U);
}

TEST_F(RevertMemory, SoDoesOneOfTheDisksAlone) {
    ASSERT_EQ(end_of(take(false)).state, JobState::succeeded);
    ASSERT_EQ(end_of(stop_vm(parts, request(), {pool.web.uuid, "cold"})).state, JobState::succeeded);
    EXPECT_FALSE(vm().revert_job_uuid);
    const Job reverted = end_of(revert());
    ASSERT_EQ(reverted.state, JobState::succeeded);
    EXPECT_EQ(vm().revert_job_uuid, reverted.uuid);
}

TEST_F(RevertMemory, AStartThatFailsLeavesTheVmStoppedOnItsDisks) {
    take_and_stop();
    for (const bool after_effect : {false, true}) {
        hypervisor.plant({.operation = "start_from_memory", .after_effect = after_effect});
        EXPECT_EQ(end_of(revert()).state, JobState::failed);
        expect_untouched();
    }
    EXPECT_EQ(end_of(revert()).state, JobState::succeeded);
}

TEST_F(RevertMemory, ALinkThatStaysDownIsToldAndTakesNothingBack) {
    take_and_stop();
    hypervisor.plant({"set_link"});
    const Job job = end_of(revert());
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_THAT(job.error, Optional(HasSubstr("enable it by ChangeVmNicState")));
    EXPECT_EQ(vm().state, VmState::running);
    EXPECT_FALSE(vm().owner_job_uuid);
    EXPECT_NE(root().install_path, path_before_);
    EXPECT_EQ(hypervisor.domain(pool.web.uuid)->state, hypervisor::DomainState::running);
}

TEST_F(RevertMemory, WhatTheVmIsNotAnyMoreIsRefusedBeforeAnythingIsChanged) {
    take_and_stop();
    const VmInstance then = vm();
    const VmNic nic = pool.rows<VmNic>({{"vmInstanceUuid", then.uuid.text()}}).at(0);
    const auto refused = [&](std::string_view words) {
        EXPECT_THAT(obstacle(), Optional(HasSubstr(std::string(words))));
        const Result<JobId> job = revert();
        ASSERT_FALSE(job.has_value());
        EXPECT_THAT(job.error().message, HasSubstr(std::string(words)));
        expect_untouched();
    };
    VmInstance other = then;
    other.cpu_num = 1;
    change(other);
    refused("cpuNum 2");
    other = then;
    other.memory_size *= 2;
    change(other);
    refused("memorySize");
    change(then);
    VmNic another = nic;
    another.mac = "fa:00:00:00:00:99";
    change(another);
    refused("MAC fa:00:00:00:00:20");
    another = nic;
    another.device_id = 1;
    change(another);
    refused("is not there any more");
    change(nic);
    another = nic;
    another.uuid = NicId::random();
    another.device_id = 1;
    another.mac = "fa:00:00:00:00:98";
    another.internal_name = "tap98";
    pool.add(another);
    refused("came after the group was taken");
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) -> Result<void> {
        TRY(store::erase<VmNic>(transaction, {{"uuid", another.uuid.text()}}));
        return {};
    }));
    pool.add_tag(then.uuid.text(), "bootMode::UEFI");
    refused("boot mode");
}

TEST_F(RevertMemory, MemoryThatIsDamagedIsRefused) {
    take_and_stop();
    MemoryImage image = pool.rows<MemoryImage>().at(0);
    image.state = MemoryImageState::damaged;
    change(image);
    EXPECT_THAT(obstacle(), Optional(HasSubstr("damaged")));
    EXPECT_FALSE(revert().has_value());
    expect_untouched();
}

TEST_F(RevertMemory, ItGoesWithTheGroupUnlessTheVmStillMapsIt) {
    take_and_stop();
    ASSERT_EQ(end_of(revert()).state, JobState::succeeded);
    const Result<std::optional<JobId>> deleted = delete_snapshot_group(parts, request(), {group().uuid});
    ASSERT_TRUE(deleted.has_value() && deleted->has_value());
    EXPECT_EQ(end_of(**deleted).state, JobState::succeeded);
    EXPECT_TRUE(pool.rows<VolumeSnapshotGroup>().empty());
    EXPECT_EQ(pool.rows<MemoryImage>().size(), 1U);
    ASSERT_EQ(end_of(stop_vm(parts, request(), {pool.web.uuid, "cold"})).state, JobState::succeeded);
    EXPECT_TRUE(pool.rows<MemoryImage>().empty());
}

TEST_F(RevertMemory, ItGoesWhenTheGroupIsDissolved) {
    take_and_stop();
    ASSERT_TRUE(ungroup_snapshots(parts, {group().uuid}).has_value());
    EXPECT_TRUE(pool.rows<MemoryImage>().empty());
    EXPECT_EQ(pool.rows<VolumeSnapshot>().size(), 1U);
}

// Between the steps of a revert its locks are let go.
TEST_F(RevertMemory, NobodyElseStartsAVmThatGoesBack) {
    take_and_stop();
    VmInstance going_back = vm();
    going_back.state = VmState::starting;
    going_back.owner_job_uuid = pool.rows<Job>().at(0).uuid;
    change(going_back);
    const Job job = end_of(start_vm(parts, request(), {pool.web.uuid}));
    EXPECT_EQ(job.state, JobState::failed);
    EXPECT_EQ(vm().owner_job_uuid, going_back.owner_job_uuid);
    EXPECT_EQ(hypervisor.domain(pool.web.uuid)->state, hypervisor::DomainState::shut_off);
}

}  // namespace
}  // namespace ramet::lifecycle

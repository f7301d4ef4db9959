#include "lifecycle/garbage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "api/json.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/invariants.hpp"
#include "storage/dir/dir_storage.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/small_pool.hpp"
#include "support/storage_files.hpp"

namespace ramet::lifecycle {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The small inventory on real directories, with a clock that the test moves. web01 and db01 have their disks.
class GarbageTest : public testing::Test {
protected:
    GarbageTest() {
        pool.storage.url = primary;
        test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, pool.storage); }));
        BackupStorage store;
        store.uuid = BackupStorageId::trusted(test::uuid_text(18));
        store.name = "images";
        store.url = images;
        pool.add_owned(store, pool.admin);
        for (const std::string& folder : {images, data + "/seeds", data + "/run"}) fs::create_directories(folder);
        for (const char* disk : {"web01.qcow2", "db01.qcow2"})
            test::TestDatabase::must(storage->create_empty(disk, kSize, storage::Provisioning::thin));
    }

    void plant(const std::string& path) {
        fs::create_directories(fs::path(path).parent_path());
        std::ofstream(path) << "nobody's";
    }
    GarbageCount look(Grace grace = Grace::keep) {
        const Result<GarbageCount> count = keeper.look(grace);
        EXPECT_TRUE(count.has_value()) << count.error().message << count.error().detail;
        return count.value_or(GarbageCount{});
    }
    void pass(std::int64_t seconds) { time += 1000 * seconds; }
    // A look, and the second one when it is time.
    GarbageCount look_twice() {
        look();
        pass(kSecondLook);
        return look();
    }
    std::vector<std::string> files_below(const std::string& folder) {
        std::vector<std::string> files;
        for (const auto& entry : fs::recursive_directory_iterator(folder))
            if (entry.is_regular_file()) files.push_back(entry.path().string().substr(folder.size() + 1));
        std::ranges::sort(files);
        return files;
    }
    std::vector<std::string> messages(const std::string& event) {
        std::vector<std::string> found;
        for (const Event& row : pool.rows<Event>({{"name", event}})) found.push_back(row.message);
        return found;
    }
    std::vector<std::string> doctor(std::string_view number) {
        const Result<Survey> seen = survey(parts);
        EXPECT_TRUE(seen.has_value());
        const Result<std::vector<Invariant>> all = check_invariants(parts, *seen);
        EXPECT_TRUE(all.has_value());
        return std::ranges::find(*all, number, &Invariant::number)->findings;
    }
    Job job(JobState state) {
        Job row;
        row.uuid = JobId::random();
        row.kind = "other";
        row.account_uuid = pool.admin.account;
        row.state = state;
        row.create_date = clock.now();
        pool.add(row);
        return row;
    }

    static constexpr std::int64_t kSecondLook = 30, kGrace = 86'400, kSize = 1 << 20;  // the defaults of the settings
    test::TempDir directory;
    const std::string primary = directory.file("primary"), images = directory.file("images"), data = directory.file("data");
    test::SmallPool pool;
    std::atomic<std::int64_t> time{1'800'000'000'000};
    StepProofClock clock{[this] { return time.load(); }, [this] { return time.load(); }};
    storage::DirStorages storages;
    std::shared_ptr<storage::PrimaryStorage> storage = storages.open(primary).value();
    test::FakePlumbing plumbing;
    test::FakeHypervisor hypervisor;
    resources::Inventory inventory{*pool, resources::LiveFacts{}};
    store::DatabaseSagaLog log{*pool};
    workflow::Engine engine{log, clock, {1, 1, &api::error_object}};
    resources::Parts shared{*pool, clock, storages, plumbing, inventory, engine, data};
    guest::IdentityKeeper identity{*pool, hypervisor, &wanted_identity};
    Parts parts{shared, hypervisor, identity};
    GarbageKeeper keeper{parts};
    const VmId nobodys = VmId::trusted(test::uuid_text(99));
};

TEST_F(GarbageTest, LeavesAloneWhatHasARow) {
    plumbing.leave_tap("tap20");
    plumbing.leave_network(pool.l3.uuid);
    hypervisor.change(pool.web.uuid, [](auto& domain) { domain.state = hypervisor::DomainState::running; });
    plant(data + "/seeds/" + pool.web.uuid.text() + ".iso");
    fs::create_directories(data + "/run/" + pool.web.uuid.text());
    for (int days = 0; days < 3; ++days) {
        look(Grace::waive);
        pass(kGrace);
    }
    EXPECT_EQ(pool.rows<Garbage>().size(), 0U);
    EXPECT_THAT(files_below(primary), ElementsAre("db01.qcow2", "web01.qcow2"));
    EXPECT_THAT(files_below(data), ElementsAre("seeds/" + pool.web.uuid.text() + ".iso"));
    EXPECT_EQ(hypervisor.domain(pool.web.uuid)->state, hypervisor::DomainState::running);
    EXPECT_THAT(plumbing.calls(), IsEmpty());
}

TEST_F(GarbageTest, AFileIsSeenThenPutAsideThenRemoved) {
    plant(primary + "/stray/layer.qcow2");
    EXPECT_EQ(look().seen, 1);
    pass(kSecondLook - 1);
    EXPECT_EQ(look().seen, 1);
    EXPECT_TRUE(fs::exists(primary + "/stray/layer.qcow2"));
    EXPECT_THAT(doctor("I1"), Contains("file without row: " + primary + "/stray/layer.qcow2"));

    pass(1);
    const GarbageCount second = look();
    EXPECT_EQ(std::tuple(second.seen, second.put_aside, second.in_quarantine), std::tuple(0, 1, 1));
    const Garbage row = pool.rows<Garbage>().front();
    EXPECT_EQ(row.state, GarbageState::quarantined);
    EXPECT_THAT(files_below(primary), ElementsAre(*row.moved_to, "db01.qcow2", "web01.qcow2"));
    EXPECT_THAT(*row.moved_to, testing::StartsWith(".quarantine/"));
    EXPECT_THAT(doctor("I1"), ElementsAre("in quarantine: " + primary + "/" + *row.moved_to));
    EXPECT_THAT(messages("garbage-quarantined"), ElementsAre(HasSubstr("stray/layer.qcow2")));

    pass(kGrace - 1);
    EXPECT_EQ(look().removed, 0);
    pass(1);
    EXPECT_EQ(look().removed, 1);
    EXPECT_THAT(files_below(primary), ElementsAre("db01.qcow2", "web01.qcow2"));
    EXPECT_EQ(pool.rows<Garbage>().size(), 0U);
    EXPECT_THAT(messages("garbage-removed"), ElementsAre(HasSubstr("stray/layer.qcow2")));
    EXPECT_THAT(doctor("I1"), IsEmpty());
}

TEST_F(GarbageTest, ASealedLayerIsNoHindrance) {
    test::TestDatabase::must(storage->create_empty("sealed.qcow2", kSize, storage::Provisioning::thin));
    test::TestDatabase::must(storage->seal("sealed.qcow2"));
    look_twice();
    EXPECT_FALSE(fs::exists(primary + "/sealed.qcow2"));
    EXPECT_EQ(look(Grace::waive).removed, 1);
    EXPECT_THAT(files_below(primary), ElementsAre("db01.qcow2", "web01.qcow2"));
}

TEST_F(GarbageTest, WaivingTheGraceRemovesWhatIsPutAsideAndNothingThatWasSeenOnce) {
    plant(primary + "/old.qcow2");
    look();
    pass(kSecondLook);
    plant(primary + "/new.qcow2");
    const GarbageCount count = look(Grace::waive);
    EXPECT_EQ(std::tuple(count.seen, count.removed, count.second_look), std::tuple(1, 1, kSecondLook));
    EXPECT_THAT(files_below(primary), ElementsAre("db01.qcow2", "new.qcow2", "web01.qcow2"));
}

TEST_F(GarbageTest, WhatAnOlderJobMayOwnWaitsForItsEnd) {
    Job older = job(JobState::running);
    plant(primary + "/mine.qcow2");
    look();
    pass(kGrace);
    EXPECT_EQ(look(Grace::waive).seen, 1);
    EXPECT_TRUE(fs::exists(primary + "/mine.qcow2"));
    older.state = JobState::succeeded;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, older); }));
    EXPECT_EQ(look(Grace::waive).removed, 1);
}

TEST_F(GarbageTest, AYoungerJobAndAStuckOneProtectNothing) {
    job(JobState::stuck);
    plant(primary + "/stray.qcow2");
    look();
    pass(1);
    job(JobState::running);
    pass(kSecondLook);
    EXPECT_EQ(look(Grace::waive).removed, 1);
}

TEST_F(GarbageTest, AnOwnerThatTurnsUpInTimeKeepsItsFile) {
    plant(primary + "/late.qcow2");
    look();
    Layer layer;
    layer.uuid = LayerId::trusted(test::uuid_text(90));
    layer.primary_storage_uuid = pool.storage.uuid;
    layer.path = "late.qcow2";
    pool.add(layer);
    pass(kGrace);
    EXPECT_EQ(look(Grace::waive).seen, 0);
    EXPECT_TRUE(fs::exists(primary + "/late.qcow2"));
    EXPECT_EQ(pool.rows<Garbage>().size(), 0U);
}

// As a kill between the decision and the move leaves it; tests/crash/garbage_kill_test.py does it on the real server.
TEST_F(GarbageTest, ALookThatWasCutShortIsFinishedByTheNext) {
    for (const char* name : {"/a.qcow2", "/b.qcow2"}) plant(primary + name);
    look_twice();
    const Garbage moved = pool.rows<Garbage>().front();
    fs::rename(primary + "/" + *moved.moved_to, primary + "/" + moved.what);
    EXPECT_EQ(look().put_aside, 1);
    EXPECT_TRUE(fs::exists(primary + "/" + *moved.moved_to));
    fs::remove(primary + "/" + *moved.moved_to);  // removed, and the row not forgotten
    EXPECT_EQ(look(Grace::waive).removed, 2);
    EXPECT_EQ(pool.rows<Garbage>().size(), 0U);
}

TEST_F(GarbageTest, FilesOfEveryFolderGoTheSameWay) {
    plant(images + "/stray/image.qcow2");
    plant(data + "/seeds/" + nobodys.text() + ".iso");
    look_twice();
    EXPECT_THAT(files_below(images), ElementsAre(testing::StartsWith(".quarantine/")));
    EXPECT_THAT(files_below(data), ElementsAre(testing::StartsWith("seeds/.quarantine/")));
    EXPECT_EQ(look(Grace::waive).removed, 2);
    EXPECT_THAT(files_below(images), IsEmpty());
    EXPECT_THAT(files_below(data), IsEmpty());
}

TEST_F(GarbageTest, AProcessIsPausedThenStoppedAndForgotten) {
    hypervisor.change(nobodys, [](auto& domain) { domain.state = hypervisor::DomainState::running; });
    look();
    EXPECT_EQ(hypervisor.domain(nobodys)->state, hypervisor::DomainState::running);
    pass(kSecondLook);
    look();
    EXPECT_EQ(hypervisor.domain(nobodys)->state, hypervisor::DomainState::paused);
    EXPECT_EQ(look(Grace::waive).removed, 1);
    EXPECT_FALSE(hypervisor.domain(nobodys).has_value());
}

TEST_F(GarbageTest, ATapIsTakenDownThenUnpluggedAndANetworkRemoved) {
    const L3NetworkId lost = L3NetworkId::trusted(test::uuid_text(98));
    plumbing.leave_tap("tap99");
    plumbing.leave_network(lost);
    look_twice();
    EXPECT_THAT(plumbing.calls(), ElementsAre("disable tap99"));
    EXPECT_EQ(look(Grace::waive).removed, 2);
    EXPECT_THAT(plumbing.calls(), Contains("unplug tap99"));
    EXPECT_THAT(plumbing.calls(), Contains("remove_network " + lost.text()));
    EXPECT_EQ(look().seen, 0);
}

TEST_F(GarbageTest, WhatCannotBeRemovedNowIsTriedAgainAndHoldsNothingElseUp) {
    hypervisor.change(nobodys, [](auto& domain) { domain.state = hypervisor::DomainState::running; });
    plant(primary + "/stray.qcow2");
    look_twice();
    hypervisor.plant({.operation = "stop"});
    EXPECT_EQ(look(Grace::waive).removed, 1);
    EXPECT_FALSE(fs::exists(primary + "/stray.qcow2"));
    EXPECT_TRUE(hypervisor.domain(nobodys).has_value());
    EXPECT_EQ(look(Grace::waive).removed, 1);
    EXPECT_FALSE(hypervisor.domain(nobodys).has_value());
}

// --- what the doctor says of chains

class ChainsTest : public GarbageTest {
protected:
    // The next layer, on top of the one before.
    LayerId grow() {
        Layer layer;
        layer.uuid = LayerId::trusted(test::uuid_text(200 + depth));
        layer.primary_storage_uuid = pool.storage.uuid;
        layer.path = "layer" + std::to_string(depth) + ".qcow2";
        if (depth > 0) layer.parent_uuid = LayerId::trusted(test::uuid_text(199 + depth));
        pool.add(layer);
        ++depth;
        return layer.uuid;
    }
    int depth = 0;
};

TEST_F(ChainsTest, EightLayersAreSoundAndTheNinthIsOneTooMany) {
    while (depth < 8) grow();
    EXPECT_THAT(doctor("I6"), IsEmpty());
    const LayerId ninth = grow();
    EXPECT_THAT(doctor("I6"), ElementsAre(HasSubstr("layer " + ninth.text() + " has more than 8 layers")));
}

TEST_F(ChainsTest, ALayerThatStandsOnItselfIsACircle) {
    grow();
    Layer first = pool.rows<Layer>({{"path", "layer0.qcow2"}}).front();
    first.parent_uuid = first.uuid;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, first); }));
    EXPECT_THAT(doctor("I6"), ElementsAre(HasSubstr("is a circle")));
}

}  // namespace
}  // namespace ramet::lifecycle

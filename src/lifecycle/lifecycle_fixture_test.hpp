// For tests of use cases of this folder: a small pool on a real database, an engine, and fakes of everything outside. Jobs may run until the
// engine goes, which is before the fakes do.
#pragma once

#include <gtest/gtest.h>

#include "api/json.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/parts.hpp"
#include "resources/global_configs.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"
#include "support/toy_saga.hpp"

namespace ramet::lifecycle {

class LifecycleFixture : public testing::Test {
protected:
    void set_config(const std::string& category, const std::string& name, const std::string& value) {
        const Result<std::string> done = resources::update_global_config(shared, pool.admin, {category, name, value});
        ASSERT_TRUE(done.has_value()) << done.error().message;
    }
    // web01 runs on the fake hypervisor, its disk is on the fake storage, and its host and storage are connected.
    void run_web() {
        std::filesystem::create_directories(pool.folder() / "seeds");
        storages.at(pool.storage.url)->put("web01.qcow2", {DiskFormat::qcow2, kDiskBytes, kDiskBytes, false, {}});
        test::TestDatabase::must((*pool).write([this](store::Transaction& transaction) { return make_ready(transaction); }));
        hypervisor.change(pool.web.uuid, [this](auto& domain) {
            domain.state = hypervisor::DomainState::running;
            domain.spec.disks.push_back({*pool.web.root_volume_uuid, 0, {{pool.storage.url, "web01.qcow2", DiskFormat::qcow2}}});
            domain.spec.nics.emplace_back();
        });
    }
    Request request() const { return {pool.admin, JobId::random(), std::nullopt, std::nullopt}; }
    Job end_of(const Result<JobId>& job) {
        EXPECT_TRUE(job.has_value()) << job.error().message;
        return job.has_value() ? engine.wait(*job, test::kHarnessPatience).value_or(Job{}) : Job{};
    }

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

private:
    static constexpr std::int64_t kDiskBytes = 1 << 20;
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
};

}  // namespace ramet::lifecycle

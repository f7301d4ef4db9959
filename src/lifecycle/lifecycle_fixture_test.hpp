// For tests of use cases of this folder: a small pool on a real database, an engine, and fakes of everything outside. Jobs may run until the
// engine goes, which is before the fakes do.
#pragma once

#include <gtest/gtest.h>

#include "api/json.hpp"
#include "lifecycle/identity_report.hpp"
#include "lifecycle/parts.hpp"
#include "resources/global_configs.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"

namespace ramet::lifecycle {

class LifecycleFixture : public testing::Test {
protected:
    void set_config(const std::string& category, const std::string& name, const std::string& value) {
        const Result<std::string> done = resources::update_global_config(shared, pool.admin, {category, name, value});
        ASSERT_TRUE(done.has_value()) << done.error().message;
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
};

}  // namespace ramet::lifecycle

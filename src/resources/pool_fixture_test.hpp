// What the tests of this folder share: a freshly founded pool on a real database, with storages and networks that are fakes.
#pragma once

#include <gtest/gtest.h>
#include <boost/json/serialize.hpp>

#include <filesystem>
#include <memory>

#include "api/json.hpp"
#include "resources/bootstrap.hpp"
#include "resources/images.hpp"
#include "resources/parts.hpp"
#include "store/saga_log.hpp"
#include "support/fake_plumbing.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/small_pool.hpp"

namespace ramet::resources {

class HandClock final : public Clock {
public:
    Timestamp now() const override { return Timestamp{milliseconds}; }
    std::int64_t milliseconds = 1'700'000'000'000;
};

class FakeStorages final : public storage::PrimaryStorages {
public:
    Result<std::shared_ptr<storage::PrimaryStorage>> open(const std::string& root) override {
        if (root.starts_with("/refused")) return fail(ErrorCode::invalid_argument, "the directory cannot be written; check its permissions");
        auto& storage = storages[root];
        if (storage == nullptr) storage = std::make_shared<test::FakePrimaryStorage>(root);
        return std::shared_ptr<storage::PrimaryStorage>(storage);
    }
    std::map<std::string, std::shared_ptr<test::FakePrimaryStorage>> storages;
};

class PoolTest : public testing::Test {
protected:
    PoolTest() {
        register_image_sagas(engine, parts);
        test::TestDatabase::must(bootstrap(parts, pool.admin, machine()));
    }
    static MachineFacts machine() {
        MachineFacts facts;
        facts.host_name = "tester";
        facts.cpu_num = 4;
        facts.memory_bytes = 8LL << 30;
        facts.accelerator = "tcg";
        facts.used_networks = {"192.168.0.0/16"};
        facts.dns_servers = {"9.9.9.9"};
        return facts;
    }
    // The uuid of the only row of the type with that name.
    template <class Row>
    decltype(Row::uuid) uuid_of(const std::string& name) {
        const std::vector<Row> rows = pool.rows<Row>({{"name", name}});
        return rows.size() == 1 ? rows.front().uuid : decltype(Row::uuid){};
    }
    // A member of the reply's inventory as text; the error's message in brackets when there is no reply.
    static std::string member(const Result<std::string>& body, std::string_view name) {
        if (!body.has_value()) return "[" + body.error().message + "]";
        const Result<boost::json::value> json = api::parse_json(*body);
        if (!json.has_value()) return "[not JSON: " + *body + "]";
        const boost::json::value* inventory = json->as_object().if_contains("inventory");
        const boost::json::object& object = inventory == nullptr ? json->as_object() : inventory->as_object();
        const boost::json::value* value = object.if_contains(name);
        if (value == nullptr) return "[absent]";
        return value->is_string() ? std::string(value->as_string()) : boost::json::serialize(*value);
    }
    static void expect_refusal(const Result<std::string>& body, ErrorCode code, std::string_view words) {
        ASSERT_FALSE(body.has_value()) << *body;
        EXPECT_EQ(body.error().code, code) << body.error().message;
        EXPECT_NE(body.error().message.find(words), std::string::npos) << body.error().message;
    }

    test::TestDatabase pool;
    HandClock clock;
    FakeStorages storages;
    test::FakePlumbing plumbing;
    Inventory inventory{*pool, LiveFacts{[](const std::string&) { return PhysicalCapacity{100LL << 30, 60LL << 30}; },
                                         [](const std::string&, const std::string&) { return std::int64_t{4096}; }}};
    store::DatabaseSagaLog log{*pool};
    workflow::Engine engine{log, clock, {2, 2, &api::error_object}};
    Parts parts{*pool, clock, storages, plumbing, inventory, engine, pool.folder().string()};
};

}  // namespace ramet::resources

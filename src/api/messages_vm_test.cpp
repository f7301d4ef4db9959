#include "api/messages_vm.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/json.hpp"
#include "api/messages_resources.hpp"

namespace ramet::api {
namespace {

// What the edge does with the fields of a request.
Result<void> read_and_check(const MessageInfo& message, std::string_view fields) {
    TRY_ASSIGN(const boost::json::value json, parse_json(fields));
    const std::shared_ptr<void> request = message.make();
    TRY(read_json(json, message.request(), request.get()));
    return check_rules(message.request(), request.get());
}

struct Wish {
    const MessageInfo& message;
    std::string fields;
    std::string named = {};  // in the refusal
};

constexpr std::string_view kUuid = "327b60d6b8cd41489ade6f4830bcec16";

Wish clone(const std::string& field, const std::string& named = {}) {
    return {message<CloneVmInstance>(), R"({"vmInstanceUuid":")" + std::string(kUuid) + R"(","names":["a"],)" + field + "}", named};
}
Wish create(const std::string& field, const std::string& named = {}) { return {message<CreateVmInstance>(), R"({"name":"a",)" + field + "}", named}; }
Wish update(const std::string& field, const std::string& named = {}) {
    return {message<UpdateVmInstance>(), R"({"uuid":")" + std::string(kUuid) + "\"," + field + "}", named};
}
Wish instance_offering(const std::string& strategy, const std::string& named = {}) {
    return {message<CreateInstanceOffering>(), R"({"name":"a","cpuNum":1,"memorySize":536870912,"allocatorStrategy":")" + strategy + "\"}", named};
}
Wish disk_offering(const std::string& strategy, const std::string& named = {}) {
    return {message<CreateDiskOffering>(), R"({"name":"a","diskSize":1073741824,"allocationStrategy":")" + strategy + "\"}", named};
}

void expect_refusals(const std::vector<Wish>& wishes) {
    for (const Wish& wish : wishes) {
        const Result<void> refused = read_and_check(wish.message, wish.fields);
        ASSERT_FALSE(refused.has_value()) << wish.fields;
        EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument) << wish.fields;
        EXPECT_NE(refused.error().message.find("field '" + wish.named + "'"), std::string::npos) << refused.error().message;
    }
}
void expect_to_pass(const std::vector<Wish>& wishes) {
    for (const Wish& wish : wishes) {
        const Result<void> checked = read_and_check(wish.message, wish.fields);
        EXPECT_TRUE(checked.has_value()) << wish.fields << ": " << checked.error().message;
    }
}

TEST(VmMessages, AnEmptyTextNamesNothing) {
    expect_refusals({clone(R"("strategy":"")", "strategy"), clone(R"("hostUuid":"")", "hostUuid"),
                     clone(R"("primaryStorageUuidForDataVolume":"")", "primaryStorageUuidForDataVolume"), clone(R"("copy":"")", "copy"),
                     clone(R"("vmNicParams":[{"l3NetworkUuid":"327b60d6b8cd41489ade6f4830bcec16","driverType":""}])", "vmNicParams[0].driverType"),
                     create(R"("zoneUuid":"")", "zoneUuid"), create(R"("l3NetworkUuids":[""])", "l3NetworkUuids[0]"),
                     create(R"("resourceUuid":"")", "resourceUuid"), create(R"("platform":"")", "platform"), update(R"("state":"")", "state")});
}

TEST(VmMessages, WhatIsLeftOutAndFreeTextMayBeEmpty) {
    expect_to_pass({clone(R"("strategy":null,"hostUuid":null)"), clone(R"("clusterUuid":null,"vmNicParams":[])"),
                    create(R"("description":"","guestOsType":"","l3NetworkUuids":[])"), update(R"("description":"")")});
}

TEST(VmMessages, AnUpdateTakesTheValuesOfACreation) {
    expect_refusals({update(R"("platform":"Foo")", "platform"), update(R"("state":"Paused")", "state")});
    expect_to_pass({update(R"("platform":"linux")"), update(R"("state":"Stopped")"), update(R"("state":"Running")")});
    const auto values = [](const MessageInfo& info) { return info.request().find("platform")->rules.one_of; };
    EXPECT_TRUE(std::ranges::equal(values(message<UpdateVmInstance>()), values(message<CreateVmInstance>())));
}

TEST(OfferingMessages, TakeTheStrategiesOfZStackAlone) {
    expect_refusals({instance_offering("Foo", "allocatorStrategy"), disk_offering("Foo", "allocationStrategy"),
                     disk_offering("LeastVmPreferredHostAllocatorStrategy", "allocationStrategy")});
    expect_to_pass({instance_offering("LastHostPreferredAllocatorStrategy"), instance_offering("MinimumMemoryUsageHostAllocatorStrategy"),
                    disk_offering("LeastVolumePrimaryStorageAllocationStrategy")});
}

}  // namespace
}  // namespace ramet::api

#include "resources/inventory.hpp"

#include <boost/json/serialize.hpp>

#include "api/json.hpp"
#include "api/messages_resources.hpp"
#include "support/small_pool.hpp"

namespace ramet::resources {
namespace {

class InventoryTest : public testing::Test {
protected:
    template <class Row>
    boost::json::object query(const query::Parameters& parameters, const identity::Caller& caller) {
        api::MessageInfo message;
        message.query_row = &describe<Row>;
        const Result<std::string> body = inventory.query(message, parameters, caller);
        if (!body.has_value()) return {{"error", body.error().message}};
        return api::parse_json(*body)->as_object();
    }
    template <class Row>
    boost::json::object only(const std::string& uuid) {
        query::Parameters parameters;
        parameters.uuid = uuid;
        const boost::json::object body = query<Row>(parameters, pool.admin);
        const boost::json::array& rows = body.at("inventories").as_array();
        return rows.empty() ? boost::json::object{} : rows.front().as_object();
    }
    static std::string text(const boost::json::object& object, const char* name) { return std::string(object.at(name).as_string()); }

    test::SmallPool pool;
    std::vector<std::string> asked;
    Inventory inventory{*pool, LiveFacts{[](const std::string& directory) {
                                             return directory == "/srv/small" ? PhysicalCapacity{10LL << 30, 5LL << 30}
                                                                              : PhysicalCapacity{100LL << 30, 60LL << 30};
                                         },
                                         [this](const std::string& directory, const std::string& path) {
                                             asked.push_back(directory + "|" + path);
                                             return std::int64_t{12288};
                                         }}};
};

TEST_F(InventoryTest, ShowsAVmWithItsNicsAddressesAndVolumes) {
    const boost::json::object vm = only<VmInstance>(pool.web.uuid.text());
    EXPECT_EQ(text(vm, "name"), "web01");
    const boost::json::object& nic = vm.at("vmNics").as_array().at(0).as_object();
    EXPECT_EQ(text(nic, "ip"), "10.0.0.20");
    EXPECT_EQ(text(nic.at("usedIps").as_array().at(0).as_object(), "ip"), "10.0.0.20");
    const boost::json::object& volume = vm.at("allVolumes").as_array().at(0).as_object();
    EXPECT_EQ(text(volume, "type"), "Root");
    EXPECT_EQ(volume.at("actualSize").to_number<std::int64_t>(), 12288);
    EXPECT_EQ(asked, std::vector<std::string>{"/srv/primary|web01.qcow2"});
    EXPECT_FALSE(vm.contains("ownerJobUuid"));
}

TEST_F(InventoryTest, GivesEachRowItsOwnChildren) {
    query::Parameters parameters;
    parameters.sort = "name";
    const boost::json::object body = query<VmInstance>(parameters, pool.admin);
    const boost::json::array& rows = body.at("inventories").as_array();
    ASSERT_EQ(rows.size(), 2U);
    for (const boost::json::value& row : rows) {
        const boost::json::array& nics = row.as_object().at("vmNics").as_array();
        ASSERT_EQ(nics.size(), 1U);
        EXPECT_EQ(nics.at(0).as_object().at("vmInstanceUuid"), row.as_object().at("uuid"));
    }
}

TEST_F(InventoryTest, TellsTheSchemaParentsFirst) {
    query::Parameters parameters;
    parameters.uuid = pool.web.uuid.text();
    const boost::json::object schema = query<VmInstance>(parameters, pool.admin).at("schema").as_object();
    EXPECT_EQ(text(schema, "inventories[0]"), "org.zstack.header.vm.VmInstanceInventory");
    EXPECT_EQ(text(schema, "inventories[0].vmNics[0].usedIps[0]"), "org.zstack.header.network.l3.UsedIpInventory");
    EXPECT_EQ(schema.begin()->key(), "inventories[0]");
}

TEST_F(InventoryTest, AnUnknownUuidIsAnEmptyList) {
    query::Parameters parameters;
    parameters.uuid = test::uuid_text(999);
    const boost::json::object body = query<VmInstance>(parameters, pool.admin);
    EXPECT_TRUE(body.at("inventories").as_array().empty());
    EXPECT_TRUE(body.at("schema").as_object().empty());
}

TEST_F(InventoryTest, TellsTheTotalWhenAsked) {
    query::Parameters parameters;
    parameters.limit = 1;
    EXPECT_FALSE(query<VmInstance>(parameters, pool.admin).contains("total"));
    parameters.reply_with_count = true;
    const boost::json::object body = query<VmInstance>(parameters, pool.admin);
    EXPECT_EQ(body.at("total").to_number<int>(), 2);
    EXPECT_EQ(body.at("inventories").as_array().size(), 1U);
    parameters.count = true;
    const boost::json::object counted = query<VmInstance>(parameters, pool.admin);
    EXPECT_EQ(counted.at("total").to_number<int>(), 2);
    EXPECT_FALSE(counted.contains("inventories"));
}

TEST_F(InventoryTest, ShowsOnlyTheFieldsAskedFor) {
    query::Parameters parameters;
    parameters.uuid = pool.web.uuid.text();
    parameters.fields = {"uuid", "name"};
    const boost::json::object body = query<VmInstance>(parameters, pool.admin);
    EXPECT_EQ(body.at("inventories").as_array().at(0).as_object().size(), 2U);
    EXPECT_EQ(body.at("schema").as_object().size(), 1U);  // no path that is not shown
    parameters.fields = {"nonsense"};
    EXPECT_TRUE(query<VmInstance>(parameters, pool.admin).contains("error"));
}

TEST_F(InventoryTest, AHostHasWhatItsRunningVmsLeave) {
    const boost::json::object host = only<Host>(pool.host.uuid.text());
    EXPECT_EQ(host.at("availableCpuCapacity").to_number<int>(), 18);
    EXPECT_EQ(host.at("availableMemoryCapacity").to_number<std::int64_t>(), (8LL << 30) - (2LL << 28));
}

TEST_F(InventoryTest, AStorageHasWhatItsFileSystemHasLessTheReserve) {
    const boost::json::object storage = only<PrimaryStorage>(pool.storage.uuid.text());
    EXPECT_EQ(storage.at("totalCapacity").to_number<std::int64_t>(), 100LL << 30);
    EXPECT_EQ(storage.at("availablePhysicalCapacity").to_number<std::int64_t>(), 60LL << 30);
    EXPECT_EQ(storage.at("availableCapacity").to_number<std::int64_t>(), 59LL << 30);
    EXPECT_EQ(boost::json::serialize(storage.at("attachedClusterUuids")), "[\"" + pool.cluster.uuid.text() + "\"]");
}

TEST_F(InventoryTest, AStorageWithABoundHasWhatItsVolumesWerePromised) {
    GlobalConfig bound;
    bound.uuid = "mevoco.overProvisioning.primaryStorage";
    bound.category = "mevoco";
    bound.name = "overProvisioning.primaryStorage";
    bound.value = "2";
    pool.add(bound);
    Volume volume = pool.rows<Volume>({{"uuid", pool.web.root_volume_uuid->text()}}).at(0);
    volume.size = 30LL << 30;
    test::TestDatabase::must((*pool).write([&](store::Transaction& transaction) { return store::update(transaction, volume); }));
    const boost::json::object storage = only<PrimaryStorage>(pool.storage.uuid.text());
    EXPECT_EQ(storage.at("totalCapacity").to_number<std::int64_t>(), 200LL << 30);
    EXPECT_EQ(storage.at("availableCapacity").to_number<std::int64_t>(), 170LL << 30);
    EXPECT_EQ(storage.at("availablePhysicalCapacity").to_number<std::int64_t>(), 60LL << 30);
}

TEST_F(InventoryTest, FindsAndSortsByWhatIsComputed) {
    PrimaryStorage small = pool.storage;
    small.uuid = PrimaryStorageId::trusted(test::uuid_text(40));
    small.name = "small";
    small.url = "/srv/small";
    pool.add_owned(small, pool.admin);
    const auto names = [&](std::vector<std::string> conditions, const std::string& sort) {
        query::Parameters parameters;
        parameters.conditions = std::move(conditions);
        parameters.sort = sort;
        parameters.reply_with_count = true;
        const boost::json::object body = query<PrimaryStorage>(parameters, pool.alice);
        if (!body.contains("inventories")) return boost::json::serialize(body);
        std::string found = std::to_string(body.at("total").to_number<int>()) + ":";
        for (const boost::json::value& row : body.at("inventories").as_array()) found += " " + text(row.as_object(), "name");
        return found;
    };
    EXPECT_EQ(names({}, "+availableCapacity"), "2: small local");
    EXPECT_EQ(names({}, "-availableCapacity"), "2: local small");
    EXPECT_EQ(names({"availableCapacity>10737418240"}, "name"), "1: local");
    EXPECT_EQ(names({"totalCapacity>1", "name=SMALL"}, "-totalCapacity"), "1: small");
    EXPECT_EQ(names({"totalCapacity?=10737418240,5"}, ""), "1: small");
    EXPECT_EQ(names({"totalCapacity<5"}, "availableCapacity"), "0:");
    EXPECT_EQ(names({"zone.name=zone1", "totalCapacity>1"}, "-name"), "2: small local");
    EXPECT_NE(names({"totalCapacity>much"}, "").find("'much' is not an integer"), std::string::npos);
    query::Parameters page;
    page.sort = "availableCapacity";
    page.start = page.limit.emplace(1);
    EXPECT_EQ(text(query<PrimaryStorage>(page, pool.admin).at("inventories").as_array().at(0).as_object(), "name"), "local");
    page.conditions = {"availableCapacity>1"};
    page.count = true;
    EXPECT_EQ(query<PrimaryStorage>(page, pool.admin).at("total").to_number<int>(), 2);
    query::Parameters of_hosts;
    of_hosts.conditions = {"availableCpuCapacity=18"};
    EXPECT_EQ(query<Host>(of_hosts, pool.admin).at("inventories").as_array().size(), 1U);
    query::Parameters of_volumes;
    of_volumes.conditions = {"primaryStorage.totalCapacity>1"};
    EXPECT_NE(text(query<Volume>(of_volumes, pool.admin), "error").find("in the list of PrimaryStorageInventory itself"), std::string::npos);
}

TEST_F(InventoryTest, ShowsRangesAndAttachments) {
    EXPECT_EQ(text(only<L3Network>(pool.l3.uuid.text()).at("ipRanges").as_array().at(0).as_object(), "startIp"), "10.0.0.10");
    EXPECT_EQ(only<L2Network>(pool.l2.uuid.text()).at("attachedClusterUuids").as_array().size(), 1U);
}

TEST_F(InventoryTest, AReplyCarriesOneWholeRow) {
    const Result<std::string> body = inventory.reply<VmInstance>(pool.web.uuid.text());
    ASSERT_TRUE(body.has_value());
    EXPECT_TRUE(body->starts_with(R"({"inventory":{"uuid":")"));
    EXPECT_NE(body->find("\"vmNics\":[{"), std::string::npos);
    EXPECT_EQ(inventory.reply<VmInstance>(test::uuid_text(999)).error().code, ErrorCode::not_found);
}

TEST_F(InventoryTest, EveryQueryMessageCanBeAnswered) {
    inventory.offer(describe<api::ManagementNode>(), [](RowSet& rows) { rows.append(); });  // as the server does
    for (const api::MessageInfo* message : api::all_messages()) {
        if (message->query_row == nullptr) continue;
        const Result<std::string> body = inventory.query(*message, {}, pool.admin);
        EXPECT_TRUE(body.has_value()) << message->name << ": " << body.error().message << " " << body.error().detail;
    }
}

}  // namespace
}  // namespace ramet::resources

// Zones, clusters, hosts, storages, offerings, tags, settings, the server: what succeeds, and what is refused with which words.
#include "resources/use_case.hpp"

#include "resources/backup_storages.hpp"
#include "resources/clusters.hpp"
#include "resources/directories.hpp"
#include "resources/global_configs.hpp"
#include "resources/hosts.hpp"
#include "resources/management.hpp"
#include "resources/offerings.hpp"
#include "resources/pool_fixture_test.hpp"
#include "resources/primary_storages.hpp"
#include "resources/tags.hpp"
#include "resources/zones.hpp"

namespace ramet::resources {
namespace {

class UseCase : public PoolTest {
protected:
    ZoneId zone = uuid_of<Zone>("zone1");
    ClusterId cluster = uuid_of<Cluster>("cluster1");
    api::CreateZone zone_request(const std::string& name) {
        api::CreateZone request;
        request.name = name;
        return request;
    }
    api::AddLocalPrimaryStorage storage_request(const std::string& url) {
        api::AddLocalPrimaryStorage request;
        request.name = "disks";
        request.url = url;
        request.zone_uuid = zone;
        return request;
    }
};

TEST_F(UseCase, MakesRenamesDisablesAndDeletesAZone) {
    const Result<std::string> made = create_zone(parts, pool.admin, zone_request("zone2"));
    EXPECT_EQ(member(made, "name"), "zone2");
    EXPECT_EQ(member(made, "state"), "Enabled");
    const ZoneId uuid = ZoneId::trusted(member(made, "uuid"));
    EXPECT_EQ(member(update_zone(parts, pool.admin, {uuid, "renamed", "text"}), "name"), "renamed");
    EXPECT_EQ(member(change_zone_state(parts, pool.admin, {uuid, "disable"}), "state"), "Disabled");
    EXPECT_EQ(delete_zone(parts, pool.admin, {uuid}).value_or("?"), "{}");
    EXPECT_EQ(pool.rows<AccountResourceRef>({{"resourceUuid", uuid.text()}}).size(), 0U);
}

TEST_F(UseCase, OnlyOneZoneIsTheDefault) {
    api::CreateZone request = zone_request("zone2");
    request.is_default = true;
    ASSERT_TRUE(create_zone(parts, pool.admin, request).has_value());
    const std::vector<Zone> defaults = pool.rows<Zone>({{"isDefault", std::int64_t{1}}});
    ASSERT_EQ(defaults.size(), 1U);
    EXPECT_EQ(defaults[0].name, "zone2");
}

TEST_F(UseCase, TakesTheUuidTheCallerWantsOnce) {
    api::CreateZone request = zone_request("zone2");
    request.resource_uuid = ZoneId::trusted(test::uuid_text(500));
    EXPECT_EQ(member(create_zone(parts, pool.admin, request), "uuid"), test::uuid_text(500));
    expect_refusal(create_zone(parts, pool.admin, request), ErrorCode::conflict, "is the uuid of another resource");
    request.resource_uuid = ZoneId::trusted("00000000000090008000000000000001");
    expect_refusal(create_zone(parts, pool.admin, request), ErrorCode::invalid_argument, "resourceUuid");
}

TEST_F(UseCase, TagsArriveWithTheResourceOrNotAtAll) {
    api::CreateZone request = zone_request("zone2");
    request.system_tags = {"host::reservedCpu::2"};
    request.user_tags = {"team::build"};
    ASSERT_TRUE(create_zone(parts, pool.admin, request).has_value());
    EXPECT_EQ(pool.rows<SystemTag>().size(), 1U);
    EXPECT_EQ(pool.rows<UserTag>().size(), 1U);
    request.name = "zone3";
    request.system_tags = {"nonsense"};
    expect_refusal(create_zone(parts, pool.admin, request), ErrorCode::invalid_argument, "systemTags");
    EXPECT_TRUE(pool.rows<Zone>({{"name", std::string("zone3")}}).empty());
}

TEST_F(UseCase, AValidationOnlyTagChecksAndChangesNothing) {
    api::CreateZone request = zone_request("zone2");
    request.system_tags = {std::string(kValidationOnlyTag)};
    EXPECT_EQ(create_zone(parts, pool.admin, request).value_or("?"), "{}");
    EXPECT_EQ(pool.rows<Zone>().size(), 1U);
    request.system_tags.emplace_back("nonsense");
    EXPECT_FALSE(create_zone(parts, pool.admin, request).has_value());
}

TEST_F(UseCase, AZoneInUseSaysWhatToDeleteFirst) {
    const Result<std::string> refused = delete_zone(parts, pool.admin, {zone});
    expect_refusal(refused, ErrorCode::operation_failed,
                   "1 cluster (cluster1), 1 primary storage (local), 1 L3 network (default), 1 L2 network (default)");
    expect_refusal(refused, ErrorCode::operation_failed, "delete them first");
    expect_refusal(delete_cluster(parts, pool.admin, {cluster}), ErrorCode::operation_failed, "1 host (tester); delete it first");
}

TEST_F(UseCase, DeletingWhatIsNotThereIsSuccessAndWhatIsNoUuidIsNot) {
    EXPECT_EQ(delete_zone(parts, pool.admin, {ZoneId::trusted(test::uuid_text(999))}).value_or("?"), "{}");
    expect_refusal(delete_zone(parts, pool.admin, {ZoneId::trusted("nonsense")}), ErrorCode::not_found, "not a uuid");
}

TEST_F(UseCase, AClusterNeedsItsZone) {
    api::CreateCluster request;
    request.name = "cluster2";
    request.hypervisor_type = "KVM";
    request.zone_uuid = zone;
    const Result<std::string> made = create_cluster(parts, pool.admin, request);
    EXPECT_EQ(member(made, "zoneUuid"), zone.text());
    EXPECT_EQ(delete_cluster(parts, pool.admin, {ClusterId::trusted(member(made, "uuid"))}).value_or("?"), "{}");
    request.zone_uuid = ZoneId::trusted(test::uuid_text(999));
    expect_refusal(create_cluster(parts, pool.admin, request), ErrorCode::not_found, "Zone");
}

TEST_F(UseCase, AHostIsRenamedMeasuredAndNotMaintained) {
    const HostId host = local_host_uuid();
    EXPECT_EQ(member(update_host(parts, pool.admin, {host, "rack3", std::nullopt, "10.0.0.7"}), "managementIp"), "10.0.0.7");
    expect_refusal(update_host(parts, pool.admin, {host, std::nullopt, std::nullopt, "nonsense"}), ErrorCode::invalid_argument, "managementIp");
    expect_refusal(change_host_state(parts, pool.admin, {host, "maintain"}), ErrorCode::unsupported, "use disable");
    EXPECT_EQ(member(reconnect_host(parts, pool.admin, {host}), "status"), "Connected");
    EXPECT_EQ(pool.rows<Host>().at(0).accelerator, "tcg");
    api::GetCpuMemoryCapacity all;
    EXPECT_EQ(member(get_cpu_memory_capacity(parts, pool.admin, all), "success"), "true");
    all.host_uuids = {HostId::trusted(test::uuid_text(999))};
    EXPECT_EQ(member(get_cpu_memory_capacity(parts, pool.admin, all), "totalCpu"), "0");
}

TEST_F(UseCase, AHostGivesAwayAsMuchAsTheRatiosSay) {
    const auto host = [this] { return pool.rows<Host>().at(0); };
    const auto capacity = [this](const char* name) {
        api::GetCpuMemoryCapacity all;
        all.all = true;
        return std::stoll(member(get_cpu_memory_capacity(parts, pool.admin, all), name));
    };
    EXPECT_EQ(capacity("totalCpu"), host().cpu_num * 10);
    const std::int64_t memory = capacity("availableMemory");
    ASSERT_TRUE(update_global_config(parts, pool.admin, {"host", "cpu.overProvisioning.ratio", "2.5"}).has_value());
    ASSERT_TRUE(update_global_config(parts, pool.admin, {"mevoco", "overProvisioning.memory", "2"}).has_value());
    EXPECT_EQ(capacity("totalCpu"), host().cpu_num * 5 / 2);
    EXPECT_EQ(capacity("availableMemory"), memory * 2);
    ASSERT_TRUE(reconnect_host(parts, pool.admin, {local_host_uuid()}).has_value());
    EXPECT_EQ(host().total_cpu_capacity, host().cpu_num * 5 / 2) << "measured anew, the ratio stays";
    ASSERT_TRUE(update_global_config(parts, pool.admin, {"host", "cpu.overProvisioning.ratio", std::nullopt}).has_value());
    EXPECT_EQ(capacity("totalCpu"), host().cpu_num * 10);
}

TEST_F(UseCase, AStorageIsAttachedToTheClustersOfItsZone) {
    const Result<std::string> made = add_local_primary_storage(parts, pool.admin, storage_request("/srv//disks/./a/"));
    EXPECT_EQ(member(made, "url"), "/srv/disks/a");
    EXPECT_EQ(member(made, "status"), "Connected");
    EXPECT_EQ(member(made, "attachedClusterUuids"), "[\"" + cluster.text() + "\"]");
}

TEST_F(UseCase, StoragesStandApart) {
    ASSERT_TRUE(add_local_primary_storage(parts, pool.admin, storage_request("/srv/disks")).has_value());
    expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request("/srv/disks")), ErrorCode::invalid_argument,
                   "already the primary storage 'disks'");
    expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request("/srv/disks/inner")), ErrorCode::invalid_argument,
                   "inside each other");
    expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request("/srv")), ErrorCode::invalid_argument, "inside each other");
    expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request(parts.data_dir + "/images/x")), ErrorCode::invalid_argument,
                   "backup storage");
    EXPECT_TRUE(add_local_primary_storage(parts, pool.admin, storage_request("/srv/disks2")).has_value());
    EXPECT_FALSE(storages.storages.contains("/srv/disks/inner"));  // nothing was made where it was refused
}

TEST_F(UseCase, AStoragesDirectoryIsCheckedByName) {
    for (const char* url : {"relative", "", "/", "/srv/../etc", "/srv/\nx", "http://x/y"}) {
        expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request(url)), ErrorCode::invalid_argument, "url");
    }
    expect_refusal(add_local_primary_storage(parts, pool.admin, storage_request("/refused")), ErrorCode::invalid_argument,
                   "url: the directory cannot be written");
}

TEST_F(UseCase, AStorageWithVolumesStays) {
    const PrimaryStorageId local = uuid_of<PrimaryStorage>("local");
    Volume volume;
    volume.uuid = VolumeId::trusted(test::uuid_text(600));
    volume.name = "data1";
    volume.primary_storage_uuid = local;
    pool.add(volume);
    expect_refusal(delete_primary_storage(parts, pool.admin, {local}), ErrorCode::operation_failed, "1 volume (data1); delete it first");
    EXPECT_EQ(pool.rows<PrimaryStorage>().at(0).state, Enablement::enabled);  // a refusal changes nothing
}

TEST_F(UseCase, AStorageGoesWithItsImageCache) {
    const PrimaryStorage local = pool.rows<PrimaryStorage>().at(0);
    Layer layer;
    layer.uuid = LayerId::trusted(test::uuid_text(601));
    layer.primary_storage_uuid = local.uuid;
    layer.path = "imagecache/x.qcow2";
    layer.sealed = true;
    layer.image_uuid = ImageId::trusted(test::uuid_text(602));
    pool.add(layer);
    storages.storages.at(local.url)->put(layer.path, {});
    EXPECT_EQ(delete_primary_storage(parts, pool.admin, {local.uuid}).value_or("?"), "{}");
    EXPECT_TRUE(storages.storages.at(local.url)->files().empty());
    EXPECT_TRUE(pool.rows<Layer>().empty());
    EXPECT_TRUE(pool.rows<PrimaryStorage>().empty());
    EXPECT_EQ(delete_primary_storage(parts, pool.admin, {local.uuid}).value_or("?"), "{}");
}

TEST_F(UseCase, AttachesAndDetachesAStorage) {
    const PrimaryStorageId local = uuid_of<PrimaryStorage>("local");
    // Attached as it was added; ZStack's own order attaches it then.
    EXPECT_EQ(member(attach_primary_storage_to_cluster(parts, pool.admin, {cluster, local}), "attachedClusterUuids"), "[\"" + cluster.text() + "\"]");
    EXPECT_EQ(member(detach_primary_storage_from_cluster(parts, pool.admin, {cluster, local}), "attachedClusterUuids"), "[]");
    EXPECT_EQ(member(attach_primary_storage_to_cluster(parts, pool.admin, {cluster, local}), "attachedClusterUuids"), "[\"" + cluster.text() + "\"]");
}

TEST_F(UseCase, AStorageThatCannotBeOpenedIsDisconnected) {
    PrimaryStorage storage;
    storage.uuid = PrimaryStorageId::trusted(test::uuid_text(603));
    storage.name = "gone";
    storage.url = "/refused/gone";
    storage.zone_uuid = zone;
    storage.status = Connection::connected;
    pool.add_owned(storage, pool.admin);
    expect_refusal(reconnect_primary_storage(parts, pool.admin, {storage.uuid}), ErrorCode::invalid_argument, "'gone' is now Disconnected");
    EXPECT_EQ(pool.rows<PrimaryStorage>({{"name", std::string("gone")}}).at(0).status, Connection::disconnected);
    EXPECT_EQ(member(reconnect_primary_storage(parts, pool.admin, {uuid_of<PrimaryStorage>("local")}), "status"), "Connected");
}

TEST_F(UseCase, ABackupStorageIsADirectoryOfThisMachine) {
    api::AddImageStoreBackupStorage request;
    request.name = "more";
    request.url = pool.folder().string() + "/more/images";
    const Result<std::string> made = add_image_store_backup_storage(parts, pool.admin, request);
    EXPECT_EQ(member(made, "attachedZoneUuids"), "[\"" + zone.text() + "\"]");
    EXPECT_TRUE(std::filesystem::is_directory(request.url));
    expect_refusal(add_image_store_backup_storage(parts, pool.admin, request), ErrorCode::invalid_argument, "already the backup storage");
    request.url = pool.folder().string() + "/ramet.db";
    expect_refusal(add_image_store_backup_storage(parts, pool.admin, request), ErrorCode::invalid_argument, "url");
    const BackupStorageId uuid = BackupStorageId::trusted(member(made, "uuid"));
    EXPECT_EQ(member(detach_backup_storage_from_zone(parts, pool.admin, {zone, uuid}), "attachedZoneUuids"), "[]");
    EXPECT_TRUE(attach_backup_storage_to_zone(parts, pool.admin, {zone, uuid}).has_value());
    EXPECT_EQ(delete_backup_storage(parts, pool.admin, {uuid}).value_or("?"), "{}");
}

TEST_F(UseCase, OfferingsComeAndGo) {
    api::CreateInstanceOffering request;
    request.name = "large";
    request.cpu_num = 8;
    request.memory_size = 16LL << 30;
    const Result<std::string> made = create_instance_offering(parts, pool.admin, request);
    EXPECT_EQ(member(made, "cpuNum"), "8");
    EXPECT_EQ(delete_instance_offering(parts, pool.admin, {InstanceOfferingId::trusted(member(made, "uuid"))}).value_or("?"), "{}");
    api::CreateDiskOffering disk;
    disk.name = "10G";
    disk.disk_size = 10LL << 30;
    EXPECT_EQ(member(create_disk_offering(parts, pool.admin, disk), "diskSize"), std::to_string(10LL << 30));
    disk.disk_size = 1048577;
    EXPECT_EQ(member(create_disk_offering(parts, pool.admin, disk), "diskSize"), "1049088");  // whole sectors
}

TEST_F(UseCase, ATagIsSetChangedAndTakenOff) {
    const Result<std::string> made = create_system_tag(parts, pool.admin, {"ZoneVO", zone.text(), "host::reservedCpu::2"});
    EXPECT_EQ(member(made, "tag"), "host::reservedCpu::2");
    const TagId uuid = TagId::trusted(member(made, "uuid"));
    expect_refusal(create_system_tag(parts, pool.admin, {"ZoneVO", zone.text(), "host::reservedCpu::2"}), ErrorCode::duplicate_tag, "already has");
    const Result<std::string> changed = update_system_tag(parts, pool.admin, {uuid, "host::reservedCpu::3"});
    EXPECT_EQ(member(changed, "uuid"), uuid.text());
    EXPECT_EQ(member(changed, "tag"), "host::reservedCpu::3");
    expect_refusal(update_system_tag(parts, pool.admin, {uuid, "host::reservedMemory::1G"}), ErrorCode::invalid_argument, "another kind");
    EXPECT_EQ(delete_tag(parts, pool.admin, {uuid}).value_or("?"), "{}");
    EXPECT_EQ(delete_tag(parts, pool.admin, {uuid}).value_or("?"), "{}");
    EXPECT_TRUE(pool.rows<SystemTag>().empty());
}

TEST_F(UseCase, ATagNeedsAResourceOfItsTypeAndOfTheCaller) {
    expect_refusal(create_system_tag(parts, pool.admin, {"NonsenseVO", zone.text(), "packer"}), ErrorCode::invalid_argument, "resourceType");
    expect_refusal(create_system_tag(parts, pool.admin, {"ZoneVO", test::uuid_text(999), "host::reservedCpu::2"}), ErrorCode::not_found, "uuid");
    expect_refusal(create_system_tag(parts, pool.admin, {"ClusterVO", zone.text(), "host::reservedCpu::2"}), ErrorCode::not_found, "uuid");
    EXPECT_FALSE(create_user_tag(parts, pool.alice, {"ZoneVO", zone.text(), "mine"}).has_value());
    EXPECT_EQ(member(create_user_tag(parts, pool.admin, {"ZoneVO", zone.text(), "any text"}), "tag"), "any text");
}

TEST_F(UseCase, SeveralTagsArriveTogetherOrNotAtAll) {
    expect_refusal(create_system_tags(parts, pool.admin, {zone.text(), {"host::reservedCpu::2", "nonsense"}}), ErrorCode::invalid_argument, "tags");
    EXPECT_TRUE(pool.rows<SystemTag>().empty());
    const Result<std::string> made = create_system_tags(parts, pool.admin, {zone.text(), {"host::reservedCpu::2", "host::reservedMemory::1G"}});
    ASSERT_TRUE(made.has_value());
    EXPECT_TRUE(made->starts_with("{\"inventories\":[{"));
    EXPECT_EQ(pool.rows<SystemTag>().size(), 2U);
}

TEST_F(UseCase, ATagOfTheServerItselfStays) {
    SystemTag tag;
    tag.uuid = TagId::trusted(test::uuid_text(604));
    tag.resource_uuid = zone.text();
    tag.resource_type = "ZoneVO";
    tag.tag = "host::reservedCpu::1";
    tag.inherent = true;
    pool.add(tag);
    expect_refusal(delete_tag(parts, pool.admin, {tag.uuid}), ErrorCode::operation_failed, "cannot be deleted");
}

TEST_F(UseCase, ASettingIsCheckedAndCanBeReset) {
    EXPECT_EQ(member(update_global_config(parts, pool.admin, {"vm", "deletionPolicy", "Direct"}), "value"), "Direct");
    EXPECT_EQ(member(update_global_config(parts, pool.admin, {"vm", "deletionPolicy", std::nullopt}), "value"), "Delay");
    expect_refusal(update_global_config(parts, pool.admin, {"vm", "deletionPolicy", "Sometimes"}), ErrorCode::invalid_argument,
                   "Direct, Delay or Never");
    expect_refusal(update_global_config(parts, pool.admin, {"vm", "expungePeriod", "soon"}), ErrorCode::invalid_argument, "a number");
    expect_refusal(update_global_config(parts, pool.admin, {"vm", "expungePeriod", "0"}), ErrorCode::invalid_argument, "a number");
    expect_refusal(update_global_config(parts, pool.admin, {"kvm", "dataVolume.maxNum", "25"}), ErrorCode::invalid_argument, "1 to 24");
    expect_refusal(update_global_config(parts, pool.admin, {"host", "cpu.overProvisioning.ratio", "0.5"}), ErrorCode::invalid_argument, "1.5");
    expect_refusal(update_global_config(parts, pool.admin, {"mevoco", "overProvisioning.memory", "nan"}), ErrorCode::invalid_argument, "1.5");
    expect_refusal(update_global_config(parts, pool.admin, {"mevoco", "overProvisioning.primaryStorage", "0.5"}), ErrorCode::invalid_argument,
                   "0 for no bound");
    EXPECT_TRUE(update_global_config(parts, pool.admin, {"mevoco", "overProvisioning.primaryStorage", "0"}).has_value());
    expect_refusal(update_global_config(parts, pool.admin, {"vm", "nonsense", "1"}), ErrorCode::not_found, "vm.nonsense");
}

TEST_F(UseCase, TheServerTellsAboutItself) {
    EXPECT_EQ(member(get_version(parts, pool.alice, {}), "version"), RAMET_VERSION);
    EXPECT_EQ(member(get_current_time(parts, pool.alice, {}), "currentTime"), R"({"MillionSeconds":1700000000000,"Seconds":1700000000})");
    EXPECT_NE(member(get_support_apis(parts, pool.alice, {}), "supportApis").find("\"CreateZone\""), std::string::npos);
    EXPECT_EQ(member(is_management_node_ready(parts, pool.alice, {}), "managementNodeId"), management_node_uuid(parts.data_dir));
    EXPECT_EQ(member(get_platform_time_zone(parts, pool.alice, {}), "offset").size(), 6U);
}

TEST_F(UseCase, TheServerProcessesAreSearchedLikeEverythingElse) {
    offer_management_nodes(parts);
    const auto nodes = [&](std::vector<std::string> conditions, const std::function<void(query::Parameters&)>& edit = {}) {
        api::MessageInfo message;
        message.query_row = &describe<api::ManagementNode>;
        query::Parameters parameters;
        parameters.conditions = std::move(conditions);
        if (edit) edit(parameters);
        const Result<std::string> body = inventory.query(message, parameters, pool.alice);
        return body.has_value() ? *body : body.error().message;
    };
    const std::string uuid = management_node_uuid(parts.data_dir);
    EXPECT_TRUE(nodes({}).starts_with("{\"inventories\":[{\"uuid\":\"" + uuid));
    EXPECT_TRUE(nodes({"uuid=" + uuid, "hostName~=%", "joinDate>1"}).starts_with("{\"inventories\":[{"));
    EXPECT_TRUE(nodes({"hostName=no such host"}).starts_with("{\"inventories\":[],"));
    EXPECT_TRUE(nodes({}, [](auto& parameters) { parameters.count = true; }).starts_with("{\"total\":1,"));
    EXPECT_TRUE(nodes({}, [&](auto& parameters) { parameters.fields = {"uuid"}; }).starts_with("{\"inventories\":[{\"uuid\":\"" + uuid + "\"}]"));
    EXPECT_TRUE(nodes({}, [](auto& parameters) { parameters.start = 1; }).starts_with("{\"inventories\":[],"));
    EXPECT_TRUE(nodes({}, [](auto& parameters) { parameters.uuid = test::uuid_text(999); }).starts_with("{\"inventories\":[],"));
    EXPECT_NE(nodes({"nonsense=1"}).find("'nonsense' is not a field of ManagementNodeInventory"), std::string::npos);
}

}  // namespace
}  // namespace ramet::resources

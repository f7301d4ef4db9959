#include "api/messages_resources_kinds.hpp"

#include <cctype>
#include <deque>
#include <mutex>

namespace ramet::api::kinds {
namespace {

std::string lower_first(std::string text) {
    text.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
    return text;
}

std::string_view reply_example(const ResourceKind& kind, Answers answers) {
    return answers == Answers::inventory ? inventory_body(kind) : std::string_view("{}");
}

}  // namespace

std::string_view keep(std::string text) {
    static std::mutex mutex;
    static std::deque<std::string> kept;  // a deque: growing moves no text
    const std::lock_guard lock(mutex);
    return kept.emplace_back(std::move(text));
}

std::string_view inventory_body(const ResourceKind& kind) { return keep("{\"inventory\":" + std::string(kind.example) + "}"); }
std::string_view inventories_body(const ResourceKind& kind) { return keep("{\"inventories\":[" + std::string(kind.example) + "]}"); }

MessageInfo query_message(const ResourceKind& kind) {
    MessageInfo info;
    info.name = keep("Query" + std::string(kind.name));
    info.category = kind.category;
    info.method = Method::get;
    info.path = kind.path;
    info.doc = keep("Finds every " + std::string(kind.noun) + " that satisfies all conditions q; PATH/{uuid} finds one.");
    info.reply_key = "inventories";
    info.reply = kind.row;
    info.query_row = kind.row;
    info.request_example = "{}";
    info.response_example = inventories_body(kind);
    return info;
}

MessageInfo resource_call(const ResourceKind& kind, const CallShape& shape, DescribeFunction request, std::shared_ptr<void> (*make)()) {
    MessageInfo info;
    info.name = shape.name;
    info.category = kind.category;
    info.method = shape.method;
    info.path = shape.path;
    info.body_key = shape.body_key;
    info.completion = Completion::async;
    info.access = kind.access;
    info.doc = shape.doc;
    info.reply_key = shape.answers == Answers::inventory ? "inventory" : "";
    info.request = request;
    info.reply = shape.answers == Answers::inventory ? kind.row : nullptr;
    info.request_example = shape.request_example;
    info.response_example = reply_example(kind, shape.answers);
    info.make = make;
    return info;
}

MessageInfo update_message(const ResourceKind& kind, std::string_view request_example, DescribeFunction request, std::shared_ptr<void> (*make)()) {
    const std::string name = "Update" + std::string(kind.name);
    return resource_call(kind,
                         {.name = keep(name),
                          .doc = keep("Changes the record of a " + std::string(kind.noun) + "; fields left out stay as they are."),
                          .method = Method::put,
                          .path = keep(std::string(kind.path) + "/{uuid}/actions"),
                          .body_key = keep(lower_first(name)),
                          .request_example = request_example},
                         request, make);
}

MessageInfo state_message(const ResourceKind& kind, DescribeFunction request, std::shared_ptr<void> (*make)()) {
    const std::string name = "Change" + std::string(kind.name) + "State";
    return resource_call(kind,
                         {.name = keep(name),
                          .doc = keep("Enables or disables a " + std::string(kind.noun) + "; a disabled one takes nothing new."),
                          .method = Method::put,
                          .path = keep(std::string(kind.path) + "/{uuid}/actions"),
                          .body_key = keep(lower_first(name)),
                          .request_example = R"({"stateEvent":"disable"})"},
                         request, make);
}

MessageInfo reconnect_message(const ResourceKind& kind, DescribeFunction request, std::shared_ptr<void> (*make)()) {
    const std::string name = "Reconnect" + std::string(kind.name);
    return resource_call(kind,
                         {.name = keep(name),
                          .doc = keep("Checks a " + std::string(kind.noun) + " again and brings its status up to date."),
                          .method = Method::put,
                          .path = keep(std::string(kind.path) + "/{uuid}/actions"),
                          .body_key = keep(lower_first(name))},
                         request, make);
}

MessageInfo delete_message(const ResourceKind& kind, std::string_view doc, DescribeFunction request, std::shared_ptr<void> (*make)()) {
    return resource_call(kind,
                         {.name = keep("Delete" + std::string(kind.name)),
                          .doc = doc,
                          .method = Method::del,
                          .path = keep(std::string(kind.path) + "/{uuid}"),
                          .body_key = "",
                          .answers = Answers::nothing},
                         request, make);
}

// --- how each resource looks
#define DATES R"("createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"})"

const ResourceKind& zone() {
    static const ResourceKind kind{
        "Zone",
        "zone",
        "/zones",
        "Resource Center/Resource Pool/Zone Operations",
        R"({"uuid":"d886a09330e13282b7a320a98d0a53ec","name":"zone1","description":"the first room","state":"Enabled","type":"zstack","isDefault":true,)" DATES,
        &describe<Zone>};
    return kind;
}
const ResourceKind& cluster() {
    static const ResourceKind kind{"Cluster",
                                   "cluster",
                                   "/clusters",
                                   "Resource Center/Resource Pool/Cluster Operations",
                                   R"({"uuid":"f6f07dff7ede3b8cac7c8595a1698832","name":"cluster1","state":"Enabled","hypervisorType":"KVM",)"
                                   R"("zoneUuid":"d886a09330e13282b7a320a98d0a53ec","type":"zstack","architecture":"x86_64",)" DATES,
                                   &describe<Cluster>};
    return kind;
}
const ResourceKind& host() {
    static const ResourceKind kind{
        "Host",
        "host",
        "/hosts",
        "Resource Center/Resource Pool/Host Operations",
        R"({"uuid":"70c0f5223d083dfea2f1a02f69906306","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","clusterUuid":"f6f07dff7ede3b8cac7c8595a1698832",)"
        R"("name":"host1","managementIp":"127.0.0.1","hypervisorType":"KVM","state":"Enabled","status":"Connected","totalCpuCapacity":20,)"
        R"("availableCpuCapacity":18,"totalMemoryCapacity":8589934592,"availableMemoryCapacity":8321499136,"cpuSockets":1,"cpuNum":2,"architecture":"x86_64",)" DATES,
        &describe<Host>};
    return kind;
}
const ResourceKind& primary_storage() {
    static const ResourceKind kind{
        "PrimaryStorage",
        "primary storage",
        "/primary-storage",
        "Resource Center/Resource Pool/Primary Storage Operations",
        R"({"uuid":"c2a27c5268493a5cba84b94e37b86b4d","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","name":"local","url":"/var/lib/ramet/primary",)"
        R"("type":"LocalStorage","state":"Enabled","status":"Connected","mountPath":"/var/lib/ramet/primary","totalCapacity":107374182400,)"
        R"("availableCapacity":85899345920,"totalPhysicalCapacity":107374182400,"availablePhysicalCapacity":85899345920,)"
        R"("attachedClusterUuids":["f6f07dff7ede3b8cac7c8595a1698832"],)" DATES,
        &describe<PrimaryStorage>};
    return kind;
}
const ResourceKind& backup_storage() {
    static const ResourceKind kind{
        "BackupStorage",
        "backup storage",
        "/backup-storage",
        "Resource Center/Resource Pool/Backup Storage Operations",
        R"({"uuid":"6a0ea6ab9c2a3b7f9a0f2b3c4d5e6f70","name":"images","url":"/var/lib/ramet/images","type":"ImageStoreBackupStorage","state":"Enabled",)"
        R"("status":"Connected","hostname":"127.0.0.1","totalCapacity":107374182400,"availableCapacity":85899345920,)"
        R"("attachedZoneUuids":["d886a09330e13282b7a320a98d0a53ec"],)" DATES,
        &describe<BackupStorage>};
    return kind;
}
const ResourceKind& image() {
    static const ResourceKind kind{
        "Image",
        "image",
        "/images",
        "Resource Center/Resource Pool/Image Operations",
        R"({"uuid":"3b7ff22eb60d38318835817ba6a2b6a2","name":"debian12","state":"Enabled","status":"Ready","size":2147483648,"actualSize":402653184,)"
        R"("md5Sum":"5d41402abc4b2a76b9719d911017c592","url":"https://images.example.com/debian12.qcow2","mediaType":"RootVolumeTemplate","type":"zstack",)"
        R"("platform":"Linux","architecture":"x86_64","format":"qcow2","system":false,"virtio":true,"backupStorageRefs":[{)"
        R"("imageUuid":"3b7ff22eb60d38318835817ba6a2b6a2","backupStorageUuid":"6a0ea6ab9c2a3b7f9a0f2b3c4d5e6f70",)"
        R"("installPath":"images/3b7ff22eb60d38318835817ba6a2b6a2/3b7ff22eb60d38318835817ba6a2b6a2.qcow2","status":"Ready",)" DATES "]," DATES,
        &describe<Image>,
        Access::session};
    return kind;
}
const ResourceKind& instance_offering() {
    static const ResourceKind kind{
        "InstanceOffering",
        "instance offering",
        "/instance-offerings",
        "Resource Center/Resource Pool/Instance Offering Operations",
        R"({"uuid":"001537d10c433857a7a98ae0a362c910","name":"small","cpuNum":1,"cpuSpeed":0,"memorySize":536870912,"reservedMemorySize":0,"type":"UserVm",)"
        R"("allocatorStrategy":"LeastVmPreferredHostAllocatorStrategy","sortKey":0,"state":"Enabled",)" DATES,
        &describe<InstanceOffering>};
    return kind;
}
const ResourceKind& disk_offering() {
    static const ResourceKind kind{
        "DiskOffering",
        "disk offering",
        "/disk-offerings",
        "Resource Center/Resource Pool/Disk Offering Operations",
        R"({"uuid":"358e00e7245a39b9aa1c1849d6ba9701","name":"1G","diskSize":1073741824,"sortKey":0,"state":"Enabled","type":"zstack",)"
        R"("allocatorStrategy":"DefaultPrimaryStorageAllocationStrategy",)" DATES,
        &describe<DiskOffering>};
    return kind;
}
const ResourceKind& l2_network() {
    static const ResourceKind kind{
        "L2Network",
        "L2 network",
        "/l2-networks",
        "Resource Center/Network/L2 Network Operations",
        R"({"uuid":"4b3e5d7a9c1f4e2b8a6d0c9f7e5b3a12","name":"default","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","physicalInterface":"ramet0",)"
        R"("type":"L2NoVlanNetwork","vSwitchType":"LinuxBridge","virtualNetworkId":0,"attachedClusterUuids":["f6f07dff7ede3b8cac7c8595a1698832"],)" DATES,
        &describe<L2Network>};
    return kind;
}
const ResourceKind& l3_network() {
    static const ResourceKind kind{
        "L3Network",
        "L3 network",
        "/l3-networks",
        "Resource Center/Network/L3 Network Operations",
        R"({"uuid":"2ac50b85591b3e87b2686c529cf062f9","name":"default","type":"L3BasicNetwork","zoneUuid":"d886a09330e13282b7a320a98d0a53ec",)"
        R"("l2NetworkUuid":"4b3e5d7a9c1f4e2b8a6d0c9f7e5b3a12","state":"Enabled","system":false,"category":"Private","ipVersion":4,"enableIPAM":true,)"
        R"("dns":["10.77.0.1"],"ipRanges":[{"uuid":"5f1e0a9b3c2d4e6f8a7b9c0d1e2f3a45","l3NetworkUuid":"2ac50b85591b3e87b2686c529cf062f9","name":"default",)"
        R"("startIp":"10.77.0.10","endIp":"10.77.15.250","netmask":"255.255.240.0","gateway":"10.77.0.1","networkCidr":"10.77.0.0/20","ipVersion":4,)"
        R"("prefixLen":20,"ipRangeType":"Normal",)" DATES "]," DATES,
        &describe<L3Network>};
    return kind;
}
const ResourceKind& ip_range() {
    static const ResourceKind kind{
        "IpRange",
        "IP range",
        "/l3-networks/ip-ranges",
        "Resource Center/Network/L3 Network Operations",
        R"({"uuid":"5f1e0a9b3c2d4e6f8a7b9c0d1e2f3a45","l3NetworkUuid":"2ac50b85591b3e87b2686c529cf062f9","name":"default","startIp":"10.77.0.10",)"
        R"("endIp":"10.77.15.250","netmask":"255.255.240.0","gateway":"10.77.0.1","networkCidr":"10.77.0.0/20","ipVersion":4,"prefixLen":20,)"
        R"("ipRangeType":"Normal",)" DATES,
        &describe<IpRange>};
    return kind;
}
const ResourceKind& used_ip() {
    static const ResourceKind kind{
        "IpAddress",
        "used IP address",
        "/l3-networks/ip-address",
        "Resource Center/Network/L3 Network Operations",
        R"({"uuid":"7d2c1b0a9f8e4d6c8b5a4f3e2d1c0b9a","ipRangeUuid":"5f1e0a9b3c2d4e6f8a7b9c0d1e2f3a45","l3NetworkUuid":"2ac50b85591b3e87b2686c529cf062f9",)"
        R"("ipVersion":4,"ip":"10.77.3.17","netmask":"255.255.240.0","gateway":"10.77.0.1","ipInLong":172819217,)"
        R"("vmNicUuid":"9a8b7c6d5e4f4a3b8c2d1e0f9a8b7c6d",)" DATES,
        &describe<UsedIp>};
    return kind;
}
const ResourceKind& system_tag() {
    static const ResourceKind kind{
        "SystemTag",
        "system tag",
        "/system-tags",
        "Resource Center/Tags/Tag Operations",
        R"({"uuid":"8c7d6e5f4a3b4c2d9e1f0a9b8c7d6e5f","resourceUuid":"327b60d6b8cd31489ade6f4830bcec16","resourceType":"VmInstanceVO",)"
        R"("tag":"hostname::web01","type":"System","inherent":false,)" DATES,
        &describe<SystemTag>,
        Access::session};
    return kind;
}
const ResourceKind& user_tag() {
    static const ResourceKind kind{
        "UserTag",
        "user tag",
        "/user-tags",
        "Resource Center/Tags/Tag Operations",
        R"({"uuid":"1a2b3c4d5e6f4a7b8c9d0e1f2a3b4c5d","resourceUuid":"327b60d6b8cd31489ade6f4830bcec16","resourceType":"VmInstanceVO",)"
        R"("tag":"team::build","type":"User",)" DATES,
        &describe<UserTag>,
        Access::session};
    return kind;
}
const ResourceKind& global_config() {
    static const ResourceKind kind{
        "GlobalConfig",
        "global setting",
        "/global-configurations",
        "Resource Center/Settings/Global Setting Operations",
        R"({"name":"deletionPolicy","category":"vm","description":"What destroying a VM instance does.","defaultValue":"Delay","value":"Delay"})",
        &describe<GlobalConfig>};
    return kind;
}
#undef DATES

}  // namespace ramet::api::kinds

// CloneVmInstance: the request, its NIC parameters and its result (contract 3.1, 3.2).
#include <array>

#include "api/messages_vm.hpp"
#include "api/messages_vm_examples.hpp"
#include "base/limits.hpp"

namespace ramet {
namespace {

constexpr std::array<std::string_view, 3> kStrategies{"InstantStart", "JustCreate", "CreateStopped"};
constexpr std::array<std::string_view, 2> kNicStates{"enable", "disable"};
constexpr std::array<std::string_view, 3> kNicDrivers{"virtio", "e1000", "rtl8139"};
constexpr std::array<std::string_view, 4> kCopyModes{"auto", "linked", "reflink", "full"};
constexpr std::array<std::string_view, 3> kQuiesceModes{"never", "auto", "require"};
constexpr std::array<std::string_view, 5> kConsistencies{"filesystem", "crash", "paused", "stopped", "memory"};
constexpr std::array<std::string_view, 2> kIdentityModes{"reset", "keep"};
constexpr std::array<std::string_view, 4> kWaitForModes{"created", "running", "agent", "ip"};

}  // namespace

template <> const TypeInfo& describe<api::VmNicParam>() {
    using api::VmNicParam;
    static const TypeInfo info = object<VmNicParam>(
        "VmNicParam", "What one NIC of a VM should be.",
        field<&VmNicParam::l3_network_uuid>("l3NetworkUuid", "The L3 network of the NIC; one of the source's networks when cloning.",
                                            {.required = true, .names_a = "L3NetworkVO"}),
        field<&VmNicParam::mac>("mac", "The MAC address; unicast and unused. Only for one clone.",
                                {.characters_max = 17, .example = "fa:5c:10:22:41:00"}),
        field<&VmNicParam::ip>("ip", "The IPv4 address; free and inside a range of the network. Only for one clone.",
                               {.characters_max = 15, .example = "10.77.0.20"}),
        field<&VmNicParam::netmask>("netmask", "The IPv4 netmask; that of the range.", {.characters_max = 15}),
        field<&VmNicParam::gateway>("gateway", "The IPv4 gateway; that of the range.", {.characters_max = 15}),
        field<&VmNicParam::ip6>("ip6", "An IPv6 address. Not supported: IPv4 networks only.", {.characters_max = 45}),
        field<&VmNicParam::prefix6>("prefix6", "The IPv6 prefix length. Not supported.", {.characters_max = 3}),
        field<&VmNicParam::gateway6>("gateway6", "The IPv6 gateway. Not supported.", {.characters_max = 45}),
        field<&VmNicParam::meta_data>("metaData", "Free text kept with the NIC.", {.characters_max = limits::kTextCharactersMax}),
        field<&VmNicParam::driver_type>("driverType", "The model the guest sees.", {.one_of = kNicDrivers, .fallback = "virtio"}),
        field<&VmNicParam::vm_nic_type>("VmNicType", "The kind of NIC; VNIC.", {.characters_max = 32, .fallback = "VNIC"}),
        field<&VmNicParam::state>("state", "disable starts the NIC with its link down.", {.one_of = kNicStates, .fallback = "enable"}),
        field<&VmNicParam::outbound_bandwidth>("outboundBandwidth", "Limit of what the VM sends, bit/s.", {.at_least = 8192, .at_most = 32212254720}),
        field<&VmNicParam::inbound_bandwidth>("inboundBandwidth", "Limit of what the VM receives, bit/s.",
                                              {.at_least = 8192, .at_most = 32212254720}),
        field<&VmNicParam::multi_queue_num>("multiQueueNum", "Queues of the NIC.", {.at_least = 1, .at_most = 256}),
        field<&VmNicParam::is_default_nic>("isDefaultNic", "The VM's default network is this NIC's."),
        field<&VmNicParam::sg_uuids>("sgUuids", "Security groups. Not supported: must be empty.", {.items_max = 16}));
    return info;
}

namespace {

// What ZStack has.
TypeInfo zstack_clone() {
    using api::CloneVmInstance;
    TypeInfo info = object<CloneVmInstance>(
        "CloneVmInstance", "Makes clones of a VM instance: one per name.",
        field<&CloneVmInstance::vm_instance_uuid>("vmInstanceUuid", "The VM instance UUID.",
                                                  {.required = true, .in_path = true, .names_a = "VmInstanceVO"}),
        field<&CloneVmInstance::strategy>(
            "strategy", "What becomes of the clones: InstantStart boots them, CreateStopped leaves them stopped, JustCreate leaves them in Created.",
            {.one_of = kStrategies, .fallback = "InstantStart", .example = "InstantStart"}),
        field<&CloneVmInstance::names>(
            "names", "The VM instance name list: one clone per name, in this order.",
            {.required = true, .characters_max = limits::kNameCharactersMax, .items_min = 1, .items_max = limits::kNamesMax, .example = "web02"}),
        field<&CloneVmInstance::full>("full", "Whether to clone the data volumes that are attached to the VM instance.",
                                      {.fallback = "false", .example = "false", .since = "2.5.0"}),
        field<&CloneVmInstance::primary_storage_uuid_for_root_volume>(
            "primaryStorageUuidForRootVolume", "Where the root volumes go. Another storage than the source's means a real copy.",
            {.names_a = "PrimaryStorageVO"}),
        field<&CloneVmInstance::primary_storage_uuid_for_data_volume>(
            "primaryStorageUuidForDataVolume", "Where the data volumes go (with full). Another storage than the source's means a real copy.",
            {.names_a = "PrimaryStorageVO"}),
        field<&CloneVmInstance::root_volume_system_tags>(
            "rootVolumeSystemTags", "System tags of each root volume.",
            {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax, .example = "volumeProvisioningStrategy::ThinProvisioning"}),
        field<&CloneVmInstance::data_volume_system_tags>("dataVolumeSystemTags", "System tags of each data volume.",
                                                         {.characters_max = limits::kTextCharactersMax,
                                                          .items_max = limits::kTagsMax,
                                                          .example = "volumeProvisioningStrategy::ThickProvisioning"}),
        field<&CloneVmInstance::cluster_uuid>("clusterUuid", "The cluster UUID: clones run on a host of it.", {.names_a = "ClusterVO"}),
        field<&CloneVmInstance::host_uuid>("hostUuid", "The host UUID: clones run on it.", {.names_a = "HostVO"}),
        field<&CloneVmInstance::vm_nic_params>("vmNicParams",
                                               "The VM NIC parameters: objects, JSON strings of objects, or one JSON string of the list.",
                                               {.loose_shape = true, .items_max = limits::kNicParamsMax, .since = "5.1.8"}),
        field<&CloneVmInstance::system_tags>("systemTags", "System tags of each clone.",
                                             {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}),
        field<&CloneVmInstance::user_tags>("userTags", "User tags of each clone.",
                                           {.characters_max = limits::kTextCharactersMax, .items_max = limits::kTagsMax}));
    return info;
}

// Ours: all optional, so that every ZStack client stays valid.
std::vector<FieldInfo> ramet_clone_fields() {
    using api::CloneVmInstance;
    return {
        field<&CloneVmInstance::checkpoint_uuid>(
            "checkpointUuid",
            "Clones are made from this checkpoint of the VM instance; the VM instance itself may be in any state and is not touched.",
            {.names_a = "CheckpointVO", .since = "ramet 0.1"}),
        field<&CloneVmInstance::volume_snapshot_group_uuid>(
            "volumeSnapshotGroupUuid",
            "Clones are made from this group of snapshots of the VM instance, with the VM instance's present settings; it is not touched.",
            {.names_a = "VolumeSnapshotGroupVO", .since = "ramet 0.1"}),
        field<&CloneVmInstance::memory>("memory",
                                        "Clones resume from the source's very instant, memory included. The source is Running or Paused, or a "
                                        "checkpoint that was made with memory.",
                                        {.fallback = "false", .since = "ramet 0.1"}),
        field<&CloneVmInstance::copy>(
            "copy",
            "How disks are cloned: auto chooses, linked shares blocks by layers, reflink by the file system, full copies. A choice that "
            "cannot be had is an error.",
            {.one_of = kCopyModes, .fallback = "auto", .since = "ramet 0.1"}),
        field<&CloneVmInstance::quiesce>(
            "quiesce", "Whether the guest's file systems are frozen for the capture: never; auto, if its agent answers; require, or the call fails.",
            {.one_of = kQuiesceModes, .fallback = "auto", .since = "ramet 0.1"}),
        field<&CloneVmInstance::identity>("identity", "reset gives each clone an identity of its own; keep leaves it, with every link down.",
                                          {.one_of = kIdentityModes, .fallback = "reset", .since = "ramet 0.1"}),
        field<&CloneVmInstance::atomic>("atomic", "All clones or none: the first failure undoes all.", {.fallback = "false", .since = "ramet 0.1"}),
        field<&CloneVmInstance::wait_for>(
            "waitFor",
            "When a clone counts as made: created (its disks are made and, with InstantStart, its start is asked for in "
            "a job of its own: a start that fails leaves the clone Stopped), running, agent (its guest agent answers), "
            "ip (the guest answers on its address). agent and ip need InstantStart.",
            {.one_of = kWaitForModes, .fallback = "running", .since = "ramet 0.1"}),
        field<&CloneVmInstance::wait_seconds>("waitForSeconds",
                                              "How long a guest is waited for; after it the clone is undone and its entry is an error.",
                                              {.at_least = 1, .at_most = 3600, .fallback = "300", .since = "ramet 0.1"}),
        field<&CloneVmInstance::dry_run>(
            "dryRun", "Answers at once with result.plan, what the call would do; nothing changes. It fails exactly where the call would.",
            {.fallback = "false", .since = "ramet 0.1"}),
        field<&CloneVmInstance::expires_in>("expiresIn", "The clones' lease in seconds; after it they are destroyed.",
                                            {.at_least = 1, .at_most = 315360000, .since = "ramet 0.1"}),
        field<&CloneVmInstance::bandwidth>("bandwidth", "Limit of what the job's copies read and write, bytes per second.",
                                           {.at_least = 1 << 20, .since = "ramet 0.1"})};
}

}  // namespace

template <> const TypeInfo& describe<api::CloneVmInstance>() {
    static const TypeInfo info = [] {
        TypeInfo all = zstack_clone();
        for (const FieldInfo& field : ramet_clone_fields()) all.fields.push_back(field);
        return all;
    }();
    return info;
}

template <> const TypeInfo& describe<api::ErrorInventory>() {
    using api::ErrorInventory;
    static const TypeInfo info = row<ErrorInventory>({"", "", "org.zstack.header.errorcode.ErrorCode"}, "ErrorCode", "Why this clone was not made.",
                                                     field<&ErrorInventory::code>("code", "The error code."),
                                                     field<&ErrorInventory::description>("description", "The fixed text of the code."),
                                                     field<&ErrorInventory::details>("details", "What went wrong here, with the clone's name."));
    return info;
}

template <> const TypeInfo& describe<api::CloneVmInstanceInventory>() {
    using api::CloneVmInstanceInventory;
    static const TypeInfo info = row<CloneVmInstanceInventory>({"", "", "org.zstack.header.vm.CloneVmInstanceInventory"}, "CloneVmInstanceInventory",
                                                               "One clone: its inventory, or the error that prevented it.",
                                                               field<&CloneVmInstanceInventory::inventory>("inventory", "The clone."),
                                                               field<&CloneVmInstanceInventory::error>("error", "The error."));
    return info;
}

template <> const TypeInfo& describe<api::CloneCaptureInventory>() {
    using api::CloneCaptureInventory;
    static const TypeInfo info = object<CloneCaptureInventory>(
        "CloneCapture", "The instant of the source that all clones of the call are made from.",
        field<&CloneCaptureInventory::source_state>("sourceState", "The source's state at it."),
        field<&CloneCaptureInventory::consistency>(
            "consistency",
            "The level that quiesce reached. filesystem: the guest had written everything out and was frozen; crash: as after a power cut; paused: "
            "the same, of a paused source; stopped: the source was off; memory: the clones go on from the memory of the same instant.",
            {.one_of = kConsistencies}),
        field<&CloneCaptureInventory::consistency_reason>("consistencyReason", "Why the file systems were not frozen; absent when they were."),
        field<&CloneCaptureInventory::frozen_file_systems>("frozenFileSystems", "How many file systems were frozen, as the guest agent says."),
        field<&CloneCaptureInventory::frozen_microseconds>("frozenMicroseconds", "How long they were."),
        field<&CloneCaptureInventory::paused_microseconds>("pausedMicroseconds", "How long the source's vCPUs stood."),
        field<&CloneCaptureInventory::layers_reused>("layersReused", "Nothing was written since the last capture: that instant serves again."));
    return info;
}

template <> const TypeInfo& describe<api::CloneVmInstanceResults>() {
    using api::CloneVmInstanceResults;
    static const TypeInfo info = row<CloneVmInstanceResults>(
        {"", "", "org.zstack.header.vm.CloneVmInstanceResults"}, "CloneVmInstanceResults", "What became of each name, in the order of the names.",
        field<&CloneVmInstanceResults::number_of_cloned_vm>("numberOfClonedVm", "How many clones were made."),
        field<&CloneVmInstanceResults::inventories>("inventories", "One entry per name."),
        field<&CloneVmInstanceResults::capture>(
            "capture", "How the source was captured; absent for clones of a checkpoint or of snapshots, which capture nothing.",
            {.since = "ramet 0.1"}),
        field<&CloneVmInstanceResults::plan>("plan", "Of a dry run: what would happen.", {.since = "ramet 0.1"}));
    return info;
}

namespace api {

template <> const MessageInfo& message<CloneVmInstance>() {
    static const MessageInfo info{
        .name = "CloneVmInstance",
        .category = "Resource Center/Resource Pool/VM Instance Operations",
        .method = Method::put,
        .path = "/vm-instances/{vmInstanceUuid}/actions",
        .body_key = "cloneVmInstance",
        .completion = Completion::async,
        .doc =
            "Clones a VM instance that is Running, Paused or Stopped into one VM instance per name, each with an identity of its own. "
            "The answer comes when the clones are made, or as a job when that takes long or is asked for.",
        .reply_key = "result",
        .request = &describe<CloneVmInstance>,
        .reply = &describe<CloneVmInstanceResults>,
        .request_example = examples::kCloneRequest,
        .response_example = examples::kCloneReply,
        .make = &make_request<CloneVmInstance>};
    return info;
}

}  // namespace api
}  // namespace ramet

#include "resources/tag_table.hpp"

#include <array>

namespace ramet::resources {
namespace {

constexpr TagTraits kSingle{.single = true};
constexpr TagTraits kOwn{.cloneable = false};  // says how this very resource was made
constexpr TagTraits kOnce{.cloneable = false, .ephemeral = true};
constexpr TagTraits kAdmin{.admin_only = true};

constexpr TagPattern kVm[]{{"hostname::{hostname}", kSingle},
                           {"staticIp::{l3NetworkUuid}::{staticIp}"},
                           {"customMac::{l3NetworkUuid}::{mac}"},
                           {"customNicUuid::{l3NetworkUuid}::{nicUuid}", kOwn},
                           {"ipv4Gateway::{l3NetworkUuid}::{ipv4}"},
                           {"ipv6Gateway::{l3NetworkUuid}::{ipv6Gateway}"},
                           {"ipv4Netmask::{l3NetworkUuid}::{ipv4}"},
                           {"ipv6Prefix::{l3NetworkUuid}::{ipv6Prefix}"},
                           {"userdata::{userdata}", kSingle},
                           {"sshkey::{sshkey}", kSingle},
                           {"rootPassword::{rootPassword}", kSingle},
                           {"consolePassword::{consolePassword}", kSingle},
                           {"bootOrder::{bootOrder}", {.admin_only = true, .single = true}},
                           {"bootOrderOnce::{bootOrderOnce}", kSingle},
                           {"cdromBootOnce::{cdromBootOnce}", kSingle},
                           {"bootMode::{bootMode}", kSingle},
                           {"tpm::{tpmVersion}", kSingle},     // ours: the VM has a TPM
                           {"tpmPolicy::{tpmPolicy}", kOnce},  // ours: what becomes of the source's TPM in a clone
                           {"usbRedirect::{usbRedirect}", kSingle},
                           {"RDPEnable::{RDPEnable}", kSingle},
                           {"VDIMonitorNumber::{VDIMonitorNumber}", kSingle},
                           {"qxlMemory::{ram}::{vram}::{vgamem}", kSingle},
                           {"soundType::{soundType}", kSingle},
                           {"instanceOfferingOnlinechange::{instanceOfferingOnlinechange}", kSingle},
                           {"pendingCapacityChange::cpuNum::{cpuNum}::cpuSpeed::{cpuSpeed}::memory::{memory}", kOwn},
                           {"qemuga"},
                           {"additionalQmp", kAdmin},
                           {"packer"},
                           {"numa"},
                           {"driver::virtio"},
                           {"GuestTools::{guestTools}", kSingle},
                           {"marketplace::true"},
                           {"cdroms::{cdrom1}::{cdrom2}::{cdrom3}", kOwn},
                           {"createWithoutCdRom::{createWithoutCdRom}", kOnce},
                           {"cdromUuid::{cdromUuid}", kOwn},
                           {"cleanTraffic::{cleanTraffic}", kSingle},
                           {"nicMultiQueueNum::{l3NetworkUuid}::{multiQueueNum}"},
                           {"vmMultipleGateway::{vmMultipleGateway}"},
                           {"vRingBufferSize::{rxBufferSize}::{txBufferSize}", kSingle},
                           {"l3::{l3NetworkUuid}::SecurityGroupUuids::{securityGroupUuids}", kOnce},
                           {"l3::{l3NetworkUuid}::securityGroupIngressPolicy::{ingressPolicy}::securityGroupEgressPolicy::{egressPolicy}", kOnce},
                           {"primaryStorageUuidForDataVolume::{primaryStorageUuid}", kOnce},
                           {"bootVolume::{bootVolume}", kOwn},
                           {"vmMachineType::{vmMachineType}", kSingle},
                           {"vmSystemSerialNumber::{vmSystemSerialNumber}", {.cloneable = false, .single = true}},
                           {"vmPriority::{vmPriority}", kSingle},
                           {"xmlHook::{xmlHook}", {.admin_only = true, .single = true}},
                           {"vmPausedAfterMigrate", kOwn},
                           {"cpuSockets::{cpuSockets}", kSingle},
                           {"cpuCores::{cpuCores}", kSingle},
                           {"cpuThreads::{cpuThreads}", kSingle},
                           {"virtio::diskOffering::{diskOfferingUuid}::num::{number}"},
                           {"vm::pci::bridge::num::{number}", kSingle},
                           {"autoScalingGroupUuid::{autoScalingGroupUuid}"},
                           {"directoryUuid::{directoryUuid}", kSingle},
                           {"maxInstancePerHost::{maxInstancePerHost}"},
                           {"resourceBindings::{resourceBindings}"},
                           {"usbDeviceUuid::{usbDeviceUuid}::attachType::{attachType}", kOwn},
                           {"releaseVmNicAfterDetachVmNic::{releaseVmNicAfterDetachVmNic}", kSingle},
                           {"ipChanged::{ipChanged}", kOwn},
                           {"syncPorts::{syncPorts}", kOwn},
                           {"windows::virtioVolume"},
                           {"resourceConfig::{category}::{name}::{value}"},
                           {"affinityGroupUuid::{affinityGroupUuid}", {.cloneable = false, .single = true}},
                           {"ha::{haLevel}", {.cloneable = false, .single = true}},
                           {"mdevDevice::{mdevDevice}", kOwn},
                           {"pciDevice::{pciDevice}", kOwn},
                           {"mdevDeviceSpec::{mdevDeviceSpec}::{number}", kOwn},
                           {"pciDeviceSpec::{pciDeviceSpec}::{number}", kOwn}};

constexpr TagPattern kVolume[]{{"volumeProvisioningStrategy::{provisioning}", kSingle},
                               {"ephemeral::shareable", kOnce},
                               {"capability::virtio-scsi"},
                               {"kvm::volume::{wwn}", kOwn},
                               {"qos::{qos}"},
                               {"volumeMaxIncrementalSnapshotNum::{number}", kSingle},
                               {"notSupportActualSize::{notSupportActualSize}"},
                               {"localStorage::hostUuid::{hostUuid}", kOwn},
                               {"ceph::pool::{pool}", kOwn},
                               {"ceph::rootPoolName::{pool}", kOwn},
                               {"ephemeral::volume::fastCreate", kOnce},
                               {"ephemeral::volume::flatten", kOnce},
                               {"overwriteBy::volume::{volumeUuid}", kOwn},
                               {"packer"},
                               {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kNic[]{{"internalIp::{ipv4}"}, {"internalIpv6::{ipv6}"}, {"vmnic::{pci}", kOwn}};

constexpr TagPattern kImage[]{{"qemuga"},
                              {"bootMode::{bootMode}", kSingle},
                              {"sourceType::{sourceType}"},
                              {"CreatedBySystem", kAdmin},
                              {"temporary"},
                              {"GuestTools::{guestTools}"},
                              {"buildapp::{buildapp}"},
                              {"applianceType::{applianceType}"},
                              {"image::cert::{cert}"},
                              {"remote"},
                              {"packer"},
                              {"imageName::{imageName}::primaryStorageUuid::{primaryStorageUuid}"},
                              {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kPrimaryStorage[]{{"capability:snapshot"},
                                       {"primaryStorageVolumeProvisioningStrategy::{provisioning}", kSingle},
                                       {"primaryStorage::gateway::cidr::{cidr}", kSingle},
                                       {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kOffering[]{{"primaryStorage::allocator::uuid::{primaryStorageUuid}"},
                                 {"primaryStorage::allocator::userTag::{userTag}"},
                                 {"primaryStorage::allocator::userTag::{userTag}::required"},
                                 {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kCluster[]{
    {"host::reservedCpu::{number}", kSingle}, {"host::reservedMemory::{reservedMemory}", kSingle}, {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kHost[]{{"reservedCpu::{number}", kSingle},
                             {"reservedMemory::{reservedMemory}", kSingle},
                             {"capability::liveSnapshot"},
                             {"os::distribution::{distribution}"},
                             {"os::release::{release}"},
                             {"os::version::{version}"},
                             {"qemu-img::version::{version}"},
                             {"libvirt::version::{version}"},
                             {"resourceConfig::{category}::{name}::{value}"}};

constexpr TagPattern kL3Network[]{{"networkservices::{networkservices}"}, {"enableDHCP::{boolean}", kSingle}, {"routerInterfaceIp::{ipv4}", kSingle}};

constexpr TagPattern kConfigured[]{{"resourceConfig::{category}::{name}::{value}"}};

constexpr std::array<TaggedType, 17> kTypes{{{"VmInstanceVO", kVm},
                                             {"VolumeVO", kVolume},
                                             {"VmNicVO", kNic},
                                             {"ImageVO", kImage},
                                             {"PrimaryStorageVO", kPrimaryStorage},
                                             {"BackupStorageVO", kConfigured},
                                             {"InstanceOfferingVO", kOffering},
                                             {"DiskOfferingVO", kOffering},
                                             {"ZoneVO", kCluster},
                                             {"ClusterVO", kCluster},
                                             {"HostVO", kHost},
                                             {"L2NetworkVO", kConfigured},
                                             {"L3NetworkVO", kL3Network},
                                             {"AccountVO", kConfigured},
                                             {"VolumeSnapshotVO", kConfigured},
                                             {"VolumeSnapshotGroupVO", kConfigured},
                                             {"CheckpointVO", kConfigured}}};

}  // namespace

std::span<const TaggedType> tagged_types() { return kTypes; }

}  // namespace ramet::resources

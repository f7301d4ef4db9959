// The calls of the resource pool, one line each.
#include "http/answers.hpp"
#include "http/routes.hpp"
#include "resources/backup_storages.hpp"
#include "resources/clusters.hpp"
#include "resources/global_configs.hpp"
#include "resources/hosts.hpp"
#include "resources/images.hpp"
#include "resources/ip_ranges.hpp"
#include "resources/management.hpp"
#include "resources/networks.hpp"
#include "resources/offerings.hpp"
#include "resources/primary_storages.hpp"
#include "resources/tags.hpp"
#include "resources/zones.hpp"

namespace ramet::http {
namespace {

// A use case that answers at once, as a handler.
template <class Request>
auto at_once(resources::Parts& parts, Result<std::string> (*use_case)(resources::Parts&, const identity::Caller&, const Request&)) {
    return [&parts, use_case](const Call& call, Request& request) { return answer_of(use_case(parts, call.caller, request)); };
}

}  // namespace

static void bind_places(Routes& routes, resources::Parts& parts) {
    routes.bind<api::CreateZone>(at_once(parts, &resources::create_zone));
    routes.bind<api::UpdateZone>(at_once(parts, &resources::update_zone));
    routes.bind<api::ChangeZoneState>(at_once(parts, &resources::change_zone_state));
    routes.bind<api::DeleteZone>(at_once(parts, &resources::delete_zone));
    routes.bind<api::CreateCluster>(at_once(parts, &resources::create_cluster));
    routes.bind<api::UpdateCluster>(at_once(parts, &resources::update_cluster));
    routes.bind<api::ChangeClusterState>(at_once(parts, &resources::change_cluster_state));
    routes.bind<api::DeleteCluster>(at_once(parts, &resources::delete_cluster));
    routes.bind<api::UpdateHost>(at_once(parts, &resources::update_host));
    routes.bind<api::ChangeHostState>(at_once(parts, &resources::change_host_state));
    routes.bind<api::ReconnectHost>(at_once(parts, &resources::reconnect_host));
    routes.bind<api::GetCpuMemoryCapacity>(at_once(parts, &resources::get_cpu_memory_capacity));
    routes.bind<api::AddLocalPrimaryStorage>(at_once(parts, &resources::add_local_primary_storage));
    routes.bind<api::UpdatePrimaryStorage>(at_once(parts, &resources::update_primary_storage));
    routes.bind<api::ChangePrimaryStorageState>(at_once(parts, &resources::change_primary_storage_state));
    routes.bind<api::ReconnectPrimaryStorage>(at_once(parts, &resources::reconnect_primary_storage));
    routes.bind<api::DeletePrimaryStorage>(at_once(parts, &resources::delete_primary_storage));
    routes.bind<api::AttachPrimaryStorageToCluster>(at_once(parts, &resources::attach_primary_storage_to_cluster));
    routes.bind<api::DetachPrimaryStorageFromCluster>(at_once(parts, &resources::detach_primary_storage_from_cluster));
    routes.bind<api::GetPrimaryStorageCapacity>(at_once(parts, &resources::get_primary_storage_capacity));
    routes.bind<api::AddImageStoreBackupStorage>(at_once(parts, &resources::add_image_store_backup_storage));
    routes.bind<api::UpdateBackupStorage>(at_once(parts, &resources::update_backup_storage));
    routes.bind<api::ChangeBackupStorageState>(at_once(parts, &resources::change_backup_storage_state));
    routes.bind<api::ReconnectBackupStorage>(at_once(parts, &resources::reconnect_backup_storage));
    routes.bind<api::DeleteBackupStorage>(at_once(parts, &resources::delete_backup_storage));
    routes.bind<api::AttachBackupStorageToZone>(at_once(parts, &resources::attach_backup_storage_to_zone));
    routes.bind<api::DetachBackupStorageFromZone>(at_once(parts, &resources::detach_backup_storage_from_zone));
}

static void bind_pool(Routes& routes, resources::Parts& parts) {
    routes.bind<api::UpdateImage>(at_once(parts, &resources::update_image));
    routes.bind<api::ChangeImageState>(at_once(parts, &resources::change_image_state));
    routes.bind<api::DeleteImage>(at_once(parts, &resources::delete_image));
    routes.bind<api::RecoverImage>(at_once(parts, &resources::recover_image));
    routes.bind<api::ExpungeImage>(at_once(parts, &resources::expunge_image));
    routes.bind<api::CreateL2NoVlanNetwork>(at_once(parts, &resources::create_l2_no_vlan_network));
    routes.bind<api::UpdateL2Network>(at_once(parts, &resources::update_l2_network));
    routes.bind<api::DeleteL2Network>(at_once(parts, &resources::delete_l2_network));
    routes.bind<api::AttachL2NetworkToCluster>(at_once(parts, &resources::attach_l2_network_to_cluster));
    routes.bind<api::DetachL2NetworkFromCluster>(at_once(parts, &resources::detach_l2_network_from_cluster));
    routes.bind<api::CreateL3Network>(at_once(parts, &resources::create_l3_network));
    routes.bind<api::UpdateL3Network>(at_once(parts, &resources::update_l3_network));
    routes.bind<api::ChangeL3NetworkState>(at_once(parts, &resources::change_l3_network_state));
    routes.bind<api::DeleteL3Network>(at_once(parts, &resources::delete_l3_network));
    routes.bind<api::AddDnsToL3Network>(at_once(parts, &resources::add_dns_to_l3_network));
    routes.bind<api::RemoveDnsFromL3Network>(at_once(parts, &resources::remove_dns_from_l3_network));
    routes.bind<api::AddIpRange>(at_once(parts, &resources::add_ip_range));
    routes.bind<api::AddIpRangeByNetworkCidr>(at_once(parts, &resources::add_ip_range_by_network_cidr));
    routes.bind<api::UpdateIpRange>(at_once(parts, &resources::update_ip_range));
    routes.bind<api::DeleteIpRange>(at_once(parts, &resources::delete_ip_range));
    routes.bind<api::GetFreeIp>(at_once(parts, &resources::get_free_ip));
    routes.bind<api::CheckIpAvailability>(at_once(parts, &resources::check_ip_availability));
    routes.bind<api::CreateInstanceOffering>(at_once(parts, &resources::create_instance_offering));
    routes.bind<api::UpdateInstanceOffering>(at_once(parts, &resources::update_instance_offering));
    routes.bind<api::ChangeInstanceOfferingState>(at_once(parts, &resources::change_instance_offering_state));
    routes.bind<api::DeleteInstanceOffering>(at_once(parts, &resources::delete_instance_offering));
    routes.bind<api::CreateDiskOffering>(at_once(parts, &resources::create_disk_offering));
    routes.bind<api::UpdateDiskOffering>(at_once(parts, &resources::update_disk_offering));
}

static void bind_rest(Routes& routes, resources::Parts& parts) {
    routes.bind<api::ChangeDiskOfferingState>(at_once(parts, &resources::change_disk_offering_state));
    routes.bind<api::DeleteDiskOffering>(at_once(parts, &resources::delete_disk_offering));
    routes.bind<api::CreateSystemTag>(at_once(parts, &resources::create_system_tag));
    routes.bind<api::CreateSystemTags>(at_once(parts, &resources::create_system_tags));
    routes.bind<api::UpdateSystemTag>(at_once(parts, &resources::update_system_tag));
    routes.bind<api::CreateUserTag>(at_once(parts, &resources::create_user_tag));
    routes.bind<api::DeleteTag>(at_once(parts, &resources::delete_tag));
    routes.bind<api::UpdateGlobalConfig>(at_once(parts, &resources::update_global_config));
    routes.bind<api::GetVersion>(at_once(parts, &resources::get_version));
    routes.bind<api::GetCurrentTime>(at_once(parts, &resources::get_current_time));
    routes.bind<api::GetManagementNodeArch>(at_once(parts, &resources::get_management_node_arch));
    routes.bind<api::GetSupportAPIs>(at_once(parts, &resources::get_support_apis));
    routes.bind<api::IsManagementNodeReady>(at_once(parts, &resources::is_management_node_ready));
    routes.bind<api::GetPlatformTimeZone>(at_once(parts, &resources::get_platform_time_zone));
}

void bind_resource_routes(Routes& routes, resources::Parts& parts) {
    bind_places(routes, parts);
    bind_pool(routes, parts);
    bind_rest(routes, parts);
    routes.bind<api::AddImage>([&parts](const Call& call, auto& request) -> Result<Answer> {
        TRY_ASSIGN(JobId job, resources::add_image(parts, call.caller, request,
                                                   {call.job, call.web_hook, call.web_hook_has_schema, call.key, call.validates_only}));
        return Answer{Started{std::move(job)}};
    });
}

}  // namespace ramet::http

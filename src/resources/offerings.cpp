#include "resources/offerings.hpp"

#include "base/disk_size.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

Result<void> nothing_to_check(store::Transaction&) { return {}; }

}  // namespace

Result<std::string> create_instance_offering(Parts& parts, const identity::Caller& caller, const api::CreateInstanceOffering& request) {
    if (request.type && *request.type != "UserVm")
        return fail(ErrorCode::invalid_argument, "type: '" + *request.type + "' is not supported; use UserVm");
    InstanceOffering offering;
    TRY_ASSIGN(offering.uuid, id_or_new(request.resource_uuid));
    offering.name = request.name;
    offering.description = request.description;
    offering.cpu_num = request.cpu_num;
    offering.memory_size = request.memory_size;
    offering.cpu_speed = request.cpu_speed.value_or(0);
    offering.reserved_memory_size = request.reserved_memory_size.value_or(0);
    offering.sort_key = request.sort_key.value_or(0);
    if (request.allocator_strategy) offering.allocator_strategy = *request.allocator_strategy;
    return create(parts, caller, offering, request, nothing_to_check);
}

Result<std::string> update_instance_offering(Parts& parts, const identity::Caller&, const api::UpdateInstanceOffering& request) {
    return rename<InstanceOffering>(parts, request);
}

Result<std::string> change_instance_offering_state(Parts& parts, const identity::Caller&, const api::ChangeInstanceOfferingState& request) {
    return change_state<InstanceOffering>(parts, request);
}

Result<std::string> delete_instance_offering(Parts& parts, const identity::Caller&, const api::DeleteInstanceOffering& request) {
    return remove<InstanceOffering>(parts, request.uuid, [](const InstanceOffering&, store::Transaction&) -> Result<void> { return {}; });
}

Result<std::string> create_disk_offering(Parts& parts, const identity::Caller& caller, const api::CreateDiskOffering& request) {
    DiskOffering offering;
    TRY_ASSIGN(offering.uuid, id_or_new(request.resource_uuid));
    offering.name = request.name;
    offering.description = request.description;
    offering.disk_size = whole_sectors(request.disk_size);
    offering.sort_key = request.sort_key.value_or(0);
    if (request.allocation_strategy) offering.allocator_strategy = *request.allocation_strategy;
    return create(parts, caller, offering, request, nothing_to_check);
}

Result<std::string> update_disk_offering(Parts& parts, const identity::Caller&, const api::UpdateDiskOffering& request) {
    return rename<DiskOffering>(parts, request);
}

Result<std::string> change_disk_offering_state(Parts& parts, const identity::Caller&, const api::ChangeDiskOfferingState& request) {
    return change_state<DiskOffering>(parts, request);
}

Result<std::string> delete_disk_offering(Parts& parts, const identity::Caller&, const api::DeleteDiskOffering& request) {
    return remove<DiskOffering>(parts, request.uuid, [](const DiskOffering&, store::Transaction&) -> Result<void> { return {}; });
}

}  // namespace ramet::resources

#include "resources/zones.hpp"

#include "resources/use_case.hpp"

namespace ramet::resources {

Result<std::string> create_zone(Parts& parts, const identity::Caller& caller, const api::CreateZone& request) {
    Zone zone;
    TRY_ASSIGN(zone.uuid, id_or_new(request.resource_uuid));
    zone.name = request.name;
    zone.description = request.description;
    zone.is_default = request.is_default;
    return create(parts, caller, zone, request, [&](store::Transaction& transaction) -> Result<void> {
        if (!request.is_default) return {};
        TRY_ASSIGN(std::vector<Zone> others, store::list<Zone>(transaction, {{"isDefault", std::int64_t{1}}}));
        for (Zone& other : others) {
            other.is_default = false;
            TRY(store::update(transaction, other));
        }
        return {};
    });
}

Result<std::string> update_zone(Parts& parts, const identity::Caller&, const api::UpdateZone& request) { return rename<Zone>(parts, request); }

Result<std::string> change_zone_state(Parts& parts, const identity::Caller&, const api::ChangeZoneState& request) {
    return change_state<Zone>(parts, request);
}

Result<std::string> delete_zone(Parts& parts, const identity::Caller&, const api::DeleteZone& request) {
    return remove<Zone>(parts, request.uuid, [](const Zone& zone, store::Transaction& transaction) -> Result<void> {
        const store::Matches inside{{"zoneUuid", zone.uuid.text()}};
        Dependants dependants(transaction);
        TRY(dependants.count<Cluster>("cluster", "clusters", inside));
        TRY(dependants.count<PrimaryStorage>("primary storage", "primary storages", inside));
        TRY(dependants.count<L3Network>("L3 network", "L3 networks", inside));
        TRY(dependants.count<L2Network>("L2 network", "L2 networks", inside));
        TRY(dependants.count<VmInstance>("VM instance", "VM instances", inside));
        TRY(dependants.none("zone", zone.name));
        TRY(store::erase<BackupStorageZoneRef>(transaction, inside));
        return {};
    });
}

}  // namespace ramet::resources

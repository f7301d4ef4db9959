#include "resources/clusters.hpp"

#include "resources/use_case.hpp"

namespace ramet::resources {

Result<std::string> create_cluster(Parts& parts, const identity::Caller& caller, const api::CreateCluster& request) {
    Cluster cluster;
    TRY_ASSIGN(cluster.uuid, id_or_new(request.resource_uuid));
    cluster.zone_uuid = request.zone_uuid;
    cluster.name = request.name;
    cluster.description = request.description;
    cluster.hypervisor_type = request.hypervisor_type;
    if (request.architecture && *request.architecture != "x86_64") {
        return fail(ErrorCode::invalid_argument, "architecture: '" + *request.architecture + "' is not supported; use x86_64");
    }
    return create(parts, caller, cluster, request, [&](store::Transaction& transaction) -> Result<void> {
        TRY(store::get<Zone>(transaction, request.zone_uuid.text()));
        return {};
    });
}

Result<std::string> update_cluster(Parts& parts, const identity::Caller&, const api::UpdateCluster& request) {
    return rename<Cluster>(parts, request);
}

Result<std::string> change_cluster_state(Parts& parts, const identity::Caller&, const api::ChangeClusterState& request) {
    return change_state<Cluster>(parts, request);
}

Result<std::string> delete_cluster(Parts& parts, const identity::Caller&, const api::DeleteCluster& request) {
    return remove<Cluster>(parts, request.uuid, [](const Cluster& cluster, store::Transaction& transaction) -> Result<void> {
        const store::Matches inside{{"clusterUuid", cluster.uuid.text()}};
        Dependants dependants(transaction);
        TRY(dependants.count<Host>("host", "hosts", inside));
        TRY(dependants.count<VmInstance>("VM instance", "VM instances", inside));
        TRY(dependants.none("cluster", cluster.name));
        TRY(store::erase<PrimaryStorageClusterRef>(transaction, inside));
        TRY(store::erase<L2NetworkClusterRef>(transaction, inside));
        return {};
    });
}

}  // namespace ramet::resources

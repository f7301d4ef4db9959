#include "lifecycle/placing.hpp"

#include <algorithm>

#include "model/vm.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

// The database adds up: a host may have thousands, and each clone asks.
Result<void> count_vms(Transaction& transaction, placement::HostFacts& facts) {
    const std::string sql =
        "SELECT COUNT(*), SUM(\"cpuNum\"), SUM(\"memorySize\") FROM \"" + std::string(describe<VmInstance>().table) + "\" WHERE \"hostUuid\" = $1";
    TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(sql, {facts.host.uuid.text()}));
    const auto number = [&](std::size_t column) {
        const auto* const held = std::get_if<std::int64_t>(&rows.at(0).at(column));
        return held == nullptr ? 0 : *held;  // no VM: no sum
    };
    facts.vm_count = number(0);
    facts.used_cpu = number(1);
    facts.used_memory = number(2);
    return {};
}

}  // namespace

Result<std::vector<placement::HostFacts>> host_facts(Transaction& transaction) {
    TRY_ASSIGN(const std::vector<Host> hosts, store::list<Host>(transaction));
    TRY_ASSIGN(const double memory_ratio, resources::memory_ratio(transaction));
    std::vector<placement::HostFacts> all;
    for (const Host& host : hosts) {
        placement::HostFacts facts;
        facts.host = host;
        facts.memory_ratio = memory_ratio;
        TRY(count_vms(transaction, facts));
        TRY_ASSIGN(const auto storages, store::list<PrimaryStorageClusterRef>(transaction, {{"clusterUuid", host.cluster_uuid.text()}}));
        for (const auto& ref : storages) facts.storages.push_back(ref.primary_storage_uuid);
        TRY_ASSIGN(const auto networks, store::list<L2NetworkClusterRef>(transaction, {{"clusterUuid", host.cluster_uuid.text()}}));
        for (const auto& ref : networks) facts.l2_networks.push_back(ref.l2_network_uuid);
        TRY_ASSIGN(const Cluster cluster, store::get<Cluster>(transaction, host.cluster_uuid.text()));
        TRY_ASSIGN(const Zone zone, store::get<Zone>(transaction, host.zone_uuid.text()));
        facts.cluster_enabled = cluster.state == Enablement::enabled;
        facts.zone_enabled = zone.state == Enablement::enabled;
        all.push_back(std::move(facts));
    }
    return all;
}

Result<std::vector<L2NetworkId>> l2_networks_of(Transaction& transaction, const std::vector<L3NetworkId>& l3_networks) {
    std::vector<L2NetworkId> networks;
    for (const L3NetworkId& l3 : l3_networks) {
        TRY_ASSIGN(const L3Network network, store::get<L3Network>(transaction, l3.text()));
        networks.push_back(network.l2_network_uuid);
    }
    return networks;
}

Result<std::vector<placement::StorageFacts>> storage_facts(Parts& parts) {
    TRY_ASSIGN(std::vector<placement::StorageFacts> all,
               store::read(parts.database(), [](Transaction& transaction) -> Result<std::vector<placement::StorageFacts>> {
                   std::vector<placement::StorageFacts> found;
                   TRY_ASSIGN(const std::vector<PrimaryStorage> storages, store::list<PrimaryStorage>(transaction, {}, "createDate"));
                   for (const PrimaryStorage& storage : storages) {
                       placement::StorageFacts facts{storage, 0};
                       TRY_ASSIGN(const auto refs, store::list<PrimaryStorageClusterRef>(transaction, {{"primaryStorageUuid", storage.uuid.text()}}));
                       for (const auto& ref : refs) facts.storage.attached_cluster_uuids.push_back(ref.cluster_uuid);
                       found.push_back(std::move(facts));
                   }
                   return found;
               }));
    for (placement::StorageFacts& facts : all) {
        const Result<std::shared_ptr<storage::PrimaryStorage>> opened = parts.shared.storages.open(facts.storage.url);
        if (!opened.has_value()) continue;  // a storage that cannot be opened has no room
        const Result<storage::Capacity> capacity = (*opened)->capacity();
        if (!capacity.has_value()) continue;
        facts.available = capacity->available_bytes;
        facts.total = capacity->total_bytes;
    }
    return all;
}

}  // namespace ramet::lifecycle

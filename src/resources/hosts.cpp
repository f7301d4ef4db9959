#include "resources/hosts.hpp"

#include "api/json.hpp"
#include "network/ipv4.hpp"
#include "resources/bootstrap.hpp"
#include "resources/sync_reply.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

template <class AnyId>
bool holds(const std::vector<AnyId>& wanted, const AnyId& id) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), id) != wanted.end();
}

}  // namespace

Result<std::string> update_host(Parts& parts, const identity::Caller&, const api::UpdateHost& request) {
    if (request.management_ip && !network::parse_ipv4(*request.management_ip)) {
        return fail(ErrorCode::invalid_argument, "managementIp: '" + request.management_ip->substr(0, 64) + "' is not an IPv4 address");
    }
    return alter<Host>(parts, request.uuid.text(), [&](Host& host, store::Transaction&) -> Result<void> {
        TRY(take_name_and_description(host, request));
        if (request.management_ip) host.management_ip = *request.management_ip;
        return {};
    });
}

Result<std::string> change_host_state(Parts& parts, const identity::Caller&, const api::ChangeHostState& request) {
    return change_state<Host>(parts, request, "stop the VM instances of the host and use disable");
}

Result<std::string> reconnect_host(Parts& parts, const identity::Caller&, const api::ReconnectHost& request) {
    const MachineFacts machine = measure_machine();
    return alter<Host>(parts, request.uuid.text(), [&](Host& host, store::Transaction& transaction) -> Result<void> {
        if (host.uuid != local_host_uuid()) {
            return fail(ErrorCode::operation_failed, "the host '" + host.name + "' is not the machine this server runs on; start the server there");
        }
        return take_machine_facts(transaction, host, machine);
    });
}

Result<std::string> get_cpu_memory_capacity(Parts& parts, const identity::Caller&, const api::GetCpuMemoryCapacity& request) {
    TRY_ASSIGN(const std::vector<Host> hosts,
               store::read(parts.database, [](store::Transaction& transaction) { return store::list<Host>(transaction); }));
    api::GetCpuMemoryCapacityReply reply;
    for (const Host& listed : hosts) {
        const bool wanted = holds(request.zone_uuids, listed.zone_uuid) && holds(request.cluster_uuids, listed.cluster_uuid) &&
                            holds(request.host_uuids, listed.uuid);
        if (!request.all && !wanted) continue;
        TRY_ASSIGN(const Host host, parts.inventory.get<Host>(listed.uuid.text()));
        reply.total_cpu += host.total_cpu_capacity;
        reply.available_cpu += host.available_cpu_capacity;
        reply.total_memory += host.total_memory_capacity;
        reply.available_memory += host.available_memory_capacity;
        reply.managed_cpu_num += host.cpu_num;
    }
    return sync_reply(reply);
}

}  // namespace ramet::resources

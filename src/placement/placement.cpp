#include "placement/placement.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace ramet::placement {

namespace {

// The load of a host while a request is being placed.
struct Candidate {
    const HostFacts* facts = nullptr;
    std::int64_t free_cpu = 0;
    std::int64_t free_memory = 0;
    std::int64_t vm_count = 0;
};

template <class T>
bool has(const std::vector<T>& items, const T& item) {
    return std::find(items.begin(), items.end(), item) != items.end();
}

template <class T>
bool has_all(const std::vector<T>& items, const std::vector<T>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const T& item) { return has(items, item); });
}

std::string bytes_text(std::int64_t bytes) {
    if (bytes % limits::kMiB == 0) return std::to_string(bytes / limits::kMiB) + " MiB";
    return std::to_string(bytes) + " bytes";
}

// Why the VM may never go there, in the order of the contract's filters; empty when it may.
std::string unfit(const HostFacts& facts, const VmNeeds& needs) {
    const Host& host = facts.host;
    if (!has_all(facts.l2_networks, needs.l2_networks)) return "its cluster lacks an L2 network of the VM; attach it";
    if (needs.zone && host.zone_uuid != *needs.zone) return "it is in another zone than the one asked for";
    if (needs.cluster && host.cluster_uuid != *needs.cluster) return "it is in another cluster than the one asked for";
    if (needs.host && host.uuid != *needs.host) return "another host was asked for";
    if (!has_all(facts.storages, needs.storages)) return "its cluster lacks a primary storage of the VM; attach it";
    if (host.state != Enablement::enabled) return "it is disabled";
    if (!facts.cluster_enabled) return "its cluster is disabled";
    if (!facts.zone_enabled) return "its zone is disabled";
    if (host.status != Connection::connected) return "it is " + std::string(name_of(host.status)) + "; reconnect it";
    if (has(needs.avoid, host.uuid)) return "it is to be avoided";
    return {};
}

std::string too_small(const Candidate& candidate, const VmNeeds& needs) {
    if (candidate.free_cpu < needs.cpu) {
        return std::to_string(needs.cpu) + " vCPUs needed, " + std::to_string(std::max<std::int64_t>(0, candidate.free_cpu)) + " free";
    }
    if (memory_capacity(candidate.facts->host) < needs.memory) {
        return bytes_text(needs.memory) + " of memory needed by one VM, " + bytes_text(memory_capacity(candidate.facts->host)) + " there in all";
    }
    if (candidate.free_memory < needs.memory) {
        return bytes_text(needs.memory) + " of memory needed, " + bytes_text(std::max<std::int64_t>(0, candidate.free_memory)) + " free";
    }
    return {};
}

bool better(const Candidate& a, const Candidate& b, const std::optional<HostId>& last_host) {
    const bool a_last = last_host && a.facts->host.uuid == *last_host;
    const bool b_last = last_host && b.facts->host.uuid == *last_host;
    if (a_last != b_last) return a_last;
    if (a.vm_count != b.vm_count) return a.vm_count < b.vm_count;
    return a.facts->host.uuid < b.facts->host.uuid;
}

std::string reason_for(const Candidate& chosen, const VmNeeds& needs, std::size_t fit) {
    if (needs.host) return "the host asked for";
    if (needs.last_host && chosen.facts->host.uuid == *needs.last_host) return "the last host";
    if (fit == 1) return "the only fit host";
    return "fewest VMs (" + std::to_string(chosen.vm_count) + ")";
}

std::unexpected<Error> no_host(std::span<const HostFacts> hosts, const std::vector<Candidate>& candidates, const VmNeeds& needs, std::size_t placed,
                               std::size_t count) {
    std::string message = "no host can take the VM";
    if (count > 1) message = "no host can take VM " + std::to_string(placed + 1) + " of " + std::to_string(count);
    if (hosts.empty()) return fail(ErrorCode::no_host, message + ": there is no host; add one");
    std::string separator = ": ";
    for (const HostFacts& facts : hosts) {
        std::string reason = unfit(facts, needs);
        for (const Candidate& candidate : candidates) {
            if (reason.empty() && candidate.facts == &facts) reason = too_small(candidate, needs);
        }
        message.append(separator).append("host '").append(facts.host.name).append("': ").append(reason);
        separator = "; ";
    }
    return fail(ErrorCode::no_host, std::move(message));
}

}  // namespace

std::int64_t memory_capacity(const Host& host) {
    const std::int64_t total = host.total_memory_capacity;
    return total - (total >= 8 * limits::kGiB ? limits::kGiB : total / 10);
}

Result<std::vector<Decision>> place_vms(std::span<const HostFacts> hosts, const VmNeeds& needs, std::size_t count) {
    std::vector<Candidate> candidates;
    for (const HostFacts& facts : hosts) {
        if (!unfit(facts, needs).empty()) continue;
        const auto memory = static_cast<std::int64_t>(static_cast<double>(memory_capacity(facts.host)) * facts.memory_ratio);
        candidates.push_back({&facts, facts.host.total_cpu_capacity - facts.used_cpu, memory - facts.used_memory, facts.vm_count});
    }
    std::vector<Decision> decisions;
    decisions.reserve(count);
    while (decisions.size() < count) {
        Candidate* best = nullptr;
        std::size_t fit = 0;
        for (Candidate& candidate : candidates) {
            if (!too_small(candidate, needs).empty()) continue;
            ++fit;
            if (best == nullptr || better(candidate, *best, needs.last_host)) best = &candidate;
        }
        if (best == nullptr) return no_host(hosts, candidates, needs, decisions.size(), count);
        decisions.push_back({best->facts->host.uuid, reason_for(*best, needs, fit)});
        best->free_cpu -= needs.cpu;
        best->free_memory -= needs.memory;
        ++best->vm_count;
    }
    return decisions;
}

Result<StorageDecision> choose_primary_storage(std::span<const StorageFacts> storages, std::int64_t size,
                                               const std::optional<PrimaryStorageId>& wanted, const std::optional<ClusterId>& cluster) {
    const StorageFacts* best = nullptr;
    std::string refused;
    bool lacks_room = false;
    const auto refuse = [&](const StorageFacts& facts, const std::string& reason) {
        refused += (refused.empty() ? ": '" : "; '") + facts.storage.name + "': " + reason;
    };
    for (const StorageFacts& facts : storages) {
        const PrimaryStorage& storage = facts.storage;
        if (wanted && storage.uuid != *wanted) continue;
        if (cluster && !has(storage.attached_cluster_uuids, *cluster)) {
            refuse(facts, "not attached to the cluster; attach it");
        } else if (storage.state != Enablement::enabled) {
            refuse(facts, "disabled");
        } else if (storage.status != Connection::connected) {
            refuse(facts, std::string(name_of(storage.status)) + "; reconnect it");
        } else if (facts.available - limits::kStorageReservedBytes < size) {
            lacks_room = true;
            refuse(facts, std::to_string(size) + " bytes required, " +
                              std::to_string(std::max<std::int64_t>(0, facts.available - limits::kStorageReservedBytes)) +
                              " available beside the reserve of " + std::to_string(limits::kStorageReservedBytes));
        } else if (best == nullptr || facts.available > best->available ||
                   (facts.available == best->available && storage.uuid < best->storage.uuid)) {
            best = &facts;
        }
    }
    if (best != nullptr)
        return StorageDecision{best->storage.uuid, wanted ? "the storage asked for" : "most room (" + bytes_text(best->available) + ")"};
    if (refused.empty()) refused = wanted ? ": there is no primary storage with the uuid asked for" : ": there is none; add one";
    if (lacks_room) refused += "; delete what is not needed, ask for less, or add a primary storage";
    return fail(ErrorCode::storage_full, "no primary storage can take " + std::to_string(size) + " bytes" + refused);
}

}  // namespace ramet::placement

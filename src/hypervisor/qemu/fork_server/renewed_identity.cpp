#include "hypervisor/qemu/fork_server/renewed_identity.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "hypervisor/qemu/fork_server/entry_point.hpp"

namespace ramet::hypervisor {

namespace {

// QEMU's.
unsigned char* machine_uuid = nullptr;
void* (*object_at)(const char*, bool*) = nullptr;
void* (*property_of)(void*, const char*) = nullptr;
void* (*field_of)(void*, void*) = nullptr;
void (*guest_memory)(std::uint64_t, void*, std::uint64_t, bool) = nullptr;
void (*smbios_tables)(void*, const void*, unsigned, unsigned char**, std::size_t*, unsigned char**, std::size_t*, void*) = nullptr;
void* (*machine_of)() = nullptr;
void* (*backend_at)(const char*) = nullptr;
void (*purge_queued)(void*) = nullptr;

constexpr std::size_t kPropertyOpaque = 8 * sizeof(void*);  // of QEMU's ObjectProperty: what it gives field_of()

unsigned char* field(const char* path, const char* name) {
    bool ambiguous = false;
    void* const object = object_at(path, &ambiguous);
    void* const property = object != nullptr ? property_of(object, name) : nullptr;
    if (property == nullptr) return nullptr;
    void* opaque = nullptr;
    std::memcpy(static_cast<void*>(&opaque), static_cast<char*>(property) + kPropertyOpaque, sizeof opaque);
    return opaque != nullptr ? static_cast<unsigned char*>(field_of(object, opaque)) : nullptr;
}

bool exchange(unsigned char* place, const unsigned char* known, const unsigned char* wanted, std::size_t size) {
    if (place == nullptr || std::memcmp(place, known, size) != 0) return false;
    std::memcpy(place, wanted, size);
    return true;
}

const unsigned char* bytes(const char* text) { return reinterpret_cast<const unsigned char*>(text); }

// As Windows and SMBIOS write a UUID: the first three parts with their lowest byte first.
void swap_parts(const unsigned char* uuid, unsigned char* swapped) {
    constexpr int kOrder[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int i = 0; i < 16; ++i) swapped[i] = uuid[kOrder[i]];
}

bool renew_generation_id(const TemplateOrder& order) {
    unsigned char* const place = field("/machine/peripheral/genid", "guid");
    if (!exchange(place, order.old_generation, order.generation, 16)) return false;
    std::uint64_t address = 0;
    std::memcpy(&address, place + 16, sizeof address);
    if (address == 0) return true;  // firmware has not asked for it
    unsigned char known[16], wanted[16], there[16];
    swap_parts(order.old_generation, known);
    swap_parts(order.generation, wanted);
    guest_memory(address, there, 16, false);
    if (std::memcmp(there, known, 16) != 0) return false;
    guest_memory(address, wanted, 16, true);
    return true;
}

bool renew_machine_uuid(const TemplateOrder& order) {
    unsigned char known[16], wanted[16];
    swap_parts(order.old_uuid, known);
    swap_parts(order.uuid, wanted);
    unsigned char *tables = nullptr, *anchor = nullptr;
    std::size_t size = 0, anchor_size = 0;
    smbios_tables(machine_of(), nullptr, 0, &tables, &size, &anchor, &anchor_size, nullptr);
    int found = 0;
    for (std::size_t i = 0; tables != nullptr && i + 16 <= size; ++i) {
        if (exchange(tables + i, known, wanted, 16)) ++found;
    }
    const std::size_t serial = ::strnlen(order.old_serial, sizeof order.old_serial);
    int serials = 0;
    for (std::size_t i = 0; tables != nullptr && i + serial <= size; ++i) {
        if (exchange(tables + i, bytes(order.old_serial), bytes(order.serial), serial)) ++serials;
    }
    return exchange(machine_uuid, order.old_uuid, order.uuid, 16) && found == 1 && serials == 1;
}

// The frame with which QEMU announced the template's MAC when the state was loaded waits until a guest runs.
bool drop_announcement(const char* backend) {
    constexpr std::size_t kPeer = 4 * sizeof(void*);  // of QEMU's NetClientState
    const auto peer_of = [](void* client) {
        void* peer = nullptr;
        std::memcpy(static_cast<void*>(&peer), static_cast<char*>(client) + kPeer, sizeof peer);
        return peer;
    };
    void* const client = backend_at(backend);
    void* const nic = client != nullptr ? peer_of(client) : nullptr;
    if (nic == nullptr || peer_of(nic) != client) return false;
    purge_queued(nic);
    return true;
}

}  // namespace

int renew_identity(const TemplateOrder& order) {
    if (!renew_machine_uuid(order)) return kForkOtherUuid;
    if (!renew_generation_id(order)) return kForkOtherGeneration;
    for (unsigned i = 0; i < order.nics; ++i) {
        char path[96];
        std::snprintf(path, sizeof path, "/machine/peripheral/%s/virtio-backend", order.nic[i].device);
        if (!exchange(field(path, "mac"), order.nic[i].old_mac, order.nic[i].mac, 6) || !drop_announcement(order.nic[i].backend))
            return kForkOtherMac;
    }
    return 0;
}

bool find_identity() {
    return find(machine_uuid, "qemu_uuid") && find(object_at, "object_resolve_path") && find(property_of, "object_property_find") &&
           find(field_of, "object_field_prop_ptr") && find(guest_memory, "cpu_physical_memory_rw") && find(smbios_tables, "smbios_get_tables") &&
           find(machine_of, "qdev_get_machine") && find(backend_at, "qemu_find_netdev") && find(purge_queued, "qemu_purge_queued_packets");
}

}  // namespace ramet::hypervisor

#include "lifecycle/identity_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "base/patience.hpp"
#include "hypervisor/machine_identity.hpp"
#include "model/memory_image.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using api::FactState;
using api::IdentityFact;
using store::Transaction;

namespace {

constexpr std::chrono::milliseconds kMachinePatience{500};  // one that is busy for longer is asked another time

// Where an identifier lives decides what proves it.
enum class Proof : std::uint8_t {
    row,      // our own word is the fact
    machine,  // the VM's hardware has it from its start on
    guest     // it is inside the guest, and only the guest can show it
};

struct Identifier {
    std::string name;
    Proof proof;
    std::optional<std::string> wanted;  // absent: what the guest makes is right
};

const VmNic* nic_with(const VmRows& rows, std::string_view mac) {
    const auto found = std::ranges::find(rows.nics, mac, &VmNic::mac);
    return found == rows.nics.end() ? nullptr : &*found;
}

bool is_on(const VmRows& rows) { return rows.vm.state == VmState::running || rows.vm.state == VmState::paused; }

// The guest has not booted since: what its kernel read from the hardware then is its source's.
bool goes_on_from_memory(const VmRows& rows) { return is_on(rows) && rows.from_memory; }

// One that goes on from memory may be in a process that was started before anyone knew whose it would be.
std::optional<std::string> generation_id_of(const VmRows& rows) {
    if (rows.generation_id || goes_on_from_memory(rows)) return rows.generation_id;
    return hypervisor::generation_id(rows.vm.uuid, rows.generation());
}

std::vector<Identifier> identifiers_of(const VmRows& rows) {
    std::vector<Identifier> all{{"uuid", Proof::row, rows.vm.uuid.text()}, {"name", Proof::row, rows.vm.name}};
    for (const VmNic& nic : rows.nics) {
        all.push_back({fmt::format("mac.{}", nic.device_id), Proof::machine, nic.mac});
        if (nic.ip) all.push_back({fmt::format("ip.{}", nic.device_id), nic.state == NicState::enable ? Proof::guest : Proof::row, nic.ip});
    }
    const std::string& uuid = rows.vm.uuid.text();
    all.push_back({"smbios-uuid", Proof::machine, hypervisor::dashed(uuid)});
    all.push_back({"smbios-serial", Proof::machine, uuid});
    all.push_back({"vm-generation-id", Proof::machine, generation_id_of(rows)});
    all.push_back({"instance-id", Proof::guest, rows.instance_id()});
    all.push_back({"host-name", Proof::guest, rows.host_name});
    all.push_back({"machine-id", Proof::guest, rows.instance_id()});
    all.push_back({"dhcp-duid", Proof::guest, std::nullopt});
    return all;
}

// What was seen, with the guest's list of NICs turned into the rows' numbers.
std::vector<IdentityFact> seen_facts(const VmRows& rows) {
    std::vector<IdentityFact> facts;
    if (!rows.identity) return facts;
    for (IdentityFact& fact : guest::from_texts(rows.identity->facts)) {
        if (fact.identifier != "nic") {
            facts.push_back(std::move(fact));
            continue;
        }
        const std::string_view value = *fact.new_value;
        const std::size_t space = std::min(value.find(' '), value.size());
        const VmNic* const nic = nic_with(rows, value.substr(0, space));
        if (nic == nullptr) continue;
        IdentityFact mac = fact, ip = fact;
        mac.identifier = fmt::format("mac.{}", nic->device_id);
        mac.new_value = nic->mac;
        facts.push_back(std::move(mac));
        if (space == value.size()) continue;
        ip.identifier = fmt::format("ip.{}", nic->device_id);
        ip.means = "row";
        ip.new_value = value.substr(space + 1, value.find(' ', space + 1) - space - 1);
        facts.push_back(std::move(ip));
    }
    return facts;
}

bool is_kept(const VmRows& rows) { return rows.identity && rows.identity->mode == IdentityMode::keep; }

// What a guest that goes on and was left alone has of its source: all but what we call it, and the hardware's word that it is another machine.
bool is_the_sources(const Identifier& identifier, const VmRows& rows) {
    if (!goes_on_from_memory(rows)) return false;
    if (identifier.name.starts_with("smbios-")) return true;
    return is_kept(rows) && identifier.name != "uuid" && identifier.name != "name" && identifier.name != "vm-generation-id";
}

std::string why_the_sources(const Identifier& identifier) {
    if (identifier.name.starts_with("smbios-"))
        return "the VM goes on from its source's memory, where this is the source's; stop and start it to give it its own";
    const bool of_the_wire = identifier.name.starts_with("mac.") || identifier.name.starts_with("ip.");
    if (!of_the_wire) return "identity 'keep' was asked for";
    return "identity 'keep' was asked for: the guest goes on with its source's, its link down; stop and start it to give it its own";
}

std::string why_pending(const VmRows& rows) {
    if (!is_on(rows)) return "the VM is off: the guest takes it when it starts";
    if (rows.identity && rows.identity->trouble) return *rows.identity->trouble;
    if (rows.vm.identity_state == IdentityState::own) return "the guest did not show one";
    if (rows.vm.identity_state == IdentityState::given) return "the guest was given it at its gate; it is read back when the guest agent answers";
    return "the guest agent has not answered yet; without qemu-guest-agent in the guest it can be neither set nor seen";
}

// Not seen in the guest, or nothing to be seen there.
void settle_unseen(IdentityFact& fact, const Identifier& identifier, const VmRows& rows) {
    fact.new_value = identifier.wanted;
    fact.means = identifier.proof == Proof::row ? "row" : "hypervisor";
    if (is_the_sources(identifier, rows)) {
        fact.new_value = fact.old_value;
        fact.state = FactState::kept;
        if (identifier.proof == Proof::guest) fact.means = "none";
        fact.reason = why_the_sources(identifier);
    } else if (identifier.proof == Proof::row) {
        fact.state = fact.old_value == fact.new_value && fact.old_value ? FactState::kept : FactState::fresh;
    } else if (identifier.proof == Proof::machine && is_on(rows) && !identifier.wanted) {
        fact.reason = "the VM's process has not told it; ask again";
    } else if (identifier.proof == Proof::machine && is_on(rows)) {
        fact.state = FactState::fresh;
        fact.reason = "part of the running VM's hardware; not read back from the guest";
    } else if (identifier.proof == Proof::machine) {
        fact.reason = "the VM is off: its hardware has it from its next start on";
    } else if (is_kept(rows) && !identifier.name.starts_with("ip.")) {
        fact.new_value = fact.old_value;
        fact.state = FactState::kept;
        fact.means = "none";
        fact.reason = "identity 'keep' was asked for";
    } else {
        fact.means = identifier.wanted ? "seed" : "none";
        fact.reason = why_pending(rows);
    }
}

void settle_seen(IdentityFact& fact, const Identifier& identifier, const IdentityFact& seen, const VmRows& rows) {
    fact.new_value = seen.new_value;
    fact.means = seen.means;
    fact.reason = seen.reason;
    fact.state = seen.state == FactState::kept ? FactState::kept : FactState::fresh;
    if (fact.old_value == fact.new_value && fact.old_value) {
        fact.state = FactState::kept;
        fact.reason = is_kept(rows) ? "identity 'keep' was asked for" : "the guest still has the source's";
    } else if (identifier.wanted && seen.new_value != identifier.wanted && rows.vm.identity_state == IdentityState::pending) {
        fact.state = FactState::pending;
        fact.new_value = identifier.wanted;
        fact.reason = why_pending(rows);
    }
}

Result<VmRows> rows_to_report(Transaction& transaction, const VmId& vm) {
    TRY_ASSIGN(VmRows rows, load_vm(transaction, vm));
    TRY_ASSIGN(const std::optional<MemoryImageUser> user, store::find<MemoryImageUser>(transaction, {{"vmUuid", vm.text()}}));
    if (!user) return rows;
    TRY_ASSIGN(const std::optional<MemoryImage> image, store::find<MemoryImage>(transaction, {{"uuid", user->memory_image_uuid.text()}}));
    rows.from_memory = !image || image->source_vm_uuid != vm;  // its own memory knows it by its own numbers
    return rows;
}

std::size_t count_of(const std::vector<IdentityFact>& facts, FactState state) {
    return static_cast<std::size_t>(std::ranges::count(facts, state, &IdentityFact::state));
}

}  // namespace

api::VmIdentityReport identity_report(const VmRows& rows) {
    api::VmIdentityReport report;
    report.vm_instance_uuid = rows.vm.uuid;
    report.name = rows.vm.name;
    report.mode = name_of(rows.identity ? rows.identity->mode : IdentityMode::reset);
    if (rows.identity) report.source_uuid = rows.identity->source_uuid;
    const std::vector<IdentityFact> source = rows.identity ? guest::from_texts(rows.identity->source_values) : std::vector<IdentityFact>{};
    const std::vector<IdentityFact> seen = seen_facts(rows);
    std::vector<Identifier> identifiers = identifiers_of(rows);
    const auto add_if_new = [&](const IdentityFact& fact) {
        if (fact.identifier == "dhcp-client-id" || fact.identifier.starts_with("mac.") || fact.identifier.starts_with("ip.")) return;
        if (std::ranges::find(identifiers, fact.identifier, &Identifier::name) == identifiers.end())
            identifiers.push_back({fact.identifier, Proof::guest, std::nullopt});
    };
    std::ranges::for_each(seen, add_if_new);
    std::ranges::for_each(source, add_if_new);
    for (const Identifier& identifier : identifiers) {
        IdentityFact fact;
        fact.identifier = identifier.name;
        if (const IdentityFact* old = guest::find_fact(source, identifier.name)) fact.old_value = old->new_value;
        if (const IdentityFact* now = guest::find_fact(seen, identifier.name)) {
            settle_seen(fact, identifier, *now, rows);
        } else {
            settle_unseen(fact, identifier, rows);
            const bool nobody_has_one = !fact.old_value && !fact.new_value;
            if (nobody_has_one && rows.vm.identity_state == IdentityState::own) continue;
        }
        report.facts.push_back(std::move(fact));
    }
    report.state = count_of(report.facts, FactState::pending) > 0 ? FactState::pending
                   : count_of(report.facts, FactState::kept) > 0  ? FactState::kept
                                                                  : FactState::fresh;
    return report;
}

void ask_machine(hypervisor::Hypervisor& hypervisor, VmRows& rows) {
    if (!is_on(rows)) return;
    const Patience patience = Patience::at_most(kMachinePatience);
    Result<std::string> told = hypervisor.generation_id(rows.vm.uuid);
    if (told.has_value()) rows.generation_id = std::move(*told);
}

Result<std::string> get_identity(Parts& parts, const api::GetVmInstanceIdentity& message) {
    TRY_ASSIGN(VmRows rows, store::read(parts.database(), [&](Transaction& transaction) { return rows_to_report(transaction, message.uuid); }));
    ask_machine(parts.hypervisor, rows);
    std::string body = api::to_json(identity_report(rows));
    body.pop_back();
    return body + ",\"success\":true}";
}

Result<std::string> identity_reports(Parts& parts, const std::vector<VmId>& vms) {
    std::vector<VmRows> found;
    TRY(store::read(parts.database(), [&](Transaction& transaction) -> Result<void> {
        for (const VmId& vm : vms) {
            Result<VmRows> rows = rows_to_report(transaction, vm);
            if (rows.has_value()) found.push_back(std::move(*rows));
        }
        return {};
    }));
    std::string list;
    for (VmRows& rows : found) {
        ask_machine(parts.hypervisor, rows);
        const api::VmIdentityReport report = identity_report(rows);
        if (!list.empty()) list += ',';
        list += vms.size() <= limits::kIdentityReportsInJobMax
                    ? api::to_json(report)
                    : fmt::format(R"({{"vmInstanceUuid":"{}","new":{},"pending":{},"kept":{}}})", rows.vm.uuid.text(),
                                  count_of(report.facts, FactState::fresh), count_of(report.facts, FactState::pending),
                                  count_of(report.facts, FactState::kept));
    }
    return "[" + list + "]";
}

VmIdentity identity_of_clone(const VmRows& source, const VmId& clone, IdentityMode mode) {
    VmIdentity identity;
    identity.vm_instance_uuid = clone;
    identity.mode = mode;
    identity.source_uuid = source.vm.uuid;
    identity.instance_id = mode == IdentityMode::keep ? source.instance_id() : clone.text();
    if (mode == IdentityMode::keep) identity.host_name = source.host_name;
    std::vector<IdentityFact> values = seen_facts(source);
    for (const Identifier& identifier : identifiers_of(source)) {
        // Inside the guest only what was seen is known; the names we gave it are as good as seen.
        const bool named = identifier.name == "host-name" || identifier.name == "instance-id" || identifier.name.starts_with("ip.");
        if (!identifier.wanted || (identifier.proof == Proof::guest && !named)) continue;
        if (guest::find_fact(values, identifier.name) != nullptr && identifier.proof == Proof::guest) continue;
        std::erase_if(values, [&](const IdentityFact& fact) { return fact.identifier == identifier.name; });
        values.push_back({identifier.name, std::nullopt, identifier.wanted, FactState::fresh, "row", std::nullopt});
    }
    identity.source_values = guest::to_texts(values);
    return identity;
}

Result<guest::WantedIdentity> wanted_identity(Transaction& transaction, const VmId& vm) {
    TRY_ASSIGN(const VmRows rows, load_vm(transaction, vm));
    guest::WantedIdentity wanted{vm, rows.instance_id(), rows.host_name, IdentityMode::reset, false};
    if (rows.identity) wanted.mode = rows.identity->mode;
    if (wanted.mode == IdentityMode::keep && rows.host_name == rows.identity->host_name) wanted.host_name.clear();
    wanted.expects_address = std::ranges::any_of(rows.nics, [](const VmNic& nic) { return nic.ip && nic.state == NicState::enable; });
    return wanted;
}

}  // namespace ramet::lifecycle

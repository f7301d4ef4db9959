#include "lifecycle/settings.hpp"

#include "api/json.hpp"
#include "lifecycle/rows.hpp"
#include "lifecycle/vm_names.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

constexpr std::string_view kHostNameTag = "hostname::";

Result<void> erase_host_name(Transaction& transaction, const VmId& vm) {
    TRY_ASSIGN(const std::vector<SystemTag> tags, store::list<SystemTag>(transaction, {{"resourceUuid", vm.text()}}));
    for (const SystemTag& tag : tags) {
        if (tag.tag.starts_with(kHostNameTag)) TRY(store::erase<SystemTag>(transaction, {{"uuid", tag.uuid.text()}}));
    }
    return {};
}

// A guest that runs is given its new name too, as soon as its agent answers.
Result<void> mark_identity_pending(Transaction& transaction, const VmId& id, Timestamp now) {
    TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, id.text()));
    vm.identity_state = IdentityState::pending;
    vm.last_op_date = now;
    return store::update(transaction, vm);
}

}  // namespace

Result<std::string> update_vm(Parts& parts, const api::UpdateVmInstance& message) {
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(VmInstance vm, store::get<VmInstance>(transaction, message.uuid.text()));
        if (message.cpu_num || message.memory_size)
            TRY(require_state(ErrorCode::operation_failed, vm, "UpdateVmInstance (cpuNum, memorySize)", {VmState::stopped, VmState::created}, {}));
        if (message.name && message.name->empty()) return fail(ErrorCode::invalid_argument, "name is empty; give the VM instance a name");
        if (message.name) {
            TRY(require_unique_names(transaction, {{"name", *message.name}}, vm.uuid));
            vm.name = *message.name;
        }
        if (message.state && *message.state != name_of(vm.state)) {
            return fail(ErrorCode::invalid_argument,
                        "state: the VM instance is " + std::string(name_of(vm.state)) + "; use StartVmInstance or StopVmInstance to change that");
        }
        if (message.description) vm.description = message.description;
        if (message.platform) vm.platform = *message.platform;
        if (message.guest_os_type) vm.guest_os_type = message.guest_os_type;
        if (message.cpu_num) vm.cpu_num = *message.cpu_num;
        if (message.memory_size) vm.memory_size = *message.memory_size;
        if (message.default_l3_network_uuid) {
            TRY_ASSIGN(const std::int64_t nics, store::count<VmNic>(transaction, {{"vmInstanceUuid", message.uuid.text()},
                                                                                  {"l3NetworkUuid", message.default_l3_network_uuid->text()}}));
            if (nics == 0) return fail(ErrorCode::invalid_argument, "defaultL3NetworkUuid names a network the VM instance has no NIC on");
            vm.default_l3_network_uuid = message.default_l3_network_uuid;
        }
        vm.last_op_date = parts.now();
        return store::update(transaction, vm);
    }));
    return parts.shared.inventory.reply<VmInstance>(message.uuid.text());
}

Result<std::string> set_host_name(Parts& parts, const identity::Caller& caller, const api::SetVmHostname& message) {
    TRY(parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(erase_host_name(transaction, message.uuid));
        TRY(resources::add_system_tags(transaction, "VmInstanceVO", message.uuid.text(), {std::string(kHostNameTag) + message.hostname}, parts.now(),
                                       "hostname", caller.admin));
        return mark_identity_pending(transaction, message.uuid, parts.now());
    }));
    parts.identity_keeper.notice();
    return std::string("{}");
}

Result<std::string> get_host_name(Parts& parts, const api::GetVmHostname& message) {
    return store::read(parts.database(), [&](Transaction& transaction) -> Result<std::string> {
        TRY_ASSIGN(const std::vector<SystemTag> tags, store::list<SystemTag>(transaction, {{"resourceUuid", message.uuid.text()}}));
        std::string body = "{";
        for (const SystemTag& tag : tags) {
            if (!tag.tag.starts_with(kHostNameTag)) continue;
            body += "\"hostname\":";
            api::append_json_string(body, std::string_view(tag.tag).substr(kHostNameTag.size()));
            body += ',';
        }
        return body + "\"success\":true}";
    });
}

Result<std::string> delete_host_name(Parts& parts, const api::DeleteVmHostname& message) {
    TRY(parts.database().write([&](Transaction& transaction) { return erase_host_name(transaction, message.uuid); }));
    return std::string("{}");
}

Result<std::string> console_address(Parts& parts, const api::GetVmConsoleAddress& message) {
    TRY_ASSIGN(const VmInstance vm,
               store::read(parts.database(), [&](Transaction& transaction) { return store::get<VmInstance>(transaction, message.uuid.text()); }));
    TRY(require_state(ErrorCode::operation_failed, vm, "GetVmConsoleAddress", {VmState::running, VmState::paused}, {}));
    api::GetVmConsoleAddressReply reply{"127.0.0.1", 0, "vnc", {}};
    TRY_ASSIGN(reply.path, parts.hypervisor.console_socket(message.uuid));
    std::string body = api::to_json(reply);
    body.pop_back();
    return body + ",\"success\":true}";
}

Result<std::string> change_nic_state(Parts& parts, const api::ChangeVmNicState& message) {
    const bool enabled = message.state == "enable";
    TRY_ASSIGN(const VmNic nic, store::write(parts.database(), [&](Transaction& transaction) -> Result<VmNic> {
                   TRY_ASSIGN(VmNic row, store::get<VmNic>(transaction, message.vm_nic_uuid.text()));
                   TRY_ASSIGN(const VmInstance vm, store::get<VmInstance>(transaction, row.vm_instance_uuid.text()));
                   TRY(require_state(ErrorCode::operation_failed, vm, "ChangeVmNicState",
                                     {VmState::running, VmState::stopped, VmState::paused, VmState::created}, {}));
                   row.state = enabled ? NicState::enable : NicState::disable;
                   row.last_op_date = parts.now();
                   TRY(store::update(transaction, row));
                   return row;
               }));
    TRY_ASSIGN(const hypervisor::DomainState state, parts.hypervisor.state(nic.vm_instance_uuid));
    if (state != hypervisor::DomainState::shut_off) {
        TRY(parts.hypervisor.set_link(nic.vm_instance_uuid, nic.uuid, enabled));
        TRY(parts.shared.plumbing.set_port(nic.internal_name, enabled));
    }
    return parts.shared.inventory.reply<VmNic>(nic.uuid.text());
}

}  // namespace ramet::lifecycle

// A VM's rows read together, and what the ports need made from them. Inside the caller's transaction; no I/O of its own.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "guest/identity_record.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/plumbing.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "storage/primary_storage.hpp"
#include "store/database.hpp"

namespace ramet::lifecycle {

struct VmRows {
    VmInstance vm;
    std::vector<VmNic> nics;      // by device id
    std::vector<Volume> volumes;  // attached ones, by device id; the root volume first
    std::string host_name;        // what the guest is to be called
    std::optional<VmIdentity> identity;
    bool from_memory = false;                  // its process goes on from another's memory; only the identity report asks
    std::optional<std::string> generation_id;  // of its running process, where that was asked
    std::string generation() const { return vm.revert_job_uuid ? vm.revert_job_uuid->text() : ""; }
    std::string instance_id() const { return identity ? identity->instance_id : vm.uuid.text(); }
};

Result<VmRows> load_vm(store::Transaction& transaction, const VmId& vm);
Result<std::vector<std::string>> system_tags_of(store::Transaction& transaction, const std::string& resource);

// Every layer from `top` down to the base, each with its storage's directory and its format.
Result<std::vector<storage::Place>> chain_of(store::Transaction& transaction, const LayerId& top);
Result<storage::Place> place_of(store::Transaction& transaction, const Layer& layer);

Result<hypervisor::DiskSpec> disk_spec(store::Transaction& transaction, const Volume& volume);
// `seed_image` may be empty. `taps`: NICs have tap devices; else user networking.
Result<hypervisor::DomainSpec> domain_spec(store::Transaction& transaction, const VmRows& rows, const std::string& seed_image, bool taps);

Result<hypervisor::NetworkSpec> network_spec(store::Transaction& transaction, const L3NetworkId& l3);
hypervisor::PortSpec port_spec(const VmRows& rows, const VmNic& nic);

// The host name of a VM: its hostname tag, else its name with every other character than [a-z0-9-] as '-'.
std::string host_name_from(const std::string& vm_name, const VmId& vm);

// wrong_state naming the present state, the message and the allowed states, wrapped in `outer` as ZStack does.
Error wrong_state(ErrorCode outer, const VmInstance& vm, std::string_view message, std::initializer_list<VmState> allowed);
// An error when the VM is not in one of `allowed`, or is still being made by a job other than `job`.
Result<void> require_state(ErrorCode outer, const VmInstance& vm, std::string_view message, std::initializer_list<VmState> allowed, const JobId& job);

Result<void> set_vm_state(store::Transaction& transaction, VmInstance vm, VmState state, Timestamp now);

std::string seed_path(const std::string& data_dir, const VmId& vm);
// "rootVolumes/acct-<a>/vol-<v>/<v>.qcow2": the first layer of a volume.
std::string first_layer_path(const Volume& volume, const AccountId& account);
// A later layer beside the first.
std::string later_layer_path(const Layer& first_or_any, const LayerId& layer);

}  // namespace ramet::lifecycle

// CreateVmInstance: image ─► image cache ─► root overlay (+ data volumes) ─► boot.
#pragma once

#include "api/messages_vm.hpp"
#include "lifecycle/action.hpp"
#include "lifecycle/make_vm.hpp"

namespace ramet::lifecycle {

void register_create_saga(workflow::Engine& engine, Parts& parts);
Result<JobId> create_vm(Parts& parts, const Request& request, const api::CreateVmInstance& message);

// Rules that create and clone share for NIC parameters (contract 3.1): the first broken one, naming "vmNicParams[i].field".
Result<void> check_nic_params(const std::vector<api::VmNicParam>& params, const std::vector<L3NetworkId>& networks, std::size_t vm_count);
// Limits of bandwidth and several queues want taps: refused where NICs use QEMU user networking.
Result<void> check_nic_powers(const Parts& parts, const std::vector<api::VmNicParam>& params);
NicBlueprint nic_blueprint(const VmId& vm, const L3NetworkId& l3, std::int64_t device_id, Timestamp now);
void apply_nic_param(NicBlueprint& nic, const api::VmNicParam& param, std::size_t index);
// What the tags staticIp::{l3}::{ip} and customMac::{l3}::{mac} ask for. invalid_argument: no NIC on that network, or a NIC parameter that
// asks for something else.
Result<void> apply_address_tags(std::vector<NicBlueprint>& nics, const std::vector<std::string>& system_tags);
// Whether a NIC is to have a MAC of the caller's, by a parameter or by a tag.
bool asks_for_mac(const std::vector<api::VmNicParam>& params, const std::vector<std::string>& system_tags);
Volume volume_row(const VolumeId& uuid, const VmInstance& vm, VolumeType type, std::int64_t device_id, std::int64_t size, Timestamp now);
// Fills in the volume's first layer on `storage`, with its path and top.
Layer first_layer(Volume& volume, const PrimaryStorage& storage, const AccountId& account, const std::optional<LayerId>& parent, Timestamp now);

}  // namespace ramet::lifecycle

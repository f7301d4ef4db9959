#include <stdexcept>

#include "base/limits.hpp"
#include "clone/clone_vm.hpp"
#include "identity/accounts.hpp"
#include "lifecycle/create_vm.hpp"
#include "lifecycle/snapshots.hpp"
#include "simulation/world.hpp"

namespace ramet::sim {

namespace {
constexpr std::chrono::minutes kPatience{30};
}

lifecycle::Request Client::request() { return {identity::admin_caller(), JobId::random(), std::nullopt, std::nullopt}; }

std::optional<Job> Client::wait(const Result<JobId>& job) {
    if (!job.has_value()) {
        scheduler().note("refused: " + job.error().message);
        server_.note_refusal();
        return std::nullopt;
    }
    const Result<Job> end = server_.engine().wait(*job, kPatience);
    if (!end.has_value()) return std::nullopt;
    scheduler().note("job " + end->kind + " " + std::string(name_of(end->state)) + " " + end->error.value_or(""));
    return *end;
}

std::optional<Job> Client::wait(const Result<std::optional<JobId>>& job) {
    if (!job.has_value()) return wait(Result<JobId>(job.error()));
    return *job ? wait(Result<JobId>(**job)) : std::nullopt;
}

std::optional<VmInstance> Client::vm(const std::string& name) {
    const std::vector<VmInstance> found = rows<VmInstance>({{"name", name}});
    return found.empty() ? std::nullopt : std::optional(found.front());
}

VmInstance Client::must_vm(const std::string& name) {
    const std::optional<VmInstance> found = vm(name);
    if (!found) throw std::runtime_error("the scenario has no VM '" + name + "'");
    return *found;
}

Result<JobId> Client::create(const std::string& name, bool start, std::size_t data_disks) {
    api::CreateVmInstance message;
    message.name = name;
    message.cpu_num = 1;
    message.memory_size = 64 * limits::kMiB;
    const std::vector<Image> images = rows<Image>();
    const std::vector<L3Network> networks = rows<L3Network>();
    if (images.empty() || networks.empty()) throw std::runtime_error("the pool has no image or no network");
    message.image_uuid = images.front().uuid;
    message.l3_network_uuids = {networks.front().uuid};
    message.data_disk_sizes.assign(data_disks, limits::kMiB);
    message.strategy = start ? "InstantStart" : "CreateStopped";
    return lifecycle::create_vm(parts(), request(), message);
}

Result<JobId> Client::clone(const VmInstance& source, std::size_t count, const std::function<void(api::CloneVmInstance&)>& edit) {
    api::CloneVmInstance message;
    message.vm_instance_uuid = source.uuid;
    for (std::size_t i = 0; i < count; ++i) message.names.push_back(source.name + "-clone-" + std::to_string(i));
    if (edit) edit(message);
    return clone::clone_vm(parts(), request(), message);
}

Result<JobId> Client::snapshot_group(const VmInstance& vm, const std::string& name, bool memory) {
    api::CreateVolumeSnapshotGroup message;
    message.root_volume_uuid = vm.root_volume_uuid.value_or(VolumeId());
    message.name = name;
    message.with_memory = memory;
    return lifecycle::create_snapshot_group(parts(), request(), message);
}

void Client::guest_writes(const std::string& name) {
    const std::optional<VmInstance> found = vm(name);
    if (found && vms().domain(found->uuid)) vms().change(found->uuid, [](test::FakeHypervisor::Domain& domain) { domain.written = true; });
}

}  // namespace ramet::sim

#include "simulation/stuck_jobs.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "model/memory_image.hpp"
#include "model/resources.hpp"
#include "model/snapshots.hpp"

namespace ramet::sim {

namespace {

constexpr std::size_t kUuid = 32;  // hexadecimal digits

void add_uuids(std::set<std::string>& found, std::string_view text) {
    std::size_t digits = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i])) != 0) {
            ++digits;
            continue;
        }
        if (digits == kUuid) found.insert(std::string(text.substr(i - kUuid, kUuid)));
        digits = 0;
    }
}

// What all VMs have in common is no job's own.
template <class Row>
void leave_out(Client& client, std::set<std::string>& found) {
    for (const Row& row : client.rows<Row>()) found.erase(row.uuid.text());
}

template <class Id>
bool has(const std::set<std::string>& found, const std::optional<Id>& id) {
    return id && found.contains(id->text());
}

void add_jobs(Client& client, std::set<std::string>& found) {
    for (const Job& job : client.rows<Job>({{"state", std::string(name_of(JobState::stuck))}})) {
        found.insert(job.uuid.text());
        for (const std::string& text : {job.target_uuid.value_or(""), job.plan, job.result.value_or(""), job.error.value_or("")})
            add_uuids(found, text);
        for (const JobStep& step : client.rows<JobStep>({{"jobUuid", job.uuid.text()}})) add_uuids(found, step.output);
    }
    leave_out<Account>(client, found);
    leave_out<Zone>(client, found);
    leave_out<Cluster>(client, found);
    leave_out<Host>(client, found);
    leave_out<PrimaryStorage>(client, found);
    leave_out<BackupStorage>(client, found);
    leave_out<Image>(client, found);
    leave_out<L2Network>(client, found);
    leave_out<L3Network>(client, found);
    leave_out<IpRange>(client, found);
}

// What belongs to what is there already.
void add_parts(Client& client, std::set<std::string>& found) {
    for (const VmInstance& vm : client.rows<VmInstance>())
        if (has(found, vm.owner_job_uuid)) found.insert(vm.uuid.text());
    for (const VmNic& nic : client.rows<VmNic>()) {
        if (!found.contains(nic.vm_instance_uuid.text())) continue;
        found.insert(nic.uuid.text());
        found.insert(nic.internal_name);
    }
    for (const Volume& volume : client.rows<Volume>())
        if (has(found, volume.vm_instance_uuid) || has(found, volume.last_vm_instance_uuid)) found.insert(volume.uuid.text());
    for (const Layer& layer : client.rows<Layer>())
        if (has(found, layer.volume_uuid)) found.insert(layer.uuid.text());
    for (const Checkpoint& checkpoint : client.rows<Checkpoint>())
        if (found.contains(checkpoint.uuid.text()) && checkpoint.memory_image_uuid) found.insert(checkpoint.memory_image_uuid->text());
    for (const VolumeSnapshotGroup& group : client.rows<VolumeSnapshotGroup>())
        if (found.contains(group.uuid.text()) && group.memory_image_uuid) found.insert(group.memory_image_uuid->text());
    for (const MemoryImage& image : client.rows<MemoryImage>())
        if (has(found, image.owner_job_uuid)) found.insert(image.uuid.text());
}

}  // namespace

std::set<std::string> resources_of_stuck_jobs(Client& client) {
    std::set<std::string> found;
    add_jobs(client, found);
    if (!found.empty()) add_parts(client, found);
    return found;
}

std::vector<std::string> findings_of_others(std::vector<std::string> findings, const std::set<std::string>& resources) {
    std::erase_if(findings, [&](const std::string& finding) {
        return std::ranges::any_of(resources, [&](const std::string& resource) { return finding.find(resource) != std::string::npos; });
    });
    return findings;
}

}  // namespace ramet::sim

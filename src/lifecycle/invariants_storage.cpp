// I1 to I6, I26: what is on disk, held against the rows and against the files' own headers.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "base/patience.hpp"
#include "base/task_group.hpp"
#include "lifecycle/invariants.hpp"
#include "lifecycle/reconcile.hpp"
#include "storage/file.hpp"
#include "storage/qcow2_header.hpp"

namespace ramet::lifecycle::checks {

namespace {

// What a layer's file says of itself; nothing when it is not there (I1 tells that) or has just been removed.
struct LayerFile {
    std::string path;  // absolute
    std::int64_t bytes = 0;
    mode_t mode = 0;
    storage::Qcow2Header header;
    std::string backing;  // as the header has it
    std::string problem;  // why the header cannot be read
};

std::string absolute_path(const Rows& rows, const Layer& layer) {
    const auto storage = std::ranges::find(rows.storages, layer.primary_storage_uuid, &PrimaryStorage::uuid);
    return storage == rows.storages.end() ? layer.path : storage->url + "/" + layer.path;
}

std::optional<LayerFile> read_layer_file(const Rows& rows, const Layer& layer) {
    LayerFile file;
    file.path = absolute_path(rows, layer);
    const storage::UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return std::nullopt;
    file.bytes = status.st_size;
    file.mode = status.st_mode;
    if (layer.format != DiskFormat::qcow2) return file;
    const Result<storage::Qcow2Header> header = storage::read_qcow2_header(fd.get(), file.bytes);
    if (!header.has_value()) {
        file.problem = header.error().message;
        return file;
    }
    file.header = *header;
    const Result<std::string> backing = storage::read_backing_name(fd.get(), *header);
    if (backing.has_value())
        file.backing = *backing;
    else
        file.problem = backing.error().message;
    return file;
}

const Layer* layer_of(const Rows& rows, const std::optional<LayerId>& uuid) {
    if (!uuid) return nullptr;
    const auto found = std::ranges::find(rows.layers, *uuid, &Layer::uuid);
    return found == rows.layers.end() ? nullptr : &*found;
}

// A layer's file is there for good once its volume is Ready; before, and while it is removed, a job is at work on it.
bool is_settled(const Rows& rows, const Layer& layer) {
    if (layer.deleting) return false;
    if (layer.image_uuid || layer.sealed) return true;
    return std::ranges::any_of(rows.volumes,
                               [&](const Volume& volume) { return volume.top_layer_uuid == layer.uuid && volume.status == VolumeStatus::ready; });
}

// A merge names the new parent in the file first and in the rows next.
bool is_being_changed(const Rows& rows, const Layer& layer) {
    const auto volume = std::ranges::find(rows.volumes, std::optional(layer.uuid), &Volume::top_layer_uuid);
    if (volume == rows.volumes.end()) return false;
    return std::ranges::any_of(rows.unfinished, [&](const Job& job) {
        if (job.state == JobState::stuck) return false;
        return job.target_uuid == volume->uuid.text() || (volume->vm_instance_uuid && job.target_uuid == volume->vm_instance_uuid->text());
    });
}

}  // namespace

Result<Findings> everything_is_owned(Parts& parts, const Survey& survey) {
    Findings findings;
    TRY_ASSIGN(const std::vector<Finding> state, find_orphaned_state(parts, survey));
    for (const Finding& finding : state) findings.push_back(finding.kind + ": " + finding.what);
    for (const Unowned& thing : unowned(survey)) findings.push_back(thing.kind + ": " + (thing.root.empty() ? "" : thing.root + "/") + thing.what);
    for (const Garbage& thing : survey.rows.garbage)
        if (thing.moved_to) findings.push_back("in quarantine: " + thing.root + "/" + *thing.moved_to);
    for (const Layer& layer : survey.rows.layers)
        if (is_settled(survey.rows, layer) && !layer.image_uuid && !read_layer_file(survey.rows, layer))
            findings.push_back("row without file: " + absolute_path(survey.rows, layer));
    return findings;
}

Result<Findings> ready_volumes_are_whole(Parts&, const Survey& survey) {
    Findings findings;
    for (const Volume& volume : survey.rows.volumes) {
        const Layer* top = layer_of(survey.rows, volume.top_layer_uuid);
        if (volume.status != VolumeStatus::ready) continue;
        if (top == nullptr) {
            findings.push_back("volume " + volume.uuid.text() + " is Ready and has no layer");
            continue;
        }
        if (top->volume_uuid != volume.uuid && !is_being_changed(survey.rows, *top))
            findings.push_back("volume " + volume.uuid.text() + " is written to a layer that is not its own");
        const std::optional<LayerFile> file = read_layer_file(survey.rows, *top);
        if (!file)
            findings.push_back("volume " + volume.uuid.text() + ": " + absolute_path(survey.rows, *top) + " is not there");
        else if (!file->problem.empty())
            findings.push_back(file->path + ": " + file->problem);
        else if (top->format == DiskFormat::qcow2 && file->header.virtual_bytes != static_cast<std::uint64_t>(top->size))
            findings.push_back(file->path + " shows the guest " + std::to_string(file->header.virtual_bytes) + " bytes, its row " +
                               std::to_string(top->size));
    }
    return findings;
}

Result<Findings> no_partial_file_is_left(Parts&, const Survey& survey) {
    Findings findings;
    const bool at_work = std::ranges::any_of(survey.rows.unfinished, [](const Job& job) { return job.state != JobState::stuck; });
    if (at_work) return findings;
    for (const std::vector<Objects::Folder>& folders : {survey.objects.storages, survey.objects.image_stores})
        for (const Objects::Folder& folder : folders)
            for (const std::string& path : folder.files)
                if (path.ends_with(".partial")) findings.push_back(folder.root + "/" + path);
    return findings;
}

Result<Findings> headers_name_the_parents_of_the_rows(Parts&, const Survey& survey) {
    Findings findings;
    for (const Layer& layer : survey.rows.layers) {
        if (!is_settled(survey.rows, layer) || is_being_changed(survey.rows, layer) || layer.format != DiskFormat::qcow2) continue;
        const std::optional<LayerFile> file = read_layer_file(survey.rows, layer);
        if (!file || !file->problem.empty()) continue;  // I1 and I2 tell
        const Layer* parent = layer_of(survey.rows, layer.parent_uuid);
        const std::string wanted = parent == nullptr ? "" : absolute_path(survey.rows, *parent);
        if (file->backing != wanted) findings.push_back(file->path + " stands on '" + file->backing + "', its row says '" + wanted + "'");
    }
    return findings;
}

Result<Findings> layers_with_children_are_sealed(Parts&, const Survey& survey) {
    Findings findings;
    std::map<std::string, const Layer*> parents;
    for (const Layer& layer : survey.rows.layers) {
        if (!is_settled(survey.rows, layer)) continue;
        if (const Layer* parent = layer_of(survey.rows, layer.parent_uuid)) parents.emplace(parent->uuid.text(), parent);
    }
    // The mark is what the steps go by: one on a file that is not sealed lets the next layer be put on what can still change.
    for (const Layer& layer : survey.rows.layers) {
        if (!layer.sealed || layer.image_uuid || parents.contains(layer.uuid.text())) continue;  // of parents below
        if (!is_settled(survey.rows, layer) || is_being_changed(survey.rows, layer)) continue;
        const std::optional<LayerFile> file = read_layer_file(survey.rows, layer);
        if (file && (file->mode & (S_IWUSR | S_IWGRP | S_IWOTH)) != 0)
            findings.push_back("layer " + layer.uuid.text() + " is marked as sealed and its file can be written");
    }
    for (const auto& [uuid, parent] : parents) {
        const std::optional<LayerFile> file = read_layer_file(survey.rows, *parent);
        if (!parent->sealed) findings.push_back("layer " + uuid + " has children and is not marked as sealed");
        if (file && (file->mode & (S_IWUSR | S_IWGRP | S_IWOTH)) != 0) findings.push_back(file->path + " has children and can be written");
    }
    return findings;
}

Result<Findings> chains_are_sound(Parts&, const Survey& survey) {
    Findings findings;
    for (const Layer& layer : survey.rows.layers) {
        // Also of a layer that is being made or merged: every cut makes room before it puts a layer on a top (lifecycle/shorten.hpp).
        std::size_t depth = 1;
        for (const Layer* below = layer_of(survey.rows, layer.parent_uuid); below != nullptr && depth <= limits::kChainDepthMax;
             below = layer_of(survey.rows, below->parent_uuid))
            ++depth;
        if (depth > limits::kChainDepthMax)
            findings.push_back("the chain of layer " + layer.uuid.text() + " has more than " + std::to_string(limits::kChainDepthMax) +
                               " layers, or is a circle");
        if (layer.parent_uuid && layer_of(survey.rows, layer.parent_uuid) == nullptr)
            findings.push_back("layer " + layer.uuid.text() + " names a parent that has no row");
        if (layer.path.empty() || layer.path.front() == '/' || layer.path.find("..") != std::string::npos)
            findings.push_back("layer " + layer.uuid.text() + " lies outside of its storage: " + layer.path);
        if (!is_settled(survey.rows, layer)) continue;
        if (layer.path.ends_with(".qcow2") && layer.format != DiskFormat::qcow2)
            findings.push_back("layer " + layer.uuid.text() + " is a qcow2 file and has another format in its row");
        const std::optional<LayerFile> file = read_layer_file(survey.rows, layer);
        if (!file || !file->problem.empty()) continue;
        if (file->header.names_data_file) findings.push_back(file->path + " names a data file");
        if (!file->backing.empty() && file->backing.front() != '/')
            findings.push_back(file->path + " names its backing file as '" + file->backing + "'");
    }
    return findings;
}

Result<Findings> disks_have_one_writer(Parts& parts, const Survey& survey) {
    const std::vector<VmId> domains(survey.objects.domains.begin(), survey.objects.domains.end());
    std::vector<std::vector<hypervisor::DiskTop>> tops(domains.size());
    for_each_parallel(domains.size(), limits::kVmsAskedAtOnce, [&](std::size_t index) {
        const Patience patience = Patience::at_most(kDoctorPatience);
        Result<std::vector<hypervisor::DiskTop>> told = parts.hypervisor.disk_tops(domains[index]);
        if (told.has_value()) tops[index] = std::move(*told);  // else it ended meanwhile, or hangs, which I10 tells
    });
    Findings findings;
    std::map<std::string, std::string> writers;
    for (std::size_t index = 0; index < domains.size(); ++index) {
        for (const hypervisor::DiskTop& top : tops[index]) {
            const auto [entry, first] = writers.emplace(top.place.root + "/" + top.place.path, domains[index].text());
            if (!first) findings.push_back(entry->first + " is written by VMs " + entry->second + " and " + domains[index].text());
        }
    }
    return findings;
}

}  // namespace ramet::lifecycle::checks

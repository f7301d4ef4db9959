#include "resources/computed_fields.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "resources/global_configs.hpp"

namespace ramet::resources {
namespace {

constexpr std::size_t kVolumesPerQuery = 5000;  // SQLite takes 32 766 parameters in one statement

template <class Row, class Visit>
void for_each_row(const RowsByType& rows, const Visit& visit) {
    const auto found = rows.find(&describe<Row>());
    if (found == rows.end()) return;
    for (void* const row : found->second) visit(*static_cast<Row*>(row));
}

std::int64_t number(const store::Value& value) {
    const auto* const integer = std::get_if<std::int64_t>(&value);
    return integer == nullptr ? 0 : *integer;
}

std::string text(const store::Value& value) {
    const auto* const held = std::get_if<std::string>(&value);
    return held == nullptr ? std::string() : *held;
}

Result<void> read_used_by_host(store::Transaction& transaction, ComputedInputs& inputs) {
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT \"hostUuid\", SUM(\"cpuNum\"), SUM(\"memorySize\") FROM \"" + std::string(describe<VmInstance>().table) +
                                 "\" WHERE \"hostUuid\" IS NOT NULL GROUP BY \"hostUuid\""));
    for (const store::Values& row : rows) inputs.used_by_host[text(row.at(0))] = {number(row.at(1)), number(row.at(2))};
    return {};
}

Result<void> read_sizes_by_storage(store::Transaction& transaction, ComputedInputs& inputs) {
    TRY_ASSIGN(inputs.storage_ratio, storage_ratio(transaction));
    if (inputs.storage_ratio == 0) return {};
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT \"primaryStorageUuid\", SUM(\"size\") FROM \"" + std::string(describe<Volume>().table) +
                                 "\" WHERE \"primaryStorageUuid\" IS NOT NULL GROUP BY \"primaryStorageUuid\""));
    for (const store::Values& row : rows) inputs.sizes_by_storage[text(row.at(0))] = number(row.at(1));
    return {};
}

Result<void> read_layers(store::Transaction& transaction, const std::vector<std::string>& volumes, ComputedInputs& inputs) {
    for (std::size_t first = 0; first < volumes.size(); first += kVolumesPerQuery) {
        const std::size_t count = std::min(kVolumesPerQuery, volumes.size() - first);
        std::string sql = "SELECT l.\"volumeUuid\", s.\"url\", l.\"path\" FROM \"" + std::string(describe<Layer>().table) + "\" l JOIN \"" +
                          std::string(describe<PrimaryStorage>().table) + "\" s ON s.\"uuid\" = l.\"primaryStorageUuid\" WHERE l.\"volumeUuid\" IN (";
        store::Values keys;
        for (std::size_t i = 0; i < count; ++i) {
            sql += (i == 0 ? "$" : ", $") + std::to_string(i + 1);
            keys.emplace_back(volumes[first + i]);
        }
        TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(sql + ")", keys));
        for (const store::Values& row : rows) inputs.layers_by_volume[text(row.at(0))].push_back({text(row.at(1)), text(row.at(2))});
    }
    return {};
}

}  // namespace

Result<ComputedInputs> read_computed_inputs(store::Transaction& transaction, const RowsByType& rows) {
    ComputedInputs inputs;
    if (rows.contains(&describe<Host>())) {
        TRY(read_used_by_host(transaction, inputs));
        TRY_ASSIGN(inputs.memory_ratio, memory_ratio(transaction));
    }
    if (rows.contains(&describe<PrimaryStorage>())) TRY(read_sizes_by_storage(transaction, inputs));
    std::vector<std::string> volumes;
    for_each_row<Volume>(rows, [&](const Volume& volume) {
        if (volume.status == VolumeStatus::ready) volumes.push_back(volume.uuid.text());
    });
    TRY(read_layers(transaction, volumes, inputs));
    TRY_ASSIGN(inputs.snapshots_by_tree, read_snapshots_of_trees(transaction, rows));
    return inputs;
}

void fill_computed(const RowsByType& rows, const ComputedInputs& inputs, const LiveFacts& facts) {
    fill_trees(rows, inputs.snapshots_by_tree);
    for_each_row<Host>(rows, [&](Host& host) {
        const auto used = inputs.used_by_host.find(host.uuid.text());
        const ComputedInputs::Used taken = used == inputs.used_by_host.end() ? ComputedInputs::Used{} : used->second;
        host.available_cpu_capacity = std::max<std::int64_t>(0, host.total_cpu_capacity - taken.cpus);
        const double memory = static_cast<double>(host.total_memory_capacity) * inputs.memory_ratio;
        host.available_memory_capacity = std::max<std::int64_t>(0, static_cast<std::int64_t>(memory) - taken.memory_bytes);
    });
    for_each_row<PrimaryStorage>(rows, [&](PrimaryStorage& storage) {
        const PhysicalCapacity physical = facts.capacity ? facts.capacity(storage.url) : PhysicalCapacity{};
        storage.total_capacity = storage.total_physical_capacity = physical.total_bytes;
        storage.available_physical_capacity = physical.available_bytes;
        storage.available_capacity = std::max<std::int64_t>(0, physical.available_bytes - limits::kStorageReservedBytes);
        if (inputs.storage_ratio == 0) return;
        const auto promised = inputs.sizes_by_storage.find(storage.uuid.text());
        storage.total_capacity = static_cast<std::int64_t>(static_cast<double>(physical.total_bytes) * inputs.storage_ratio);
        storage.available_capacity =
            std::max<std::int64_t>(0, storage.total_capacity - (promised == inputs.sizes_by_storage.end() ? 0 : promised->second));
    });
    for_each_row<BackupStorage>(rows, [&](BackupStorage& storage) {
        const PhysicalCapacity physical = facts.capacity ? facts.capacity(storage.url) : PhysicalCapacity{};
        storage.total_capacity = physical.total_bytes;
        storage.available_capacity = physical.available_bytes;
    });
    for_each_row<Volume>(rows, [&](Volume& volume) {
        const auto layers = inputs.layers_by_volume.find(volume.uuid.text());
        if (layers == inputs.layers_by_volume.end() || !facts.allocated_bytes) return;
        std::int64_t allocated = 0;
        for (const ComputedInputs::LayerFile& layer : layers->second) allocated += facts.allocated_bytes(layer.directory, layer.path);
        if (allocated > 0) volume.actual_size = allocated;  // 0: the files are not on this machine; the last known size stands
    });
}

}  // namespace ramet::resources

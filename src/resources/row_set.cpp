#include "resources/row_set.hpp"

#include <algorithm>
#include <unordered_map>

#include "api/messages_resources.hpp"
#include "model/account.hpp"
#include "model/event.hpp"
#include "model/resources.hpp"
#include "model/snapshots.hpp"
#include "model/vm.hpp"
#include "store/table.hpp"

namespace ramet::resources {
namespace {

constexpr std::size_t kParentsPerQuery = 5000;  // SQLite takes 32 766 parameters in one statement

template <class Row>
class RowSetOf final : public RowSet {
public:
    void* append() override { return &rows_.emplace_back(); }
    std::vector<void*> rows() override {
        std::vector<void*> all;
        all.reserve(rows_.size());
        for (Row& row : rows_) all.push_back(&row);
        return all;
    }

private:
    std::vector<Row> rows_;
};

template <class Row>
std::unique_ptr<RowSet> make() {
    return std::make_unique<RowSetOf<Row>>();
}

struct Relation {
    const TypeInfo* parent;
    std::string_view field;
    const TypeInfo* child;
    std::string_view parent_column;  // of the child: holds the parent's uuid
    std::string_view order;          // columns of the child
    std::string_view value = {};     // set: the field is a list of this column, not of rows
};

const std::vector<Relation>& relations() {
    static const std::vector<Relation> all{
        {&describe<VmInstance>(), "vmNics", &describe<VmNic>(), "vmInstanceUuid", "deviceId"},
        {&describe<VmInstance>(), "allVolumes", &describe<Volume>(), "vmInstanceUuid", "deviceId"},
        {&describe<VmInstance>(), "vmCdRoms", &describe<VmCdRom>(), "vmInstanceUuid", "deviceId"},
        {&describe<VmNic>(), "usedIps", &describe<UsedIp>(), "vmNicUuid", "ipInLong"},
        {&describe<L3Network>(), "ipRanges", &describe<IpRange>(), "l3NetworkUuid", "uuid"},
        {&describe<Image>(), "backupStorageRefs", &describe<ImageBackupStorageRef>(), "imageUuid", "backupStorageUuid"},
        {&describe<PrimaryStorage>(), "attachedClusterUuids", &describe<PrimaryStorageClusterRef>(), "primaryStorageUuid", "clusterUuid",
         "clusterUuid"},
        {&describe<L2Network>(), "attachedClusterUuids", &describe<L2NetworkClusterRef>(), "l2NetworkUuid", "clusterUuid", "clusterUuid"},
        {&describe<VolumeSnapshotGroup>(), "volumeSnapshotRefs", &describe<VolumeSnapshotGroupRef>(), "volumeSnapshotGroupUuid", "deviceId"},
        {&describe<Checkpoint>(), "volumes", &describe<CheckpointVolume>(), "checkpointUuid", "deviceId"},
        {&describe<BackupStorage>(), "attachedZoneUuids", &describe<BackupStorageZoneRef>(), "backupStorageUuid", "zoneUuid", "zoneUuid"}};
    return all;
}

const FieldInfo* key_of(const TypeInfo& row) {
    for (const FieldInfo& field : row.fields)
        if (field.rules.primary) return &field;
    return nullptr;
}

// "SELECT parent column, child columns"; the parent column first, so that rows find their parents without being read whole.
std::string relation_sql(const Relation& relation, std::size_t parents) {
    const std::string parent_column = "c.\"" + std::string(relation.parent_column) + "\"";
    std::string columns = relation.value.empty() ? store::erased::column_list(*relation.child, "c") : "c.\"" + std::string(relation.value) + "\"";
    std::string sql = "SELECT " + parent_column + ", " + std::move(columns) + " FROM \"" + std::string(relation.child->table) + "\" c WHERE " +
                      parent_column + " IN (";
    for (std::size_t i = 1; i <= parents; ++i) sql += (i == 1 ? "$" : ", $") + std::to_string(i);
    return sql + ") ORDER BY c.\"" + std::string(relation.order) + "\"";
}

Result<void> fill_chunk(store::Transaction& transaction, const Relation& relation, const FieldInfo& field, const FieldInfo& key,
                        std::span<void* const> parents) {
    std::unordered_map<std::string, void*> by_key;
    store::Values keys;
    for (void* const parent : parents) {
        std::string text(key.text(key.item(key.member(parent), 0)));
        keys.emplace_back(text);
        by_key.emplace(std::move(text), parent);
    }
    TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(relation_sql(relation, keys.size()), keys));
    for (const store::Values& values : rows) {
        const auto* const parent_key = std::get_if<std::string>(&values.at(0));
        const auto parent = parent_key == nullptr ? by_key.end() : by_key.find(*parent_key);
        if (parent == by_key.end()) continue;
        void* const child = field.append(field.member(parent->second));
        if (relation.value.empty())
            store::erased::read_columns(*relation.child, values, 1, child);
        else if (const auto* const text = std::get_if<std::string>(&values.at(1)))
            field.set_text(child, *text);
    }
    return {};
}

}  // namespace

std::unique_ptr<RowSet> make_row_set(const TypeInfo& row) {
    using Make = std::unique_ptr<RowSet> (*)();
    static const std::map<const TypeInfo*, Make> makers{{&describe<Zone>(), make<Zone>},
                                                        {&describe<Cluster>(), make<Cluster>},
                                                        {&describe<Host>(), make<Host>},
                                                        {&describe<PrimaryStorage>(), make<PrimaryStorage>},
                                                        {&describe<BackupStorage>(), make<BackupStorage>},
                                                        {&describe<Image>(), make<Image>},
                                                        {&describe<InstanceOffering>(), make<InstanceOffering>},
                                                        {&describe<DiskOffering>(), make<DiskOffering>},
                                                        {&describe<L2Network>(), make<L2Network>},
                                                        {&describe<L3Network>(), make<L3Network>},
                                                        {&describe<IpRange>(), make<IpRange>},
                                                        {&describe<UsedIp>(), make<UsedIp>},
                                                        {&describe<SystemTag>(), make<SystemTag>},
                                                        {&describe<UserTag>(), make<UserTag>},
                                                        {&describe<GlobalConfig>(), make<GlobalConfig>},
                                                        {&describe<VmInstance>(), make<VmInstance>},
                                                        {&describe<VmNic>(), make<VmNic>},
                                                        {&describe<VmCdRom>(), make<VmCdRom>},
                                                        {&describe<Volume>(), make<Volume>},
                                                        {&describe<Account>(), make<Account>},
                                                        {&describe<AccountResourceRef>(), make<AccountResourceRef>},
                                                        {&describe<Event>(), make<Event>},
                                                        {&describe<Job>(), make<Job>},
                                                        {&describe<VolumeSnapshot>(), make<VolumeSnapshot>},
                                                        {&describe<VolumeSnapshotTree>(), make<VolumeSnapshotTree>},
                                                        {&describe<VolumeSnapshotGroup>(), make<VolumeSnapshotGroup>},
                                                        {&describe<Checkpoint>(), make<Checkpoint>},
                                                        {&describe<api::ManagementNode>(), make<api::ManagementNode>}};
    const auto found = makers.find(&row);
    return found == makers.end() ? nullptr : found->second();
}

Result<void> fill_relations(store::Transaction& transaction, const TypeInfo& type, const std::vector<void*>& parents,
                            const std::vector<std::string>& only_fields, RowsByType& seen) {
    if (parents.empty()) return {};
    std::vector<void*>& all = seen[&type];
    all.insert(all.end(), parents.begin(), parents.end());
    const FieldInfo* const key = key_of(type);
    for (const Relation& relation : relations()) {
        if (relation.parent != &type || key == nullptr) continue;
        if (!only_fields.empty() && std::find(only_fields.begin(), only_fields.end(), relation.field) == only_fields.end()) continue;
        const FieldInfo& field = *type.find(relation.field);
        for (void* const parent : parents) field.clear(field.member(parent));  // of an earlier run of the same read
        const std::span<void* const> span(parents);
        for (std::size_t first = 0; first < parents.size(); first += kParentsPerQuery) {
            TRY(fill_chunk(transaction, relation, field, *key, span.subspan(first, std::min(kParentsPerQuery, parents.size() - first))));
        }
        if (!relation.value.empty()) continue;
        std::vector<void*> children;  // gathered only now: appending moves rows
        for (void* const parent : parents) {
            void* const member = field.member(parent);
            for (std::size_t i = 0; i < field.count(member); ++i) children.push_back(field.item(member, i));
        }
        TRY(fill_relations(transaction, *relation.child, children, {}, seen));
    }
    return {};
}

}  // namespace ramet::resources

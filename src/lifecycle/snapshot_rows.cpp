#include "lifecycle/snapshot_rows.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "identity/caller.hpp"
#include "lifecycle/memory_images.hpp"
#include "lifecycle/rows.hpp"
#include "model/account.hpp"
#include "resources/tag_patterns.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

Result<std::optional<VolumeSnapshot>> latest_of(Transaction& transaction, const VolumeId& volume) {
    return store::find<VolumeSnapshot>(transaction, {{"volumeUuid", volume.text()}, {"latest", std::int64_t{1}}});
}

Result<void> set_current(Transaction& transaction, const SnapshotTreeId& uuid, bool current, Timestamp now) {
    TRY_ASSIGN(VolumeSnapshotTree tree, store::get<VolumeSnapshotTree>(transaction, uuid.text()));
    if (tree.current == current) return {};
    tree.current = current;
    tree.last_op_date = now;
    return store::update(transaction, tree);
}

Result<void> set_latest(Transaction& transaction, VolumeSnapshot snapshot, bool latest, Timestamp now) {
    snapshot.latest = latest;
    snapshot.last_op_date = now;
    return store::update(transaction, snapshot);
}

Result<void> add_tree(Transaction& transaction, const SnapshotTreeId& uuid, const VolumeId& volume, bool current, Timestamp now) {
    VolumeSnapshotTree tree;
    tree.uuid = uuid;
    tree.volume_uuid = volume;
    tree.current = current;
    tree.create_date = tree.last_op_date = now;
    return store::insert(transaction, tree);
}

// Owner, tags and part in a group; then the row.
Result<void> erase_snapshot(Transaction& transaction, const VolumeSnapshot& snapshot, Timestamp now) {
    TRY(resources::remove_tags_of(transaction, snapshot.uuid.text()));
    TRY(identity::disown(transaction, snapshot.uuid.text()));
    TRY(store::erase<VolumeSnapshot>(transaction, {{"uuid", snapshot.uuid.text()}}));
    if (!snapshot.group_uuid) return {};
    TRY_ASSIGN(std::vector<VolumeSnapshotGroupRef> refs,
               store::list<VolumeSnapshotGroupRef>(transaction, {{"volumeSnapshotGroupUuid", snapshot.group_uuid->text()}}));
    bool any_left = false;
    for (VolumeSnapshotGroupRef& ref : refs) {
        if (ref.volume_snapshot_uuid == snapshot.uuid) {
            ref.snapshot_deleted = true;
            ref.last_op_date = now;
            TRY(store::update(transaction, ref));
        }
        any_left = any_left || !ref.snapshot_deleted;
    }
    return any_left ? Result<void>{} : dissolve_group(transaction, *snapshot.group_uuid);
}

// The members of one tree, changed together.
class Tree {
public:
    static Result<Tree> load(Transaction& transaction, const SnapshotTreeId& uuid) {
        Tree tree;
        TRY_ASSIGN(tree.members_, store::list<VolumeSnapshot>(transaction, {{"treeUuid", uuid.text()}}, "createDate, uuid"));
        return tree;
    }
    std::vector<VolumeSnapshot*> children_of(const SnapshotId& parent) {
        std::vector<VolumeSnapshot*> children;
        for (VolumeSnapshot& member : members_) {
            if (member.parent_uuid == parent) children.push_back(&member);
        }
        return children;
    }
    // `change` is done to the snapshot and to all that came after it.
    template <class Change>
    Result<void> change_branch(Transaction& transaction, VolumeSnapshot& first, const Change& change) {
        std::vector<VolumeSnapshot*> open{&first};
        while (!open.empty()) {
            VolumeSnapshot* const member = open.back();
            open.pop_back();
            change(*member);
            TRY(store::update(transaction, *member));
            for (VolumeSnapshot* const child : children_of(member->uuid)) open.push_back(child);
        }
        return {};
    }
    bool has_latest() const { return std::ranges::any_of(members_, &VolumeSnapshot::latest); }

private:
    std::vector<VolumeSnapshot> members_;
};

// Each child of a root that goes becomes a root; the first keeps the tree, the others get trees of their own.
Result<void> split_tree(Transaction& transaction, const VolumeSnapshot& root, Timestamp now) {
    TRY_ASSIGN(Tree tree, Tree::load(transaction, root.tree_uuid));
    const std::vector<VolumeSnapshot*> children = tree.children_of(root.uuid);
    if (children.empty()) {
        TRY(store::erase<VolumeSnapshotTree>(transaction, {{"uuid", root.tree_uuid.text()}}));
        return {};
    }
    TRY(set_current(transaction, root.tree_uuid, false, now));
    std::optional<SnapshotTreeId> current;
    for (std::size_t i = 0; i < children.size(); ++i) {
        const SnapshotTreeId uuid = i == 0 ? root.tree_uuid : SnapshotTreeId::derived(root.uuid.text(), "tree/" + children[i]->uuid.text());
        if (i > 0) TRY(add_tree(transaction, uuid, root.volume_uuid, false, now));
        children[i]->parent_uuid.reset();
        TRY(tree.change_branch(transaction, *children[i], [&](VolumeSnapshot& member) {
            member.tree_uuid = uuid;
            --member.distance;
            member.last_op_date = now;
            if (member.latest) current = uuid;
        }));
    }
    return current ? set_current(transaction, *current, true, now) : Result<void>{};
}

}  // namespace

Result<AccountId> owner_of(Transaction& transaction, std::string_view resource_uuid) {
    TRY_ASSIGN(const AccountResourceRef owner, store::get<AccountResourceRef>(transaction, resource_uuid));
    return owner.account_uuid;
}

Result<void> may_take_snapshot(Transaction& transaction, const VolumeId& volume) {
    TRY_ASSIGN(const std::optional<VolumeSnapshot> latest, latest_of(transaction, volume));
    if (!latest || latest->distance < limits::kSnapshotDistanceMax) return {};
    return fail(ErrorCode::operation_failed,
                fmt::format("the volume has {} snapshots one after another, which is the most; delete some that are no longer needed",
                            limits::kSnapshotDistanceMax));
}

Result<void> add_snapshot(Transaction& transaction, const NewSnapshot& wanted, Timestamp now) {
    TRY(may_take_snapshot(transaction, wanted.volume));
    TRY_ASSIGN(const Volume volume, store::get<Volume>(transaction, wanted.volume.text()));
    TRY_ASSIGN(const Layer layer, store::get<Layer>(transaction, wanted.layer.text()));
    TRY_ASSIGN(const storage::Place place, place_of(transaction, layer));
    VolumeSnapshot snapshot;
    snapshot.uuid = wanted.uuid;
    snapshot.name = wanted.name;
    snapshot.description = wanted.description;
    snapshot.volume_uuid = wanted.volume;
    snapshot.primary_storage_uuid = layer.primary_storage_uuid;
    snapshot.primary_storage_install_path = place.root + "/" + place.path;
    snapshot.volume_type = volume.type;
    snapshot.format = std::string(name_of(layer.format));
    snapshot.latest = true;
    snapshot.group_uuid = wanted.group;
    snapshot.layer_uuid = layer.uuid;
    snapshot.create_date = snapshot.last_op_date = now;
    TRY_ASSIGN(const std::optional<VolumeSnapshot> parent, latest_of(transaction, wanted.volume));
    if (parent) {
        snapshot.tree_uuid = parent->tree_uuid;
        snapshot.parent_uuid = parent->uuid;
        snapshot.distance = parent->distance + 1;
        TRY(set_latest(transaction, *parent, false, now));
    } else {
        snapshot.tree_uuid = wanted.tree;
        TRY(add_tree(transaction, wanted.tree, wanted.volume, true, now));
    }
    TRY(store::insert(transaction, snapshot));
    TRY_ASSIGN(const AccountId owner, owner_of(transaction, wanted.volume.text()));
    return identity::own(transaction, {owner, {}, false}, wanted.uuid.text(), "VolumeSnapshotVO");
}

Result<void> remove_snapshot(Transaction& transaction, const VolumeSnapshot& snapshot, Timestamp now) {
    if (snapshot.parent_uuid) {
        TRY_ASSIGN(Tree tree, Tree::load(transaction, snapshot.tree_uuid));
        for (VolumeSnapshot* const child : tree.children_of(snapshot.uuid)) {
            child->parent_uuid = snapshot.parent_uuid;
            TRY(tree.change_branch(transaction, *child, [&](VolumeSnapshot& member) {
                --member.distance;
                member.last_op_date = now;
            }));
        }
        if (snapshot.latest) {
            TRY(set_latest(transaction, snapshot, false, now));
            TRY_ASSIGN(const VolumeSnapshot parent, store::get<VolumeSnapshot>(transaction, snapshot.parent_uuid->text()));
            TRY(set_latest(transaction, parent, true, now));
        }
    } else {
        TRY(split_tree(transaction, snapshot, now));
    }
    return erase_snapshot(transaction, snapshot, now);
}

Result<void> make_latest(Transaction& transaction, const VolumeSnapshot& snapshot, Timestamp now) {
    TRY_ASSIGN(const std::optional<VolumeSnapshot> before, latest_of(transaction, snapshot.volume_uuid));
    if (before && before->uuid == snapshot.uuid) return {};
    if (before) {
        TRY(set_latest(transaction, *before, false, now));
        if (before->tree_uuid != snapshot.tree_uuid) TRY(set_current(transaction, before->tree_uuid, false, now));
    }
    TRY(set_latest(transaction, snapshot, true, now));
    return set_current(transaction, snapshot.tree_uuid, true, now);
}

Result<std::vector<LayerId>> forget_snapshots_of(Transaction& transaction, const VolumeId& volume, Timestamp now) {
    TRY_ASSIGN(const std::vector<VolumeSnapshot> snapshots, store::list<VolumeSnapshot>(transaction, {{"volumeUuid", volume.text()}}));
    std::vector<LayerId> layers;
    for (const VolumeSnapshot& snapshot : snapshots) {
        TRY(erase_snapshot(transaction, snapshot, now));
        layers.push_back(snapshot.layer_uuid);
    }
    TRY(store::erase<VolumeSnapshotTree>(transaction, {{"volumeUuid", volume.text()}}));
    return layers;
}

Result<void> dissolve_group(Transaction& transaction, const SnapshotGroupId& group) {
    TRY_ASSIGN(const std::optional<VolumeSnapshotGroup> row, store::find<VolumeSnapshotGroup>(transaction, {{"uuid", group.text()}}));
    TRY_ASSIGN(std::vector<VolumeSnapshot> members, store::list<VolumeSnapshot>(transaction, {{"groupUuid", group.text()}}));
    for (VolumeSnapshot& member : members) {
        member.group_uuid.reset();
        TRY(store::update(transaction, member));
    }
    TRY(store::erase<VolumeSnapshotGroupRef>(transaction, {{"volumeSnapshotGroupUuid", group.text()}}));
    TRY(resources::remove_tags_of(transaction, group.text()));
    TRY(identity::disown(transaction, group.text()));
    TRY(store::erase<VolumeSnapshotGroup>(transaction, {{"uuid", group.text()}}));
    if (row && row->memory_image_uuid) TRY(forsake_memory_image(transaction, *row->memory_image_uuid));
    return {};
}

Result<void> dissolve_groups_of(Transaction& transaction, const VmId& vm) {
    TRY_ASSIGN(const std::vector<VolumeSnapshotGroup> groups, store::list<VolumeSnapshotGroup>(transaction, {{"vmInstanceUuid", vm.text()}}));
    for (const VolumeSnapshotGroup& group : groups) TRY(dissolve_group(transaction, group.uuid));
    return {};
}

Result<std::optional<std::string>> group_obstacle(Transaction& transaction, const SnapshotGroupId& uuid) {
    TRY_ASSIGN(const VolumeSnapshotGroup group, store::get<VolumeSnapshotGroup>(transaction, uuid.text()));
    TRY_ASSIGN(const std::vector<VolumeSnapshotGroupRef> refs,
               store::list<VolumeSnapshotGroupRef>(transaction, {{"volumeSnapshotGroupUuid", uuid.text()}}, "deviceId"));
    TRY_ASSIGN(const std::vector<Volume> attached, store::list<Volume>(transaction, {{"vmInstanceUuid", group.vm_instance_uuid.text()}}));
    std::set<std::string> had;
    for (const VolumeSnapshotGroupRef& ref : refs) {
        had.insert(ref.volume_uuid.text());
        if (ref.snapshot_deleted) {
            return std::optional<std::string>{"the snapshot of volume '" + ref.volume_name +
                                              "' was deleted; ungroup the rest and revert the volumes one by one"};
        }
        if (std::ranges::find(attached, ref.volume_uuid, &Volume::uuid) == attached.end()) {
            return std::optional<std::string>{"volume '" + ref.volume_name +
                                              "' is no longer attached to the VM instance; attach it again, or revert the volumes one by one"};
        }
    }
    for (const Volume& volume : attached) {
        if (had.contains(volume.uuid.text())) continue;
        return std::optional<std::string>{"volume '" + volume.name +
                                          "' was attached after the group was taken; detach it, or revert the volumes one by one"};
    }
    return std::optional<std::string>{};
}

Result<std::string> machine_as_kept(Transaction& transaction, const VmRows& rows) {
    KeptMachine machine{rows.vm, rows.nics, {}};
    TRY_ASSIGN(machine.system_tags, system_tags_of(transaction, rows.vm.uuid.text()));
    return api::to_json(machine, api::Audience::storage);
}

Result<std::vector<LayerId>> kept_layers(Transaction& transaction) {
    std::vector<LayerId> layers;
    TRY_ASSIGN(const std::vector<VolumeSnapshot> snapshots, store::list<VolumeSnapshot>(transaction));
    layers.reserve(snapshots.size());
    for (const VolumeSnapshot& snapshot : snapshots) layers.push_back(snapshot.layer_uuid);
    TRY_ASSIGN(const std::vector<CheckpointVolume> volumes, store::list<CheckpointVolume>(transaction));
    for (const CheckpointVolume& volume : volumes) layers.push_back(volume.layer_uuid);
    return layers;
}

}  // namespace ramet::lifecycle

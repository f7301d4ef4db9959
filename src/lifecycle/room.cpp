#include "lifecycle/room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "lifecycle/placing.hpp"
#include "model/account.hpp"
#include "model/vm.hpp"
#include "resources/global_configs.hpp"
#include "store/table.hpp"

namespace ramet::lifecycle {

using store::Transaction;

namespace {

constexpr std::string_view kInstead = "delete what is not needed, make fewer or smaller disks, or choose another storage";

struct Promise {
    std::string volume, storage;
    std::int64_t bytes = 0;
    std::string root, path;  // of the file
};

std::string table_of(const TypeInfo& row) { return "\"" + std::string(row.table) + "\""; }

// By the jobs that are at work, of which there are few, however many volumes there are.
Result<std::vector<Promise>> promises(Transaction& transaction) {
    const std::string volume = table_of(describe<Volume>());
    const std::string promised = R"( v."status" = 'Creating' AND v."actualSize" > 0)";
    const std::string columns = R"(SELECT v."uuid", v."primaryStorageUuid", v."actualSize", s."url", l."path" FROM )";
    const std::string file = " JOIN " + table_of(describe<Layer>()) + R"( l ON l."uuid" = v."topLayerUuid" JOIN )" +
                             table_of(describe<PrimaryStorage>()) + R"( s ON s."uuid" = v."primaryStorageUuid" WHERE )";
    const std::string of_vms = columns + table_of(describe<VmInstance>()) + " m JOIN " + volume + R"( v ON v."vmInstanceUuid" = m."uuid")" + file +
                               R"(m."ownerJobUuid" IS NOT NULL AND)" + promised;
    const std::string of_volumes = columns + table_of(describe<Job>()) + " j JOIN " + volume + R"( v ON v."uuid" = j."targetUuid")" + file +
                                   R"(j."state" IN ('Queued', 'Running', 'Undoing') AND)" + promised;
    TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(of_vms + " UNION " + of_volumes, {}));
    std::vector<Promise> found;
    found.reserve(rows.size());
    for (const store::Values& row : rows) {
        found.push_back({std::get<std::string>(row.at(0)), std::get<std::string>(row.at(1)), std::get<std::int64_t>(row.at(2)),
                         std::get<std::string>(row.at(3)), std::get<std::string>(row.at(4))});
    }
    return found;
}

// Of what it was promised: a copy that is under way has its first part on the disk already.
std::int64_t still_to_write(Parts& parts, const Promise& promise) {
    const Result<std::shared_ptr<storage::PrimaryStorage>> storage = parts.shared.storages.open(promise.root);
    if (!storage.has_value()) return promise.bytes;
    const std::int64_t half_made = (*storage)->allocated_bytes(promise.path + ".partial").value_or(0);
    const std::int64_t written = std::max(half_made, (*storage)->allocated_bytes(promise.path).value_or(0));
    return std::max<std::int64_t>(0, promise.bytes - written);
}

Result<std::int64_t> size_of_volumes(Transaction& transaction, const std::string& storage) {
    TRY_ASSIGN(const std::vector<store::Values> rows,
               transaction.query("SELECT SUM(\"size\") FROM " + table_of(describe<Volume>()) + " WHERE \"primaryStorageUuid\" = $1", {storage}));
    const auto* const sum = std::get_if<std::int64_t>(&rows.at(0).at(0));
    return sum == nullptr ? 0 : *sum;  // no volume: no sum
}

Result<void> require_disk_room(const placement::StorageFacts& facts, std::int64_t to_write, std::int64_t newly_promised) {
    const std::int64_t left = std::max<std::int64_t>(0, facts.available - newly_promised - limits::kStorageReservedBytes);
    if (to_write <= left) return {};
    return fail(ErrorCode::storage_full,
                fmt::format("primary storage '{}' has no room: {} bytes wanted, {} free beside the reserve of {} and what disks "
                            "that are being made will take; {}",
                            facts.storage.name, to_write, left, limits::kStorageReservedBytes, kInstead));
}

Result<void> require_virtual_room(Transaction& transaction, const placement::StorageFacts& facts, std::int64_t size) {
    TRY_ASSIGN(const double ratio, resources::storage_ratio(transaction));
    if (ratio == 0 || size == 0) return {};
    TRY_ASSIGN(const std::int64_t taken, size_of_volumes(transaction, facts.storage.uuid.text()));
    const double bound = static_cast<double>(facts.total) * ratio;
    if (static_cast<double>(taken) + static_cast<double>(size) <= bound) return {};
    return fail(ErrorCode::storage_full,
                fmt::format("primary storage '{}' is full of promises: its volumes may have {:.0f} bytes together, which is its size times "
                            "mevoco.overProvisioning.primaryStorage ({}); they have {}, and {} more are wanted; raise the ratio, {}",
                            facts.storage.name, bound, ratio, taken, size, kInstead));
}

}  // namespace

Result<Room> survey_room(Parts& parts) {
    TRY_ASSIGN(std::vector<placement::StorageFacts> storages, storage_facts(parts));
    return Room{std::move(storages), {}};
}

Result<void> heed_promises(Parts& parts, Room& room) {
    TRY_ASSIGN(const std::vector<Promise> known, store::read(parts.database(), [](Transaction& transaction) { return promises(transaction); }));
    std::map<std::string, std::int64_t> promised;
    for (const Promise& promise : known) {
        room.promised.insert(promise.volume);
        promised[promise.storage] += still_to_write(parts, promise);
    }
    // Only then are the storages asked: what is written in between counts twice, and never not at all.
    TRY_ASSIGN(room.storages, storage_facts(parts));
    for (placement::StorageFacts& facts : room.storages) facts.available -= promised[facts.storage.uuid.text()];
    return {};
}

Result<void> require_room(Transaction& transaction, const Room& room, const std::vector<WantedRoom>& wanted) {
    std::map<std::string, WantedRoom> by_storage;
    bool writes = false;
    for (const WantedRoom& one : wanted) {
        WantedRoom& sum = by_storage[one.storage.text()];
        sum.to_write += one.to_write;
        sum.size += one.size;
        writes = writes || one.to_write > 0;
    }
    std::map<std::string, std::int64_t> newly_promised;
    if (writes) {
        TRY_ASSIGN(const std::vector<Promise> now, promises(transaction));
        for (const Promise& promise : now) {
            if (!room.promised.contains(promise.volume)) newly_promised[promise.storage] += promise.bytes;
        }
    }
    for (const placement::StorageFacts& facts : room.storages) {
        const auto sum = by_storage.find(facts.storage.uuid.text());
        if (sum == by_storage.end()) continue;
        if (sum->second.to_write > 0) TRY(require_disk_room(facts, sum->second.to_write, newly_promised[sum->first]));
        TRY(require_virtual_room(transaction, facts, sum->second.size));
    }
    return {};
}

}  // namespace ramet::lifecycle

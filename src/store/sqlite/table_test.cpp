#include "store/table.hpp"

#include <functional>
#include <map>
#include <set>

#include "model/event.hpp"
#include "model/memory_image.hpp"
#include "model/snapshots.hpp"
#include "model/vm_identity.hpp"
#include "store/sqlite/store_fixture_test.hpp"

namespace ramet::store {
namespace {

struct RowKind {
    const TypeInfo* type;
    std::function<std::shared_ptr<void>()> make;
};

template <class... Rows>
std::vector<RowKind> kinds_of() {
    return {RowKind{&describe<Rows>(), [] { return std::static_pointer_cast<void>(std::make_shared<Rows>()); }}...};
}

std::vector<RowKind> all_kinds() {
    return kinds_of<Account, Session, AccountResourceRef, Job, JobStep, Zone, Cluster, Host, PrimaryStorage, PrimaryStorageClusterRef, BackupStorage,
                    BackupStorageZoneRef, ImageBackupStorageRef, Image, InstanceOffering, DiskOffering, L2Network, L2NetworkClusterRef, L3Network,
                    IpRange, UsedIp, SystemTag, UserTag, GlobalConfig, VmNic, VmCdRom, Volume, Layer, VmInstance, VolumeSnapshot, VolumeSnapshotTree,
                    VolumeSnapshotGroup, VolumeSnapshotGroupRef, Checkpoint, CheckpointVolume, IdempotencyKey, PendingWebHook, VmIdentity,
                    MemoryImage, MemoryImageUser, Event, Garbage>();
}

bool is_column(const FieldInfo& info) { return !info.rules.relation && !info.rules.transient; }

void fill_item(const FieldInfo& info, void* item, std::size_t number) {
    if (info.scalar == Scalar::enumeration) {
        ASSERT_TRUE(info.set_text(item, info.values.back()));
    } else if (info.scalar == Scalar::text || info.scalar == Scalar::id) {
        ASSERT_TRUE(info.set_text(item, std::string(info.name) + "-\"ü'\n" + std::to_string(number)));
    } else {
        const bool flip = info.scalar == Scalar::boolean && info.number(item) != 0;
        info.set_number(item, flip ? 0 : static_cast<std::int64_t>(number) + (std::int64_t{1} << 40));
    }
}

void fill(const TypeInfo& type, void* row, bool with_optionals) {
    std::size_t number = 0;
    for (const FieldInfo& info : type.fields) {
        if (!is_column(info)) continue;
        void* const member = info.member(row);
        const std::size_t items = info.shape == Shape::one ? 1 : !with_optionals ? 0 : info.shape == Shape::optional ? 1 : 2;
        for (std::size_t i = 0; i < items; ++i) fill_item(info, info.append(member), ++number);
    }
}

void expect_same(const TypeInfo& type, void* left, void* right) {
    for (const FieldInfo& info : type.fields) {
        if (!is_column(info)) continue;
        SCOPED_TRACE(std::string(type.name) + "." + std::string(info.name));
        void* const left_member = info.member(left);
        void* const right_member = info.member(right);
        ASSERT_EQ(info.count(left_member), info.count(right_member));
        for (std::size_t i = 0; i < info.count(left_member); ++i) {
            const void* const left_item = info.item(left_member, i);
            const void* const right_item = info.item(right_member, i);
            if (info.text != nullptr) {
                EXPECT_EQ(info.text(left_item), info.text(right_item));
            } else {
                EXPECT_EQ(info.number(left_item), info.number(right_item));
            }
        }
    }
}

// The rows refer to nothing that exists, so the transaction is given up at its end; within it they are rows like any other.
void expect_round_trip(Database& database, const RowKind& kind, bool with_optionals) {
    SCOPED_TRACE(std::string(kind.type->name) + (with_optionals ? " full" : " sparse"));
    bool compared = false;
    const Result<void> given_up = database.write([&](Transaction& transaction) -> Result<void> {
        const std::shared_ptr<void> row = kind.make();
        fill(*kind.type, row.get(), with_optionals);
        TRY(erased::insert(transaction, *kind.type, row.get()));
        std::vector<std::shared_ptr<void>> found;
        TRY(erased::select(transaction, *kind.type, {}, {}, [&] { return found.emplace_back(kind.make()).get(); }));
        if (found.size() != 1) return fail(ErrorCode::internal, "rows: " + std::to_string(found.size()));
        expect_same(*kind.type, row.get(), found.front().get());
        TRY(erased::update(transaction, *kind.type, found.front().get()));
        compared = true;
        return fail(ErrorCode::cancelled, "given up");
    });
    EXPECT_TRUE(compared) << given_up.error().message << " / " << given_up.error().detail;
    EXPECT_EQ(given_up.error().code, ErrorCode::cancelled);
}

class Table : public StoreTest {};

TEST_F(Table, EveryRowComesBackAsItWasStored) {
    for (const RowKind& kind : all_kinds()) {
        expect_round_trip(*database_, kind, true);
        expect_round_trip(*database_, kind, false);
    }
}

void expect_columns(Transaction& transaction, const TypeInfo& type) {
    const Result<std::vector<Values>> columns =
        transaction.query("SELECT name, type, \"notnull\" FROM pragma_table_info($1)", {std::string(type.table)});
    ASSERT_TRUE(columns.has_value()) << columns.error().detail;
    std::map<std::string, std::string> in_schema;
    for (const Values& row : *columns) {
        in_schema[std::get<std::string>(row[0])] = std::get<std::string>(row[1]) + (std::get<std::int64_t>(row[2]) != 0 ? "" : " NULL");
    }
    std::map<std::string, std::string> described;
    for (const FieldInfo& info : type.fields) {
        if (!is_column(info)) continue;
        const bool text = info.shape == Shape::list || info.text != nullptr;
        described[std::string(info.name)] = std::string(text ? "TEXT" : "INTEGER") + (info.shape == Shape::optional ? " NULL" : "");
    }
    EXPECT_EQ(in_schema, described) << type.table;
}

TEST_F(Table, TheSchemaHasExactlyTheDescribedColumns) {
    ASSERT_TRUE(database_
                    ->read([&](Transaction& transaction) -> Result<void> {
                        std::set<std::string> described{"schema_migration"};
                        for (const RowKind& kind : all_kinds()) {
                            described.insert(std::string(kind.type->table));
                            expect_columns(transaction, *kind.type);
                        }
                        TRY_ASSIGN(const std::vector<Values> tables, transaction.query("SELECT name FROM sqlite_schema WHERE type = 'table'"));
                        std::set<std::string> in_schema;
                        for (const Values& row : tables) in_schema.insert(std::get<std::string>(row[0]));
                        EXPECT_EQ(in_schema, described);
                        return {};
                    })
                    .has_value());
}

TEST_F(Table, EveryForeignKeyHasAnIndexThatStartsWithIt) {
    const auto missing = read(*database_, [](Transaction& transaction) {
        return transaction.query(
            "SELECT m.name || '.' || k.\"from\" FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name) AS k"
            " WHERE m.type = 'table' AND NOT EXISTS (SELECT 1 FROM pragma_index_list(m.name) AS i"
            " JOIN pragma_index_info(i.name) AS c ON c.seqno = 0 AND c.name = k.\"from\")");
    });
    ASSERT_TRUE(missing.has_value()) << missing.error().detail;
    for (const Values& row : *missing) ADD_FAILURE() << std::get<std::string>(row[0]);
}

TEST_F(Table, AWholeVmIsStoredAndFound) {
    const Pool pool = make_pool();
    const Result<void> stored = database_->write([&](Transaction& transaction) { return insert_pool(transaction, pool); });
    ASSERT_TRUE(stored.has_value()) << stored.error().detail;
    ASSERT_TRUE(database_
                    ->read([&](Transaction& transaction) -> Result<void> {
                        TRY_ASSIGN(const VmInstance vm, get<VmInstance>(transaction, pool.vm.uuid.text()));
                        EXPECT_EQ(vm.host_uuid, pool.host.uuid);
                        EXPECT_FALSE(vm.last_host_uuid.has_value());
                        TRY_ASSIGN(const auto by_name, find<VmInstance>(transaction, {{"name", std::string("wEB")}}));
                        EXPECT_TRUE(by_name.has_value()) << "names ignore case";
                        TRY_ASSIGN(const auto nobody, find<VmInstance>(transaction, {{"lastHostUuid", Value{}}, {"hostUuid", Value{}}}));
                        EXPECT_FALSE(nobody.has_value());
                        const Result<VmInstance> absent = get<VmInstance>(transaction, "ffffffffffffffffffffffffffffffff");
                        EXPECT_EQ(absent.error().code, ErrorCode::not_found);
                        return {};
                    })
                    .has_value());
}

TEST_F(Table, ListsInTheOrderAskedFor) {
    for (const char* text : {"b", "c", "a"}) ASSERT_TRUE(insert_row(make_tag(text)).has_value());
    ASSERT_TRUE(database_
                    ->read([&](Transaction& transaction) -> Result<void> {
                        TRY_ASSIGN(const std::vector<UserTag> down, list<UserTag>(transaction, {}, "createDate, tag desc"));
                        EXPECT_EQ(down.front().tag + down.back().tag, "ca");
                        EXPECT_EQ(list<UserTag>(transaction, {}, "nonsense").error().code, ErrorCode::internal);
                        EXPECT_EQ(list<UserTag>(transaction, {{"nonsense", Value{}}}).error().code, ErrorCode::internal);
                        return {};
                    })
                    .has_value());
}

TEST_F(Table, UpdateOfAnAbsentRowIsNotFoundAndEraseNeedsAMatch) {
    const UserTag tag = make_tag("kept");
    ASSERT_TRUE(insert_row(tag).has_value());
    const auto absent = database_->write([](Transaction& transaction) { return update(transaction, make_tag("absent")); });
    EXPECT_EQ(absent.error().code, ErrorCode::not_found);
    const auto everything = write(*database_, [](Transaction& transaction) { return erase<UserTag>(transaction, {}); });
    EXPECT_EQ(everything.error().code, ErrorCode::internal);
    const auto one = write(*database_, [&](Transaction& transaction) { return erase<UserTag>(transaction, {{"uuid", tag.uuid.text()}}); });
    EXPECT_EQ(one.value_or(0), 1);
    EXPECT_EQ(count_rows<UserTag>(), 0);
}

// Inserts a second row that repeats what must be unique, and expects the columns as the error's detail.
template <class Row, class Change>
void expect_unique(Database& database, Row row, const std::string& columns, const Change& change) {
    row.uuid = decltype(row.uuid)::random();
    change(row);
    const Result<void> refused = database.write([&](Transaction& transaction) { return insert(transaction, row); });
    ASSERT_FALSE(refused.has_value()) << columns;
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    EXPECT_EQ(refused.error().detail, columns);
}

TEST_F(Table, AnUpdateSetsOnlyWhatDiffers) {
    const auto updated = database_->write([](Transaction& transaction) -> Result<void> {
        UserTag tag = make_tag("here");
        TRY(insert(transaction, tag));
        TRY(transaction.execute("CREATE TRIGGER set_type AFTER UPDATE OF \"type\" ON \"user_tag\" BEGIN SELECT RAISE(ABORT, 'set'); END"));
        tag.tag = "another::tag";
        TRY(update(transaction, tag));
        TRY_ASSIGN(const std::vector<Values> before, transaction.query("SELECT total_changes()"));
        TRY(update(transaction, tag));
        TRY_ASSIGN(const std::vector<Values> after, transaction.query("SELECT total_changes()"));
        EXPECT_EQ(before, after) << "the same row again is no write";
        TRY_ASSIGN(const UserTag found, get<UserTag>(transaction, tag.uuid.text()));
        EXPECT_EQ(found.tag, "another::tag");
        return {};
    });
    EXPECT_TRUE(updated.has_value()) << updated.error().message << " " << updated.error().detail;
}

TEST_F(Table, ABrokenUniqueConstraintIsAConflictThatNamesIt) {
    const Pool pool = make_pool();
    ASSERT_TRUE(database_->write([&](Transaction& transaction) { return insert_pool(transaction, pool); }).has_value());
    expect_unique(*database_, pool.nic, "vm_nic.mac", [](VmNic& nic) { nic.internal_name = "vnic2.0"; });
    expect_unique(*database_, pool.nic, "vm_nic.internalName", [](VmNic& nic) { nic.mac = "fa:00:00:00:00:02"; });
    expect_unique(*database_, pool.ip, "used_ip.l3NetworkUuid,used_ip.ip", [](UsedIp&) {});
    expect_unique(*database_, pool.layer, "layer.primaryStorageUuid,layer.path", [](Layer&) {});
    expect_unique(*database_, pool.volume, "volume.vmInstanceUuid,volume.deviceId", [](Volume&) {});
    expect_unique(*database_, pool.zone, "zone.uuid", [&](Zone& zone) { zone.uuid = pool.zone.uuid; });
    Account account;
    account.uuid = AccountId::random();
    account.name = "admin";
    ASSERT_TRUE(insert_row(account).has_value());
    expect_unique(*database_, account, "account.name", [](Account& other) { other.name = "Admin"; });
    SystemTag tag;
    tag.uuid = TagId::random();
    tag.tag = "hostname::a";
    ASSERT_TRUE(insert_row(tag).has_value());
    expect_unique(*database_, tag, "system_tag.resourceUuid,system_tag.tag", [](SystemTag&) {});
}

TEST_F(Table, DetachedVolumesMayShareADeviceNumber) {
    Volume volume;
    for (int i = 0; i < 2; ++i) {
        volume.uuid = VolumeId::random();
        volume.device_id = 1;
        EXPECT_TRUE(insert_row(volume).has_value());
    }
}

TEST_F(Table, ABrokenReferenceIsAConflictThatNamesIt) {
    const Pool pool = make_pool();
    ASSERT_TRUE(database_->write([&](Transaction& transaction) { return insert_pool(transaction, pool); }).has_value());
    Cluster cluster = pool.cluster;
    cluster.uuid = ClusterId::random();
    cluster.zone_uuid = ZoneId::random();
    const Result<void> dangling = insert_row(cluster);
    EXPECT_EQ(dangling.error().code, ErrorCode::conflict);
    EXPECT_EQ(dangling.error().detail, "cluster.zoneUuid");
    const auto in_use = write(*database_, [&](Transaction& transaction) { return erase<Layer>(transaction, {{"uuid", pool.layer.uuid.text()}}); });
    EXPECT_EQ(in_use.error().code, ErrorCode::conflict);
    EXPECT_EQ(in_use.error().detail, "volume.topLayerUuid");
    EXPECT_EQ(count_rows<Layer>(), 1);
}

TEST_F(Table, AnAddressGoesWithItsNic) {
    const Pool pool = make_pool();
    ASSERT_TRUE(database_->write([&](Transaction& transaction) { return insert_pool(transaction, pool); }).has_value());
    const auto gone = write(*database_, [&](Transaction& transaction) { return erase<VmNic>(transaction, {{"uuid", pool.nic.uuid.text()}}); });
    EXPECT_EQ(gone.value_or(0), 1);
    EXPECT_EQ(count_rows<UsedIp>(), 0);
}

}  // namespace
}  // namespace ramet::store

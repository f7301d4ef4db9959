#include <gtest/gtest.h>

#include <random>

#include "query/query.hpp"
#include "support/small_pool.hpp"

namespace ramet::query {
namespace {

using test::SmallPool;
using test::uuid_text;

class Query : public testing::Test {
protected:
    // The names of the rows that satisfy the conditions, joined; the error's message when there is one.
    template <class Row>
    std::string find(std::vector<std::string> conditions, const identity::Caller& caller, const std::string& sort = {}) {
        Parameters parameters;
        parameters.conditions = std::move(conditions);
        parameters.sort = sort;
        return run<Row>(parameters, caller);
    }
    std::string vms(std::vector<std::string> conditions) { return find<VmInstance>(std::move(conditions), pool_.admin, "name"); }

    template <class Row>
    std::string run(const Parameters& parameters, const identity::Caller& caller) {
        const Result<Statement> statement = compile(describe<Row>(), parameters, caller);
        if (!statement.has_value()) return "error: " + statement.error().message;
        std::string found;
        const Result<void> done = (*pool_).read([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(const std::vector<store::Values> rows, transaction.query(statement->select_sql, statement->select_values));
            TRY_ASSIGN(const std::vector<store::Values> counted, transaction.query(statement->count_sql, statement->values));
            total_ = std::get<std::int64_t>(counted.at(0).at(0));
            found.clear();
            for (const store::Values& values : rows) {
                Row row{};
                store::erased::read_columns(describe<Row>(), values, 0, &row);
                found += (found.empty() ? "" : " ") + label(row);
            }
            return {};
        });
        return done.has_value() ? found : "broken: " + done.error().detail;
    }
    template <class Row>
    static std::string label(const Row& row) {
        return row.name;
    }
    static std::string label(const VmNic& row) { return row.mac; }
    static std::string label(const UsedIp& row) { return row.ip; }
    static std::string label(const SystemTag& row) { return row.tag; }

    SmallPool pool_;
    std::int64_t total_ = -1;
};

TEST_F(Query, WithoutConditionsFindsAll) { EXPECT_EQ(vms({}), "db01 web01"); }
TEST_F(Query, AndsItsConditions) {
    EXPECT_EQ(vms({"name=web01", "state=Running"}), "web01");
    EXPECT_EQ(vms({"name=web01", "state=Stopped"}), "");
}
TEST_F(Query, IgnoresCaseInTexts) {
    EXPECT_EQ(vms({"name=WEB01"}), "web01");
    EXPECT_EQ(vms({"name~=%WEB%"}), "web01");
    EXPECT_EQ(vms({"state=running"}), "web01");
}
TEST_F(Query, MatchesPatterns) {
    EXPECT_EQ(vms({"name~=%01"}), "db01 web01");
    EXPECT_EQ(vms({"name~=_b01"}), "db01");
    EXPECT_EQ(vms({"name!~=w%"}), "db01");
    EXPECT_EQ(vms({"name~=we\\_01"}), "");  // an escaped wildcard is itself
}
TEST_F(Query, ComparesNumbersAndLists) {
    EXPECT_EQ(vms({"cpuNum>2"}), "db01");
    EXPECT_EQ(vms({"cpuNum>=2"}), "db01 web01");
    EXPECT_EQ(vms({"cpuNum<=2"}), "web01");
    EXPECT_EQ(vms({"cpuNum?=4,8"}), "db01");
    EXPECT_EQ(vms({"state!?=Running,Paused"}), "db01");
    EXPECT_EQ(vms({"createDate=1700000000020"}), "web01");
}
TEST_F(Query, TellsNullFromValues) {
    EXPECT_EQ(vms({"hostUuid is null"}), "db01");
    EXPECT_EQ(vms({"hostUuid not null"}), "web01");
}
TEST_F(Query, FollowsNestedNamesToOne) {
    EXPECT_EQ(vms({"zone.name=zone1"}), "db01 web01");
    EXPECT_EQ(vms({"host.name=host1"}), "web01");
    EXPECT_EQ(vms({"rootVolume.primaryStorageUuid=" + pool_.storage.uuid.text(), "cpuNum=4"}), "db01");
    EXPECT_EQ(vms({"rootVolume.primaryStorage.name=local"}), "db01 web01");
}
TEST_F(Query, FollowsNestedNamesToMany) {
    EXPECT_EQ(vms({"vmNics.ip=10.0.0.20"}), "web01");
    EXPECT_EQ(vms({"vmNics.l3Network.name~=def%"}), "db01 web01");
    EXPECT_EQ(vms({"vmNics.usedIps.ip=10.0.0.30"}), "db01");
    EXPECT_EQ(find<Zone>({"vmInstance.name=web01"}, pool_.admin), "zone1");
    EXPECT_EQ(find<Host>({"vmInstance.name=db01"}, pool_.admin), "");
}
TEST_F(Query, FollowsReferencesThroughTheirTables) {
    EXPECT_EQ(find<PrimaryStorage>({"cluster.name=cluster1"}, pool_.admin), "local");
    EXPECT_EQ(find<PrimaryStorage>({"attachedClusterUuids=" + pool_.cluster.uuid.text()}, pool_.admin), "local");
    EXPECT_EQ(find<PrimaryStorage>({"attachedClusterUuids?=" + uuid_text(99)}, pool_.admin), "");
    EXPECT_EQ(find<Cluster>({"l2Network.l3Network.name=default"}, pool_.admin), "cluster1");
}
TEST_F(Query, FindsByTags) {
    pool_.add_tag(pool_.web.uuid.text(), "hostname::web");
    EXPECT_EQ(vms({"__systemTag__=hostname::web"}), "web01");
    EXPECT_EQ(vms({"__systemTag__~=hostname%"}), "web01");
    EXPECT_EQ(vms({"__systemTag__?=packer,hostname::web"}), "web01");
    EXPECT_EQ(vms({"vmNics.vmInstance.__systemTag__~=hostname%"}), "web01");
}
TEST_F(Query, NegativeTagConditionsFindRowsWithoutSuchATag) {
    pool_.add_tag(pool_.web.uuid.text(), "hostname::web");
    pool_.add_tag(pool_.web.uuid.text(), "packer");
    EXPECT_EQ(vms({"__systemTag__!=hostname::web"}), "db01");  // although web01 also has another tag
    EXPECT_EQ(vms({"__systemTag__!~=host%"}), "db01");
    EXPECT_EQ(vms({"__systemTag__!?=packer,numa"}), "db01");
    EXPECT_EQ(vms({"__systemTag__ is null"}), "db01");
    EXPECT_EQ(vms({"__systemTag__ not null"}), "web01");
    EXPECT_EQ(vms({"__userTag__ is null"}), "db01 web01");
}
TEST_F(Query, SortsWithTheKeyAsTieBreak) {
    EXPECT_EQ(find<VmInstance>({}, pool_.admin, "-cpuNum"), "db01 web01");
    EXPECT_EQ(find<VmInstance>({}, pool_.admin, "+cpuNum"), "web01 db01");
    EXPECT_EQ(find<VmInstance>({}, pool_.admin, " cpuNum"), "web01 db01");  // a bare plus sign of a query string
    EXPECT_EQ(find<VmInstance>({}, pool_.admin, "zoneUuid"), "web01 db01");
}
TEST_F(Query, PagesAndCountsTheWhole) {
    Parameters parameters;
    parameters.sort = "name";
    parameters.limit = 1;
    EXPECT_EQ(run<VmInstance>(parameters, pool_.admin), "db01");
    EXPECT_EQ(total_, 2);
    parameters.start = 1;
    EXPECT_EQ(run<VmInstance>(parameters, pool_.admin), "web01");
    parameters.start = 2;
    EXPECT_EQ(run<VmInstance>(parameters, pool_.admin), "");
    parameters.limit = -1;
    EXPECT_TRUE(run<VmInstance>(parameters, pool_.admin).starts_with("error: "));
}
TEST_F(Query, FindsOneByItsUuid) {
    Parameters parameters;
    parameters.uuid = pool_.web.uuid.text();
    EXPECT_EQ(run<VmInstance>(parameters, pool_.admin), "web01");
    EXPECT_EQ(run<VmInstance>(parameters, pool_.bob), "");
    parameters.uuid = "x' OR 1=1 --";
    EXPECT_EQ(run<VmInstance>(parameters, pool_.admin), "");
}

TEST_F(Query, ShowsOthersOnlyWhatIsTheirs) {
    EXPECT_EQ(find<VmInstance>({}, pool_.alice), "web01");
    EXPECT_EQ(find<VmInstance>({}, pool_.bob), "db01");
    EXPECT_EQ(find<Volume>({}, pool_.alice), "ROOT-for-web01");
    EXPECT_EQ(find<VmNic>({}, pool_.alice), "fa:00:00:00:00:20");
    EXPECT_EQ(find<UsedIp>({}, pool_.bob), "10.0.0.30");
    EXPECT_EQ(find<Zone>({}, pool_.alice), "zone1");
    EXPECT_EQ(find<Account>({}, pool_.alice), "alice");
}
TEST_F(Query, ShowsImagesOfAdminsAndOwnOnes) {
    Image image;
    image.uuid = ImageId::trusted(uuid_text(40));
    image.name = "of-bob";
    pool_.add_owned(image, pool_.bob);
    EXPECT_EQ(find<Image>({}, pool_.alice, "name"), "debian");
    EXPECT_EQ(find<Image>({}, pool_.bob, "name"), "debian of-bob");
}
TEST_F(Query, NestedNamesDoNotTellOfOthersRows) {
    EXPECT_EQ(find<Zone>({"vmInstance.name=db01"}, pool_.alice), "");
    EXPECT_EQ(find<Zone>({"vmInstance.name=web01"}, pool_.alice), "zone1");
    EXPECT_EQ(find<VmInstance>({"zone.vmInstance.name=db01"}, pool_.alice), "");
    EXPECT_EQ(find<PrimaryStorage>({"volume.name=ROOT-for-db01"}, pool_.alice), "");
}
TEST_F(Query, ShowsOthersOnlyTheirTags) {
    pool_.add_tag(pool_.web.uuid.text(), "hostname::web");
    pool_.add_tag(pool_.db.uuid.text(), "hostname::db");
    EXPECT_EQ(find<SystemTag>({}, pool_.alice), "hostname::web");
}

TEST_F(Query, NamesTheInventoryAndTheFieldThatItDoesNotHave) {
    for (const char* text : {"nonsense=1", "vmNics.nonsense=1", "nonsense.name=1", "ownerJobUuid=1", "vmNics=1", "zone.=1", ".name=1", "name.x=1",
                             "vmNics.__systemTag__x=1"}) {
        const std::string answer = vms({text});
        EXPECT_TRUE(answer.starts_with("error: ")) << text << " -> " << answer;
        EXPECT_NE(answer.find("Inventory"), std::string::npos) << answer;
    }
    EXPECT_NE(vms({"nonsense=1"}).find("'nonsense' is not a field of VmInstanceInventory that can be searched or sorted by"), std::string::npos);
    EXPECT_TRUE(find<VmInstance>({}, pool_.admin, "-nonsense").starts_with("error: "));
    EXPECT_TRUE(find<VmInstance>({}, pool_.admin, "vmNics").starts_with("error: "));
    EXPECT_NE(find<Host>({"availableCpuCapacity>1"}, pool_.admin).find("computed"), std::string::npos);
}
TEST_F(Query, BoundsItself) {
    std::string deep = "name=x";
    for (int i = 0; i < 10; ++i) deep = "zone.vmInstance." + deep;
    EXPECT_TRUE(vms({deep}).starts_with("error: "));
    std::vector<std::string> many;
    for (int i = 0; i < 100; ++i) many.push_back("name!=x" + std::to_string(i));
    EXPECT_TRUE(vms(many).starts_with("error: "));
    EXPECT_EQ(vms(std::vector<std::string>(100, "name=web01")), "error: the query has more than 64 conditions; ask in several queries");
    std::string list = "uuid?=a";
    for (int i = 0; i < 6000; ++i) list += ",b";
    EXPECT_TRUE(vms({list}).starts_with("error: "));
    EXPECT_TRUE(vms({"name=" + std::string(100'000, 'x')}).starts_with("error: "));
}

// Random conditions end as rows or as an error of the caller, never as a statement that the database refuses.
TEST_F(Query, EveryConditionEitherRunsOrIsRefused) {
    std::mt19937 random(20240611);
    const std::vector<std::string> names{"uuid",
                                         "name",
                                         "state",
                                         "cpuNum",
                                         "createDate",
                                         "hostUuid",
                                         "vmNics.ip",
                                         "zone.name",
                                         "rootVolume.image.name",
                                         "__userTag__",
                                         "__systemTag__",
                                         "vmNics.l3Network.l2Network.cluster.host.name",
                                         "allVolumes.__userTag__",
                                         "zone.backupStorage.attachedZoneUuids",
                                         "\"",
                                         "t.name",
                                         "'",
                                         "nics",
                                         "",
                                         " name "};
    const std::vector<std::string> operators{"=", "!=", ">", "<", ">=", "<=", "~=", "!~=", "?=", "!?=", " is null", " not null", "", "=="};
    const std::vector<std::string> values{"",
                                          "1",
                                          "-1",
                                          "Running",
                                          "%",
                                          "a,b,,",
                                          "'; DROP TABLE zone; --",
                                          std::string("\0x", 2),
                                          "$1",
                                          "?1",
                                          "\xff\xfe",
                                          "Nov 14, 2017 10:20:57 PM",
                                          "true",
                                          "\\",
                                          "9223372036854775808"};
    const auto pick = [&](const std::vector<std::string>& from) { return from[random() % from.size()]; };
    for (int round = 0; round < 3000; ++round) {
        Parameters parameters;
        for (unsigned i = random() % 4; i > 0; --i) parameters.conditions.push_back(pick(names) + pick(operators) + pick(values));
        if (random() % 3 == 0) parameters.sort = pick({"+", "-", ""}) + pick(names);
        const identity::Caller& caller = random() % 2 == 0 ? pool_.admin : pool_.alice;
        const std::string answer = random() % 2 == 0 ? run<VmInstance>(parameters, caller) : run<Zone>(parameters, caller);
        ASSERT_FALSE(answer.starts_with("broken: ")) << answer;
    }
    EXPECT_EQ(vms({}), "db01 web01");
}

}  // namespace
}  // namespace ramet::query

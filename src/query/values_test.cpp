#include "query/values.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.hpp"
#include "model/vm.hpp"

namespace ramet::query {
namespace {

std::string sql_of(std::string_view field, Operator op, const std::string& value, Binder& binder) {
    const Result<std::string> sql = column_condition(*describe<VmInstance>().find(field), "c", op, value, std::string(field), binder);
    return sql.has_value() ? *sql : "error " + sql.error().message;
}

class Dates : public testing::Test {
protected:
    void SetUp() override {
        setenv("TZ", "Asia/Shanghai", 1);
        tzset();
    }
    void TearDown() override {
        unsetenv("TZ");
        tzset();
    }
};

TEST_F(Dates, ReadsTheWireForm) { EXPECT_EQ(parse_date("Nov 14, 2017 10:20:57 PM"), 1510669257000); }
TEST_F(Dates, ReadsTheFormOfDatabases) { EXPECT_EQ(parse_date("2017-11-14 22:20:57"), 1510669257000); }
TEST_F(Dates, ReadsNoonAndMidnight) {
    EXPECT_EQ(parse_date("Nov 14, 2017 12:00:00 PM"), parse_date("2017-11-14 12:00:00"));
    EXPECT_EQ(parse_date("Nov 14, 2017 12:00:00 AM"), parse_date("2017-11-14 00:00:00"));
}
TEST_F(Dates, ReadsWhatTheServerWrites) {
    for (const std::int64_t second : {0LL, 1'000'000'000LL, 1'510'669'257LL, 1'700'000'000LL})
        EXPECT_EQ(parse_date(to_wire_date(Timestamp{second * 1000})), second * 1000);
}
TEST_F(Dates, RefusesWhatIsNoDate) {
    for (const char* text : {"", "yesterday", "Nov 14, 2017", "Nov 14, 2017 13:00:00 PM", "Nov 14, 2017 10:20:57", "2017-13-14 22:20:57",
                             "2017-11-14T22:20:57", "Nov 14, 2017 10:20:57 PM x"}) {
        EXPECT_FALSE(parse_date(text).has_value()) << text;
    }
}

TEST(ColumnCondition, ComparesADateByItsWholeSecond) {
    Binder binder;
    EXPECT_EQ(sql_of("createDate", Operator::equal, "2017-11-14 22:20:57", binder), "(c >= $1 AND c < $2)");
    const store::Values values = binder.take();
    EXPECT_EQ(std::get<std::int64_t>(values[1]) - std::get<std::int64_t>(values[0]), 1000);
}

TEST(ColumnCondition, ComparesMillisecondsExactly) {
    Binder binder;
    EXPECT_EQ(sql_of("createDate", Operator::greater, "1510669257141", binder), "c > $1");
}

TEST(ColumnCondition, RefusesValuesOfAnotherType) {
    struct Wrong {
        const char* field;
        Operator op;
        const char* value;
    };
    for (const Wrong& wrong : {Wrong{"cpuNum", Operator::equal, "two"}, Wrong{"cpuNum", Operator::equal, ""}, Wrong{"cpuNum", Operator::in, "1,x"},
                               Wrong{"cpuNum", Operator::equal, "1.5"}, Wrong{"memorySize", Operator::equal, "99999999999999999999"},
                               Wrong{"cpuNum", Operator::like, "%1%"}, Wrong{"createDate", Operator::equal, "soon"}}) {
        Binder binder;
        const Result<std::string> sql = column_condition(*describe<VmInstance>().find(wrong.field), "c", wrong.op, wrong.value, wrong.field, binder);
        ASSERT_FALSE(sql.has_value()) << wrong.field << wrong.value;
        EXPECT_EQ(sql.error().code, ErrorCode::bad_query);
        EXPECT_NE(sql.error().message.find(wrong.field), std::string::npos);
    }
}

TEST(ColumnCondition, SpellsEnumerationsAsTheyAreStored) {
    Binder binder;
    EXPECT_EQ(sql_of("state", Operator::in, "running,Migrating", binder), "c IN ($1, $2)");
    const store::Values values = binder.take();
    EXPECT_EQ(std::get<std::string>(values[0]), "Running");
    EXPECT_EQ(std::get<std::string>(values[1]), "Migrating");  // a state of ZStack that we do not have matches nothing, and is no error
}

TEST(ColumnCondition, PutsValuesIntoParametersOnly) {
    Binder binder;
    EXPECT_EQ(sql_of("name", Operator::equal, "x' OR '1'='1", binder), "c = $1");
    EXPECT_EQ(sql_of("name", Operator::not_like, "%'; DROP TABLE vm_instance; --", binder), "c NOT LIKE $2 ESCAPE '\\'");
}

TEST(ColumnCondition, CompletesALoneEscapeAtTheEndOfAPattern) {
    Binder binder;
    sql_of("name", Operator::like, "a\\", binder);
    sql_of("name", Operator::like, "a\\\\", binder);
    const store::Values values = binder.take();
    EXPECT_EQ(std::get<std::string>(values[0]), "a\\\\");
    EXPECT_EQ(std::get<std::string>(values[1]), "a\\\\");
}

}  // namespace
}  // namespace ramet::query

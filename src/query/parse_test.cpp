#include <gtest/gtest.h>

#include "query/query.hpp"

namespace ramet::query {
namespace {

struct Case {
    const char* text;
    const char* name;
    Operator op;
    const char* value;
};

class Parsed : public testing::TestWithParam<Case> {};

TEST_P(Parsed, SplitsAtTheFirstListedOperator) {
    const Result<Condition> condition = parse_condition(GetParam().text);
    ASSERT_TRUE(condition.has_value()) << condition.error().message;
    EXPECT_EQ(condition->name, GetParam().name);
    EXPECT_EQ(condition->op, GetParam().op);
    EXPECT_EQ(condition->value, GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, Parsed,
    testing::Values(Case{"name=web01", "name", Operator::equal, "web01"}, Case{"name!=web01", "name", Operator::not_equal, "web01"},
                    Case{"cpuNum>=2", "cpuNum", Operator::at_least, "2"}, Case{"cpuNum<=2", "cpuNum", Operator::at_most, "2"},
                    Case{"cpuNum>2", "cpuNum", Operator::greater, "2"}, Case{"cpuNum<2", "cpuNum", Operator::less, "2"},
                    Case{"state?=Running,Stopped", "state", Operator::in, "Running,Stopped"},
                    Case{"state!?=Running", "state", Operator::not_in, "Running"}, Case{"name~=web%", "name", Operator::like, "web%"},
                    Case{"name!~=web%", "name", Operator::not_like, "web%"}, Case{"hostUuid is null", "hostUuid", Operator::is_null, ""},
                    Case{"hostUuid not null", "hostUuid", Operator::not_null, ""},
                    Case{"vmNics.ip=10.0.0.5", "vmNics.ip", Operator::equal, "10.0.0.5"},
                    Case{"  name = web01 ", "name", Operator::equal, " web01 "},  // the name is trimmed, the value is not
                    Case{"name=", "name", Operator::equal, ""},
                    // Quirks: an operator of a higher rank wins wherever it stands.
                    Case{"name=a>=b", "name=a", Operator::at_least, "b"}, Case{"name=x!=y", "name=x", Operator::not_equal, "y"},
                    Case{"name>a=b", "name>a", Operator::equal, "b"}, Case{"name=this is null", "name", Operator::equal, "this is null"},
                    Case{"name=a=b", "name", Operator::equal, "a=b"}));

TEST(ParseCondition, RefusesAConditionWithoutOperatorOrName) {
    for (const char* text : {"", "name", "name web01", "=web01", " != x", "is null", "   ~=x"}) {
        const Result<Condition> condition = parse_condition(text);
        ASSERT_FALSE(condition.has_value()) << text;
        EXPECT_EQ(condition.error().code, ErrorCode::malformed) << text;
    }
}

TEST(ParseCondition, NamesTheOperatorsWhenThereIsNone) { EXPECT_NE(parse_condition("name").error().message.find("!?="), std::string::npos); }

}  // namespace
}  // namespace ramet::query

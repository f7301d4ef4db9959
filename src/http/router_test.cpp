#include "http/router.hpp"

#include <gtest/gtest.h>

#include "http/url.hpp"

namespace ramet::http {

api::MessageInfo route(std::string_view name, api::Method method, std::string_view path) {
    api::MessageInfo info;
    info.name = name;
    info.method = method;
    info.path = path;
    return info;
}

TEST(Router, ALiteralSegmentIsPreferredToAVariable) {
    const api::MessageInfo by_uuid = route("ByUuid", api::Method::get, "/vms/{uuid}");
    const api::MessageInfo special = route("Special", api::Method::get, "/vms/special");
    Router router;
    router.add(by_uuid, nullptr);
    router.add(special, nullptr);
    EXPECT_EQ(std::get<Found>(router.find("GET", {"vms", "special"})).candidates.front()->message->name, "Special");
    const auto found = std::get<Found>(router.find("GET", {"vms", "x"}));
    EXPECT_EQ(found.candidates.front()->message->name, "ByUuid");
    EXPECT_EQ(found.values, std::vector<std::string>{"x"});
}

TEST(Router, AVariableStandsInWhenTheLiteralHasNoSuchMethod) {
    const api::MessageInfo login = route("Login", api::Method::put, "/accounts/login");
    const api::MessageInfo update = route("Delete", api::Method::del, "/accounts/{uuid}");
    Router router;
    router.add(login, nullptr);
    router.add(update, nullptr);
    EXPECT_TRUE(std::holds_alternative<Found>(router.find("DELETE", {"accounts", "login"})));
    EXPECT_EQ(std::get<WrongMethod>(router.find("GET", {"accounts", "login"})).allowed, "PUT, DELETE");
    EXPECT_TRUE(std::holds_alternative<UnknownPath>(router.find("GET", {"accounts"})));
    EXPECT_TRUE(std::holds_alternative<UnknownPath>(router.find("DELETE", {"accounts", ""})));
}

TEST(Router, CallsWithOtherVariableNamesShareAPath) {
    const api::MessageInfo one = route("One", api::Method::put, "/vms/{uuid}/actions");
    const api::MessageInfo two = route("Two", api::Method::put, "/vms/{vmUuid}/actions");
    Router router;
    router.add(one, nullptr);
    router.add(two, nullptr);
    const auto found = std::get<Found>(router.find("PUT", {"vms", "1", "actions"}));
    ASSERT_EQ(found.candidates.size(), 2U);
    EXPECT_EQ(found.candidates[1]->variables, std::vector<std::string>{"vmUuid"});
}

TEST(Url, IsSplitBeforeItIsDecoded) {
    const Result<Target> target = parse_target("/a%2Fb//c%20d+e/?x=1%262&y+z=a+b&flag&=none#part");
    ASSERT_TRUE(target.has_value());
    EXPECT_EQ(target->segments, (std::vector<std::string>{"a/b", "", "c d+e"}));
    using Parameters = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(target->parameters, (Parameters{{"x", "1&2"}, {"y z", "a b"}, {"flag", ""}, {"", "none"}}));
    EXPECT_TRUE(parse_target("*").has_value());
    EXPECT_TRUE(parse_target("").has_value());
    for (const char* broken : {"/%", "/%2", "/%zz", "/a?x=%", "/a?%=x"}) EXPECT_FALSE(parse_target(broken).has_value()) << broken;
}

}  // namespace ramet::http

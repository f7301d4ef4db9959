#include "api/openapi.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "api/json.hpp"

namespace ramet::api::openapi_test {

inline constexpr std::array<std::string_view, 2> kModes{"Soft", "Hard"};

struct Part {
    std::int64_t size = 0;
};
struct Box {
    VmId uuid;
    std::string name;
    std::vector<Part> parts;
};
struct OpenBox {
    VmId uuid;
    std::string mode = "Soft";
    std::vector<Part> parts;
    std::vector<std::string> system_tags;
    std::vector<std::string> user_tags;
};
struct ShutBox {
    VmId box_uuid;
};
struct DropBox {
    VmId uuid;
    std::string mode;
};

}  // namespace ramet::api::openapi_test

namespace ramet {
using namespace api::openapi_test;
template <> const TypeInfo& describe<Part>() {
    static const TypeInfo info = object<Part>("Part", "A part.", field<&Part::size>("size", "Bytes.", {.at_least = 1}));
    return info;
}
template <> const TypeInfo& describe<Box>() {
    static const TypeInfo info =
        row<Box>({"box", "BoxVO", "org.example.Box"}, "Box", "A box.", field<&Box::uuid>("uuid", "Its uuid.", {.primary = true}),
                 field<&Box::name>("name", "Its name."), field<&Box::parts>("parts", "Parts.", {.relation = true}));
    return info;
}
template <> const TypeInfo& describe<OpenBox>() {
    static const TypeInfo info =
        object<OpenBox>("OpenBox", "Opens.", field<&OpenBox::uuid>("uuid", "Its uuid.", {.required = true, .in_path = true}),
                        field<&OpenBox::mode>("mode", "How.", {.one_of = kModes, .fallback = "Soft", .since = "1.2"}),
                        field<&OpenBox::parts>("parts", "Parts.", {.required = true}), field<&OpenBox::system_tags>("systemTags", "Tags."),
                        field<&OpenBox::user_tags>("userTags", "Tags."));
    return info;
}
template <> const TypeInfo& describe<ShutBox>() {
    static const TypeInfo info = object<ShutBox>("ShutBox", "Shuts.", field<&ShutBox::box_uuid>("boxUuid", "Its uuid.", {.in_path = true}));
    return info;
}
template <> const TypeInfo& describe<DropBox>() {
    static const TypeInfo info = object<DropBox>("DropBox", "Drops.", field<&DropBox::uuid>("uuid", "Its uuid.", {.in_path = true}),
                                                 field<&DropBox::mode>("mode", "How.", {.one_of = kModes}));
    return info;
}
}  // namespace ramet

namespace ramet::api::openapi_test {

constexpr std::array kHistory{Change{"1.2", "mode was added"}};

std::vector<MessageInfo> messages() {
    MessageInfo open{.name = "OpenBox",
                     .category = "Store/Boxes",
                     .method = Method::put,
                     .path = "/boxes/{uuid}/actions",
                     .body_key = "openBox",
                     .completion = Completion::async,
                     .doc = "Opens a box.",
                     .reply_key = "inventory",
                     .request = &describe<OpenBox>,
                     .reply = &describe<Box>,
                     .request_example = R"({"parts":[{"size":1}]})",
                     .response_example = R"({"inventory":{"name":"it's"}})",
                     .history = kHistory};
    MessageInfo shut{.name = "ShutBox",
                     .category = "Store/Boxes",
                     .method = Method::put,
                     .path = "/boxes/{boxUuid}/actions",
                     .body_key = "shutBox",
                     .access = Access::admin,
                     .doc = "Shuts.",
                     .request = &describe<ShutBox>};
    MessageInfo drop{
        .name = "DropBox", .category = "Store/Boxes", .method = Method::del, .path = "/boxes/{uuid}", .doc = "Drops.", .request = &describe<DropBox>};
    MessageInfo list{.name = "QueryBox",
                     .category = "Store/Boxes",
                     .method = Method::get,
                     .path = "/boxes",
                     .access = Access::open,
                     .doc = "Lists.",
                     .reply_key = "inventories",
                     .query_row = &describe<Box>};
    return {open, shut, drop, list};
}

boost::json::value document() {
    const std::vector<MessageInfo> all = messages();
    std::vector<const MessageInfo*> pointers;
    for (const MessageInfo& message : all) pointers.push_back(&message);
    const std::string text = openapi_document("1.2.3", pointers);
    return parse_json(text).value();
}

void collect_references(const boost::json::value& value, std::set<std::string>& found) {
    if (value.is_array()) {
        for (const auto& item : value.get_array()) collect_references(item, found);
    } else if (value.is_object()) {
        for (const auto& [key, member] : value.get_object()) {
            if (key == "$ref")
                found.insert(std::string(member.get_string()));
            else
                collect_references(member, found);
        }
    }
}

TEST(Openapi, CallsThatShareAPathAreToldApartByAFragment) {
    const auto root = document();
    const auto& paths = root.at("paths").as_object();
    EXPECT_EQ(root.at("openapi"), "3.1.0");
    EXPECT_EQ(root.at("info").at("version"), "1.2.3");
    ASSERT_TRUE(paths.contains("/boxes/{uuid}/actions#openBox"));
    ASSERT_TRUE(paths.contains("/boxes/{boxUuid}/actions#shutBox"));
    ASSERT_TRUE(paths.contains("/boxes"));
    ASSERT_TRUE(paths.at("/boxes/{uuid}").as_object().contains("get"));
    ASSERT_TRUE(paths.at("/boxes/{uuid}").as_object().contains("delete"));
}

TEST(Openapi, EveryReferenceLeadsSomewhere) {
    const auto root = document();
    std::set<std::string> references;
    collect_references(root, references);
    EXPECT_GE(references.size(), 8U);
    for (const std::string& reference : references) {
        boost::system::error_code error;
        EXPECT_NE(root.find_pointer(reference.substr(1), error), nullptr) << reference;
    }
}

TEST(Openapi, DescribesTheBodyItsRulesAndItsExamples) {
    const auto root = document();
    const auto& operation = root.at("paths").at("/boxes/{uuid}/actions#openBox").at("put");
    const auto& media = operation.at("requestBody").at("content").at("application/json");
    EXPECT_EQ(media.at("schema").at("properties").at("openBox").at("$ref"), "#/components/schemas/OpenBox");
    EXPECT_TRUE(media.at("schema").at("properties").as_object().contains("systemTags"));
    EXPECT_EQ(media.at("example").at("openBox").at("parts").at(0).at("size"), 1);
    const auto& schema = root.at("components").at("schemas").at("OpenBox");
    EXPECT_FALSE(schema.at("properties").as_object().contains("uuid"));
    EXPECT_EQ(schema.at("properties").at("mode").at("enum").as_array().size(), 2U);
    EXPECT_EQ(schema.at("properties").at("mode").at("default"), "Soft");
    EXPECT_EQ(schema.at("required").at(0), "parts");
    EXPECT_TRUE(operation.at("responses").as_object().contains("202"));
    EXPECT_EQ(operation.at("responses").at("200").at("content").at("application/json").at("example").at("inventory").at("name"), "it's");
}

TEST(Openapi, TheExplorersPartIsComplete) {
    const auto root = document();
    const auto& x = root.at("paths").at("/boxes/{uuid}/actions#openBox").at("put").at("x-ramet");
    EXPECT_EQ(x.at("name"), "OpenBox");
    EXPECT_EQ(x.at("synchronous"), false);
    EXPECT_EQ(x.at("authRequired"), true);
    EXPECT_EQ(x.at("bodyKey"), "openBox");
    EXPECT_EQ(x.at("history").at(0).at("version"), "1.2");
    EXPECT_EQ(x.at("pathParameters").at(0).at("name"), "uuid");
    EXPECT_EQ(x.at("bodyFields").at(0).at("values").at(1), "Hard");
    EXPECT_EQ(x.at("bodyFields").at(1).at("type"), "List");
    EXPECT_EQ(x.at("curl"),
              R"(curl -X PUT 'http://{host}/zstack/v1/boxes/{uuid}/actions' -H 'Authorization: OAuth {sessionUuid}' )"
              R"(-H 'Content-Type: application/json;charset=UTF-8' -d '{"openBox":{"parts":[{"size":1}]},"systemTags":[],"userTags":[]}')");
    EXPECT_EQ(root.at("paths").at("/boxes/{boxUuid}/actions#shutBox").at("put").at("x-ramet").at("adminOnly"), true);
}

TEST(Openapi, QueriesAndDeletesTakeTheirParametersFromTheUrl) {
    const auto root = document();
    const auto& list = root.at("paths").at("/boxes").at("get");
    EXPECT_EQ(list.at("parameters").as_array().size(), 8U);
    EXPECT_TRUE(list.at("security").as_array().empty());
    EXPECT_EQ(root.at("paths").at("/boxes/{uuid}").at("get").at("x-ramet").at("byUuid"), true);
    const auto& drop = root.at("paths").at("/boxes/{uuid}").at("delete");
    EXPECT_EQ(drop.at("parameters").at(0).at("in"), "path");
    EXPECT_EQ(drop.at("parameters").at(1).at("in"), "query");
}

}  // namespace ramet::api::openapi_test

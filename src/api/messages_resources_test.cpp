#include "api/messages_resources.hpp"

#include <gtest/gtest.h>

#include <set>

#include "api/json.hpp"

namespace ramet::api {
namespace {

std::vector<std::string> path_variables(std::string_view path) {
    std::vector<std::string> names;
    for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1)) {
        names.emplace_back(path.substr(open + 1, path.find('}', open) - open - 1));
    }
    return names;
}

TEST(ResourceMessages, HaveNamesAndRoutesOfTheirOwn) {
    std::set<std::string> names, routes;
    for (const MessageInfo* message : resource_messages()) {
        EXPECT_TRUE(names.emplace(message->name).second) << message->name;
        const std::string key = message->method == Method::put ? std::string(message->body_key) : "";
        const std::string route = std::to_string(static_cast<int>(message->method)) + " " + std::string(message->path) + " " + key;
        EXPECT_TRUE(routes.insert(route).second) << message->name << " shares " << route;
        EXPECT_TRUE(message->category.starts_with("Resource Center/")) << message->name;
        EXPECT_TRUE(message->doc.ends_with('.')) << message->name;
    }
}

TEST(ResourceMessages, FillEveryPathVariable) {
    for (const MessageInfo* message : resource_messages()) {
        if (message->request == nullptr) continue;
        const TypeInfo& request = message->request();
        for (const std::string& name : path_variables(message->path)) {
            const FieldInfo* field = request.find(name);
            ASSERT_NE(field, nullptr) << message->name << " " << name;
            EXPECT_TRUE(field->rules.in_path) << message->name << " " << name;
        }
        for (const FieldInfo& field : request.fields) {
            if (!field.rules.in_path) continue;
            EXPECT_NE(message->path.find("{" + std::string(field.name) + "}"), std::string_view::npos) << message->name << " " << field.name;
        }
    }
}

TEST(ResourceMessages, DescribeEveryFieldWithAnExample) {
    for (const MessageInfo* message : resource_messages()) {
        if (message->request == nullptr) continue;
        for (const FieldInfo& field : message->request().fields) {
            EXPECT_TRUE(field.doc.ends_with('.')) << message->name << "." << field.name;
            EXPECT_FALSE(field.rules.example.empty()) << message->name << "." << field.name;
        }
    }
}

TEST(ResourceMessages, TheirRequestExamplesPassTheirOwnRules) {
    for (const MessageInfo* message : resource_messages()) {
        if (message->request == nullptr) continue;
        Result<boost::json::value> json = parse_json(message->request_example);
        ASSERT_TRUE(json.has_value()) << message->name;
        for (const FieldInfo& field : message->request().fields) {
            if (field.rules.in_path) json->as_object()[field.name] = field.rules.example;
        }
        const std::shared_ptr<void> request = message->make();
        const Result<void> read = read_json(*json, message->request(), request.get());
        ASSERT_TRUE(read.has_value()) << message->name << ": " << read.error().message;
        const Result<void> checked = check_rules(message->request(), request.get());
        EXPECT_TRUE(checked.has_value()) << message->name << ": " << checked.error().message;
    }
}

TEST(ResourceMessages, TheirResponseExamplesShowTheirReply) {
    for (const MessageInfo* message : resource_messages()) {
        const Result<boost::json::value> json = parse_json(message->response_example);
        ASSERT_TRUE(json.has_value()) << message->name << ": " << message->response_example;
        const boost::json::object& body = json->as_object();
        if (message->reply_key == "*") {
            EXPECT_TRUE(body.contains("success")) << message->name;
            for (const FieldInfo& field : message->reply().fields) {
                if (field.shape == Shape::optional) continue;
                EXPECT_TRUE(body.contains(field.name)) << message->name << " " << field.name;
            }
        } else if (message->reply_key.empty()) {
            EXPECT_TRUE(body.empty()) << message->name;
        } else {
            ASSERT_TRUE(body.contains(message->reply_key)) << message->name;
            const boost::json::value& shown = body.at(message->reply_key);
            const boost::json::object& row = shown.is_array() ? shown.as_array().at(0).as_object() : shown.as_object();
            for (const auto& [name, value] : row)
                EXPECT_NE(message->reply().find(std::string_view(name.data(), name.size())), nullptr) << message->name << " " << name;
        }
    }
}

}  // namespace
}  // namespace ramet::api

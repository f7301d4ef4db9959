#include "api/json.hpp"
#include "api/reply_schema.hpp"

namespace ramet::api {

namespace json = boost::json;

namespace {

std::string joined(const std::string& path, std::string_view name) { return path.empty() ? std::string(name) : path + "." + std::string(name); }

void walk(Schema& schema, const std::string& path, const TypeInfo& type, const json::value& value) {
    if (value.is_array()) {
        const json::array& items = value.get_array();
        for (std::size_t i = 0; i < items.size(); ++i) walk(schema, path + "[" + std::to_string(i) + "]", type, items[i]);
        return;
    }
    if (!value.is_object()) return;
    if (!path.empty() && !type.schema_class.empty()) schema.emplace_back(path, type.schema_class);
    for (const FieldInfo& field : type.fields) {
        if (field.scalar != Scalar::object || field.rules.internal) continue;
        const json::value* const child = value.get_object().if_contains(field.name);
        if (child != nullptr) walk(schema, joined(path, field.name), field.object(), *child);
    }
}

}  // namespace

void append_schema(Schema& schema, const std::string& path, const TypeInfo& type, const void* value) {
    if (!path.empty() && !type.schema_class.empty()) schema.emplace_back(path, type.schema_class);
    void* const owner = const_cast<void*>(value);  // the accessors are shared with readers; nothing is changed
    for (const FieldInfo& field : type.fields) {
        if (field.scalar != Scalar::object || field.rules.internal) continue;
        void* const member = field.member(owner);
        const std::size_t count = field.count(member);
        for (std::size_t i = 0; i < count; ++i) {
            std::string child = joined(path, field.name);
            if (field.shape == Shape::list) child += "[" + std::to_string(i) + "]";
            append_schema(schema, child, field.object(), field.item(member, i));
        }
    }
}

Schema schema_of_reply(const MessageInfo& message, const json::value& body) {
    Schema schema;
    const DescribeFunction described = message.query_row != nullptr ? message.query_row : message.reply;
    if (described == nullptr || !body.is_object()) return schema;
    const std::string_view key = message.query_row != nullptr ? "inventories" : message.reply_key;
    if (key == "*") {
        walk(schema, "", described(), body);
    } else if (const json::value* const value = body.get_object().if_contains(key)) {
        walk(schema, std::string(key), described(), *value);
    }
    return schema;
}

std::string schema_to_json(const Schema& schema) {
    std::string out = "{";
    for (const auto& [path, class_name] : schema) {
        if (out.size() > 1) out += ',';
        append_json_string(out, path);
        out += ':';
        append_json_string(out, class_name);
    }
    return out + '}';
}

std::string with_schema(const MessageInfo& message, const std::string& body) {
    const Result<json::value> parsed = parse_json(body);
    if (!parsed.has_value() || !parsed->is_object() || parsed->get_object().contains("schema")) return body;
    const Schema schema = schema_of_reply(message, *parsed);
    if (schema.empty()) return body;
    const std::size_t end = body.rfind('}');
    return body.substr(0, end) + ",\"schema\":" + schema_to_json(schema) + "}";
}

}  // namespace ramet::api

#include "api/openapi.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "api/json.hpp"
#include "api/openapi_schemas.hpp"

namespace ramet::api {

namespace json = boost::json;

namespace {

std::string_view method_word(Method method) {
    switch (method) {
    case Method::get: return "get";
    case Method::post: return "post";
    case Method::put: return "put";
    case Method::del: return "delete";
    }
    return "get";
}

std::string camel(std::string_view name) {
    std::string out(name);
    if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] + 32);
    return out;
}

// "/a/{x}/b" and "/a/{y}/b" are one path to a router.
std::string shape_of(std::string_view path) {
    std::string out;
    bool inside = false;
    for (const char c : path) {
        if (c == '}') inside = false;
        if (!inside) out += c;
        if (c == '{') inside = true;
    }
    return out;
}

json::value example_value(std::string_view text) {
    Result<json::value> parsed = parse_json(text);
    return parsed.has_value() ? std::move(*parsed) : json::value(text);
}

bool has_tags(const MessageInfo& message) { return message.request != nullptr && message.request().find("systemTags") != nullptr; }

bool is_tag_field(const FieldInfo& field) { return field.name == "systemTags" || field.name == "userTags"; }

// {"cloneVmInstance": example, "systemTags": [], "userTags": []}
json::object example_body(const MessageInfo& message) {
    json::object body;
    body[message.body_key] = message.request_example.empty() ? json::value(json::object()) : example_value(message.request_example);
    if (has_tags(message)) {
        body["systemTags"] = json::array();
        body["userTags"] = json::array();
    }
    return body;
}

std::string curl_line(const MessageInfo& message, std::string_view path) {
    std::string method(method_word(message.method));
    for (char& c : method) c = static_cast<char>(c - 32);
    std::string line = "curl -X " + method + " 'http://{host}/zstack/v1" + std::string(path) + "'";
    if (message.access != Access::open) line += " -H 'Authorization: OAuth {sessionUuid}'";
    if (!message.body_key.empty()) {
        std::string body = json::serialize(example_body(message));
        for (std::size_t at = body.find('\''); at != std::string::npos; at = body.find('\'', at + 4)) body.replace(at, 1, "'\\''");
        line += " -H 'Content-Type: application/json;charset=UTF-8' -d '" + body + "'";
    }
    return line;
}

json::object field_row(const FieldInfo& field) {
    json::object row;
    row["name"] = field.name;
    row["type"] = type_word(field);
    row["required"] = field.rules.required || field.rules.in_path;
    row["doc"] = field.doc;
    if (!field.rules.fallback.empty()) row["default"] = field.rules.fallback;
    if (!field.rules.example.empty()) row["example"] = field.rules.example;
    const std::span<const std::string_view> values = field.scalar == Scalar::enumeration ? field.values : field.rules.one_of;
    if (!values.empty()) row["values"] = json::array(values.begin(), values.end());
    if (!field.rules.since.empty()) row["since"] = field.rules.since;
    return row;
}

json::object query_field(std::string_view name, std::string_view type, std::string_view doc) {
    json::object row;
    row["name"] = name;
    row["type"] = type;
    row["required"] = false;
    row["doc"] = doc;
    return row;
}

json::array query_fields() {
    json::array rows;
    rows.push_back(query_field("q", "List", "A condition such as name=web or state!=Stopped; repeat it to add conditions, all must hold."));
    rows.push_back(query_field("limit", "Integer", "How many at most; 1000 if left out."));
    rows.push_back(query_field("start", "Integer", "How many to skip."));
    rows.push_back(query_field("sort", "String", "A field to sort by, descending with a '-' in front."));
    rows.push_back(query_field("fields", "String", "Only these fields, separated by commas."));
    rows.push_back(query_field("count", "Boolean", "Only how many there are."));
    rows.push_back(query_field("replyWithCount", "Boolean", "Also how many there are without the limit."));
    return rows;
}

json::object x_ramet(const MessageInfo& message, std::string_view path, bool by_uuid) {
    json::object x;
    x["name"] = message.name;
    x["category"] = message.category;
    x["since"] = message.since;
    x["synchronous"] = message.completion == Completion::sync;
    x["authRequired"] = message.access != Access::open;
    x["adminOnly"] = message.access == Access::admin;
    x["bodyKey"] = message.body_key;
    x["curl"] = curl_line(message, path);
    x["requestExample"] = message.body_key.empty() ? std::string() : json::serialize(example_body(message));
    x["responseExample"] = message.response_example;
    json::array history;
    for (const Change& change : message.history) {
        json::object entry;
        entry["version"] = change.version;
        entry["what"] = change.what;
        history.push_back(std::move(entry));
    }
    x["history"] = std::move(history);
    json::array path_rows;
    json::array body_rows;
    if (message.request != nullptr) {
        for (const FieldInfo& field : message.request().fields) {
            if (field.rules.internal) continue;
            (field.rules.in_path ? path_rows : body_rows).push_back(field_row(field));
        }
    }
    if (by_uuid) {
        json::object row = query_field("uuid", "String", "Its uuid.");
        row["required"] = true;
        path_rows.push_back(std::move(row));
        x["byUuid"] = true;
    } else if (message.query_row != nullptr) {
        body_rows = query_fields();
    }
    x["pathParameters"] = std::move(path_rows);
    x["bodyFields"] = std::move(body_rows);
    return x;
}

json::object parameter(std::string_view name, std::string_view where, bool required, std::string_view doc, json::object schema) {
    json::object out;
    out["name"] = name;
    out["in"] = where;
    out["required"] = required;
    out["description"] = doc;
    out["schema"] = std::move(schema);
    return out;
}

json::object typed(std::string_view type) {
    json::object schema;
    schema["type"] = type;
    return schema;
}

json::object reference(const std::string& to) {
    json::object out;
    out["$ref"] = to;
    return out;
}

json::object json_content(json::object schema, std::string_view example, std::string_view media_type = "application/json") {
    json::object media;
    media["schema"] = std::move(schema);
    if (!example.empty()) media["example"] = example_value(example);
    json::object content;
    content[media_type] = std::move(media);
    return content;
}

class Document {
public:
    explicit Document(std::span<const MessageInfo* const> messages) {
        for (const MessageInfo* message : messages) ++sharing_[key_of(*message, message->path)];
        for (const MessageInfo* message : messages) {
            add(*message, std::string(message->path), false);
            const std::string by_uuid = std::string(message->path) + "/{uuid}";
            const auto is_taken = [&](const MessageInfo* other) { return other->method == Method::get && other->path == by_uuid; };
            if (message->query_row != nullptr && std::ranges::none_of(messages, is_taken)) add(*message, by_uuid, true);
        }
    }

    std::string text(const std::string& version) {
        json::object info;
        info["title"] = "ramet";
        info["version"] = version;
        info["description"] =
            "Clones virtual machines: one call, many clones. Calls whose path bears a '#' share their path; the fragment is never sent.";
        json::object server;
        server["url"] = "/zstack/v1";
        json::object root;
        root["openapi"] = "3.1.0";
        root["info"] = std::move(info);
        root["servers"] = json::array{std::move(server)};
        root["paths"] = std::move(paths_);
        root["components"] = components();
        return json::serialize(root);
    }

private:
    static std::string key_of(const MessageInfo& message, std::string_view path) { return std::string(method_word(message.method)) + shape_of(path); }

    // The path under which this operation is listed: with a fragment when another call has the same path and method, or when the
    // same path was listed before with other variable names.
    std::string listed_path(const MessageInfo& message, const std::string& path) {
        const bool shared = sharing_[key_of(message, path)] > 1;
        const auto [spelling, first] = spellings_.emplace(shape_of(path), path);
        const bool taken = paths_.contains(path) && paths_[path].as_object().contains(method_word(message.method));
        if (!shared && !taken && (first || spelling->second == path)) return path;
        return path + "#" + camel(message.name);
    }

    void add(const MessageInfo& message, const std::string& path, bool by_uuid) {
        const std::string listed = listed_path(message, path);
        if (!paths_.contains(listed)) paths_[listed] = json::object();
        paths_[listed].as_object()[method_word(message.method)] = operation(message, path, by_uuid);
    }

    json::object operation(const MessageInfo& message, const std::string& path, bool by_uuid) {
        json::object out;
        out["operationId"] = camel(message.name) + (by_uuid ? "ByUuid" : "");
        out["summary"] = message.name;
        out["description"] = message.doc;
        const std::size_t slash = message.category.rfind('/');
        out["tags"] = json::array{message.category.substr(slash == std::string_view::npos ? 0 : slash + 1)};
        json::array security;
        if (message.access != Access::open) {
            json::object session;
            session["session"] = json::array();
            security.push_back(std::move(session));
        }
        out["security"] = std::move(security);
        out["parameters"] = parameters(message, by_uuid);
        if (!message.body_key.empty()) out["requestBody"] = request_body(message);
        out["responses"] = responses(message);
        out["x-ramet"] = x_ramet(message, path, by_uuid);
        return out;
    }

    json::array parameters(const MessageInfo& message, bool by_uuid) {
        json::array out;
        if (message.request != nullptr) {
            const bool in_query = message.body_key.empty() && (message.method == Method::get || message.method == Method::del);
            for (const FieldInfo& field : message.request().fields) {
                if (field.rules.internal || (!field.rules.in_path && (!in_query || field.scalar == Scalar::object))) continue;
                const bool required = field.rules.in_path || field.rules.required;
                out.push_back(
                    parameter(field.name, field.rules.in_path ? "path" : "query", required, field.doc, schemas_.of_field(field, Direction::request)));
            }
        }
        if (by_uuid) out.push_back(parameter("uuid", "path", true, "Its uuid.", typed("string")));
        if (message.query_row != nullptr && !by_uuid) {
            for (const char* name : {"q", "limit", "start", "sort", "fields", "count", "replyWithCount"}) {
                out.push_back(reference("#/components/parameters/" + std::string(name)));
            }
        }
        if (message.completion == Completion::async) {
            for (const char* name : {"X-Job-UUID", "X-Web-Hook", "Prefer"}) out.push_back(reference("#/components/parameters/" + std::string(name)));
        }
        if (message.access != Access::open && message.method != Method::get) out.push_back(reference("#/components/parameters/Idempotency-Key"));
        out.push_back(reference("#/components/parameters/X-Ramet-Mode"));
        return out;
    }

    json::object request_body(const MessageInfo& message) {
        json::object properties;
        if (message.request != nullptr)
            properties[message.body_key] = schemas_.reference(message.request(), Direction::request);
        else
            properties[message.body_key] = typed("object");
        if (has_tags(message)) {
            for (const FieldInfo& field : message.request().fields) {
                if (is_tag_field(field)) properties[field.name] = schemas_.of_field(field, Direction::request);
            }
        }
        json::object schema = typed("object");
        schema["properties"] = std::move(properties);
        json::array required;
        required.emplace_back(message.body_key);
        schema["required"] = std::move(required);
        json::object body;
        body["required"] = true;
        body["content"] = json_content(std::move(schema), json::serialize(example_body(message)));
        return body;
    }

    json::object reply_schema(const MessageInfo& message) {
        json::object schema = typed("object");
        json::object properties;
        if (message.query_row != nullptr) {
            json::object list = typed("array");
            list["items"] = schemas_.reference(message.query_row(), Direction::reply);
            properties["inventories"] = std::move(list);
            properties["total"] = typed("integer");
            properties["schema"] = typed("object");
        } else if (message.reply_key == "*" && message.reply != nullptr) {
            for (const FieldInfo& field : message.reply().fields) {
                if (!field.rules.internal) properties[field.name] = schemas_.of_field(field, Direction::reply);
            }
            properties["success"] = typed("boolean");
        } else if (!message.reply_key.empty() && message.reply != nullptr) {
            json::object item = schemas_.reference(message.reply(), Direction::reply);
            if (message.reply_key == "inventories" || message.reply_key == "results") {
                json::object list = typed("array");
                list["items"] = std::move(item);
                item = std::move(list);
            }
            properties[message.reply_key] = std::move(item);
        }
        schema["properties"] = std::move(properties);
        return schema;
    }

    json::object responses(const MessageInfo& message) {
        json::object done;
        done["description"] = "Done.";
        done["content"] = json_content(reply_schema(message), message.response_example, message.reply_media);
        json::object out;
        out["200"] = std::move(done);
        if (message.completion == Completion::async) out["202"] = reference("#/components/responses/Accepted");
        out["400"] = reference("#/components/responses/Malformed");
        out["503"] = reference("#/components/responses/Failed");
        return out;
    }

    json::object components() {
        json::object scheme;
        scheme["type"] = "apiKey";
        scheme["in"] = "header";
        scheme["name"] = "Authorization";
        scheme["description"] = "OAuth <session uuid>, from logInByAccount";
        json::object schemes;
        schemes["session"] = std::move(scheme);
        json::object out;
        out["securitySchemes"] = std::move(schemes);
        out["parameters"] = common_parameters();
        out["responses"] = common_responses();
        json::object schemas = schemas_.take();
        schemas["Error"] = error_schema();
        out["schemas"] = std::move(schemas);
        return out;
    }

    static json::object common_parameters() {
        json::object out;
        json::object list = typed("array");
        list["items"] = typed("string");
        const json::array rows = query_fields();
        for (const json::value& row : rows) {
            const json::object& field = row.get_object();
            const std::string_view type = field.at("type").get_string();
            json::object schema = type == "List" ? list : typed(type == "Integer" ? "integer" : type == "Boolean" ? "boolean" : "string");
            const std::string_view name = field.at("name").get_string();
            out[name] = parameter(name, "query", false, field.at("doc").get_string(), std::move(schema));
        }
        const auto header = [&](std::string_view name, std::string_view doc) { out[name] = parameter(name, "header", false, doc, typed("string")); };
        header("X-Job-UUID", "The uuid the job shall have (32 characters); the answer is then 202 at once. A repeat is refused.");
        header("X-Web-Hook", "A URL that is told the result when the job ends; the answer is then 202 at once.");
        header("Idempotency-Key",
               "A text of the caller's choice. A repeat with the same key and body gets the first call's job and answer; with another body 409. "
               "A call that failed lets its key go.");
        header("Prefer", "respond-async: 202 at once; wait=N: hold the request up to N seconds.");
        header("X-Ramet-Mode", "mock: the request is checked in full and answered with the example; nothing changes.");
        return out;
    }

    static json::object common_responses() {
        json::object accepted;
        accepted["description"] = "A job was started: poll location.";
        json::object properties;
        properties["location"] = typed("string");
        properties["apiTimeout"] = typed("integer");
        json::object schema = typed("object");
        schema["properties"] = std::move(properties);
        accepted["content"] = json_content(
            std::move(schema), R"({"location":"http://127.0.0.1:8080/zstack/v1/api-jobs/327b60d6b8cd41489ade6f4830bcec16","apiTimeout":1800000})");
        json::object text_media;
        text_media["schema"] = typed("string");
        json::object text_content;
        text_content["text/plain"] = std::move(text_media);
        json::object malformed;
        malformed["description"] = "The request cannot be read; the text says why.";
        malformed["content"] = std::move(text_content);
        json::object wrapped = typed("object");
        json::object error_property;
        error_property["error"] = reference("#/components/schemas/Error");
        wrapped["properties"] = std::move(error_property);
        json::object failed_response;
        failed_response["description"] = "The call failed.";
        failed_response["content"] = json_content(std::move(wrapped), error_body(Error{ErrorCode::not_found, "no such VM", {}, nullptr, {}}));
        json::object out;
        out["Accepted"] = std::move(accepted);
        out["Malformed"] = std::move(malformed);
        out["Failed"] = std::move(failed_response);
        return out;
    }

    static json::object error_schema() {
        json::object properties;
        for (const char* name : {"code", "description", "details"}) properties[name] = typed("string");
        properties["cause"] = reference("#/components/schemas/Error");
        properties["opaque"] = typed("object");
        json::object schema = typed("object");
        schema["properties"] = std::move(properties);
        return schema;
    }

    std::map<std::string, int> sharing_;
    std::map<std::string, std::string> spellings_;
    json::object paths_;
    OpenapiSchemas schemas_;
};

}  // namespace

std::string openapi_document(const std::string& server_version, std::span<const MessageInfo* const> messages) {
    return Document(messages).text(server_version);
}

}  // namespace ramet::api

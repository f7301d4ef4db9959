#include "http/request_reader.hpp"

#include <algorithm>
#include <boost/json/value.hpp>
#include <charconv>
#include <map>

#include "api/json.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace ramet::http {

namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 2> kTagFields{"systemTags", "userTags"};
constexpr std::array<std::string_view, 3> kPlainKeys{"params", "null", "param"};  // what clients call the one parameter object of a POST

bool is_plain_key(std::string_view key) { return std::find(kPlainKeys.begin(), kPlainKeys.end(), key) != kPlainKeys.end(); }

bool is_blank(std::string_view body) { return body.find_first_not_of(" \t\r\n") == std::string_view::npos; }

Result<json::object> parse_body(const std::string& body) {
    TRY_ASSIGN(json::value parsed, api::parse_json(body));
    if (!parsed.is_object()) return fail(ErrorCode::malformed, "the body must be a JSON object");
    return std::move(parsed.get_object());
}

// The body's member under this endpoint's key: exactly, then ignoring case, then under another name for plain parameters.
const json::value* member_for(const json::object& body, std::string_view key) {
    if (const json::value* const exact = body.if_contains(key)) return exact;
    for (const auto& member : body)
        if (equal_ignoring_case(member.key(), key)) return &member.value();
    if (!is_plain_key(key)) return nullptr;
    for (const std::string_view other : kPlainKeys)
        if (const json::value* const found = body.if_contains(other)) return found;
    return nullptr;
}

std::string listed_keys(const std::vector<const Endpoint*>& candidates) {
    std::string out;
    for (const Endpoint* candidate : candidates) out += (out.empty() ? "" : ", ") + std::string(candidate->message->body_key);
    return out;
}

Result<const Endpoint*> choose(const std::vector<const Endpoint*>& candidates, const json::object& body, const std::string& path) {
    for (const auto& member : body) {
        for (const Endpoint* candidate : candidates)
            if (candidate->message->body_key == member.key()) return candidate;
    }
    for (const auto& member : body) {
        for (const Endpoint* candidate : candidates)
            if (equal_ignoring_case(candidate->message->body_key, member.key())) return candidate;
    }
    return fail(ErrorCode::malformed, "the body has no action that maps to " + path + "; its key must be one of: " + listed_keys(candidates));
}

Result<json::object> fields_from_body(const api::MessageInfo& message, const json::object& body) {
    json::object fields;
    const json::value* const inner = member_for(body, message.body_key);
    if (inner != nullptr && !inner->is_null()) {
        if (!inner->is_object()) return fail(ErrorCode::malformed, "the value of '" + std::string(message.body_key) + "' must be an object");
        fields = inner->get_object();
    }
    for (const std::string_view tags : kTagFields) {
        const json::value* const beside = body.if_contains(tags);
        if (beside != nullptr && !beside->is_null()) fields[tags] = *beside;
    }
    return fields;
}

// A list's parameter: "names", or "names.3" with its index.
std::optional<std::int64_t> index_of(std::string_view parameter, std::string_view field) {
    if (parameter == field) return -1;
    if (!parameter.starts_with(field) || parameter.size() < field.size() + 2 || parameter[field.size()] != '.') return std::nullopt;
    const std::string_view digits = parameter.substr(field.size() + 1);
    std::int64_t index = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc() || end != digits.data() + digits.size() || index < 0) return std::nullopt;
    return index;
}

Result<json::object> fields_from_parameters(const TypeInfo& type, const Target& target) {
    json::object fields;
    for (const FieldInfo& field : type.fields) {
        std::multimap<std::int64_t, std::string_view> values;
        for (const auto& [name, value] : target.parameters) {
            if (value.empty() && api::names_something(field)) continue;  // "deleteMode=", "vmUuid=": so Go clients write what they leave out
            const std::optional<std::int64_t> index = index_of(name, field.name);
            if (index && (*index == -1 || field.shape == Shape::list)) values.emplace(*index, value);
        }
        if (values.empty()) continue;
        if (field.shape != Shape::list) {
            if (values.size() > 1) return fail(ErrorCode::malformed, "parameter '" + std::string(field.name) + "' has several values, but takes one");
            fields[field.name] = values.begin()->second;
            continue;
        }
        json::array items;
        for (const auto& [index, value] : values) items.emplace_back(value);
        fields[field.name] = std::move(items);
    }
    return fields;
}

Result<std::int64_t> read_number(std::string_view name, std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0) {
        return fail(ErrorCode::malformed,
                    "parameter '" + std::string(name) + "' must be a whole number from 0, but is '" + std::string(text.substr(0, 64)) + "'");
    }
    return number;
}

Result<void> read_query_parameter(query::Parameters& out, const std::string& name, const std::string& value) {
    if (name.empty() || name == "q") {
        if (std::find(out.conditions.begin(), out.conditions.end(), value) == out.conditions.end()) out.conditions.push_back(value);
    } else if (name == "limit") {
        TRY_ASSIGN(const std::int64_t limit, read_number(name, value));
        if (limit > limits::kQueryLimitMax) {
            return fail(ErrorCode::invalid_argument,
                        "parameter 'limit' may be at most " + std::to_string(limits::kQueryLimitMax) + "; use 'start' to fetch the rest");
        }
        out.limit = limit;
    } else if (name == "start") {
        TRY_ASSIGN(out.start, read_number(name, value));
    } else if (name == "sort") {
        out.sort = value.substr(std::min(value.find_first_not_of(' '), value.size()));  // a bare '+' arrives as a space
    } else if (name == "fields") {
        for (std::string_view rest = value; !rest.empty();) {
            const std::string_view field = rest.substr(0, rest.find(','));
            if (!field.empty()) out.fields.emplace_back(field);
            rest.remove_prefix(std::min(field.size() + 1, rest.size()));
        }
    } else if (name == "count") {
        out.count = equal_ignoring_case(value, "true");
    } else if (name == "replyWithCount") {
        out.reply_with_count = equal_ignoring_case(value, "true");
    } else if (name == "filterName" && value.find(':') == std::string::npos) {
        return fail(ErrorCode::invalid_argument, "parameter 'filterName' must be 'type:condition', but is '" + value.substr(0, 64) + "'");
    }
    return {};
}

}  // namespace

Result<query::Parameters> read_query_parameters(const Target& target) {
    query::Parameters out;
    for (const auto& [name, value] : target.parameters) TRY(read_query_parameter(out, name, value));
    return out;
}

Result<ReadCall> read_call(const Found& found, const Request& request, const Target& target) {
    ReadCall call;
    call.endpoint = found.candidates.front();
    const bool has_body = request.method == "PUT" || request.method == "POST";
    if (has_body) {
        const bool needs_body = found.candidates.size() > 1;
        const bool reads_body = needs_body || !call.endpoint->message->body_key.empty();
        if (needs_body && is_blank(request.body)) {
            return fail(ErrorCode::malformed, "the body is empty; it must name an action of " + target.path + ": " + listed_keys(found.candidates));
        }
        if (reads_body && !is_blank(request.body)) {
            TRY_ASSIGN(const json::object body, parse_body(request.body));
            if (needs_body) { TRY_ASSIGN(call.endpoint, choose(found.candidates, body, target.path)); }
            TRY_ASSIGN(call.fields, fields_from_body(*call.endpoint->message, body));
        }
    }
    const api::MessageInfo& message = *call.endpoint->message;
    if (message.query_row != nullptr) {
        TRY_ASSIGN(call.query, read_query_parameters(target));
        if (call.endpoint->by_uuid) call.query.uuid = found.values.back();
        return call;
    }
    if (!has_body && message.request != nullptr) { TRY_ASSIGN(call.fields, fields_from_parameters(message.request(), target)); }
    for (std::size_t i = 0; i < found.values.size(); ++i) call.fields[call.endpoint->variables.at(i)] = found.values[i];
    return call;
}

}  // namespace ramet::http

#include "http/router.hpp"

#include <algorithm>

namespace ramet::http {

namespace {

std::string_view method_name(api::Method method) {
    switch (method) {
    case api::Method::get: return "GET";
    case api::Method::post: return "POST";
    case api::Method::put: return "PUT";
    case api::Method::del: return "DELETE";
    }
    return "GET";
}

bool fits(const std::vector<std::string>& shape, const std::vector<std::string>& segments) {
    return std::equal(shape.begin(), shape.end(), segments.begin(), segments.end(),
                      [](const std::string& wanted, const std::string& given) { return wanted.empty() ? !given.empty() : wanted == given; });
}

// Literals before variables, from the left.
bool more_literal(const std::vector<std::string>& left, const std::vector<std::string>& right) {
    for (std::size_t i = 0; i < left.size(); ++i)
        if (left[i].empty() != right[i].empty()) return right[i].empty();
    return false;
}

// GET /things/{uuid} is none of GET /things/anything: what is no API of ours must not look like an empty list.
bool cannot_be_key(const Endpoint& endpoint, std::string_view segment) {
    if (!endpoint.by_uuid) return false;
    const std::vector<FieldInfo>& fields = endpoint.message->query_row().fields;
    const auto key = std::ranges::find_if(fields, [](const FieldInfo& field) { return field.rules.primary; });
    return key != fields.end() && key->scalar == Scalar::id && segment.find_first_not_of("0123456789abcdefABCDEF-") != std::string_view::npos;
}

}  // namespace

void Router::add_path(std::string_view path, Endpoint endpoint) {
    std::vector<std::string> segments;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const std::string_view segment = path.substr(0, path.find('/'));
        path.remove_prefix(segment.size());
        const bool variable = segment.starts_with('{');
        if (variable) endpoint.variables.emplace_back(segment.substr(1, segment.size() - 2));
        segments.emplace_back(variable ? std::string_view() : segment);
    }
    auto shape = std::find_if(shapes_.begin(), shapes_.end(), [&](const Shape& known) { return known.segments == segments; });
    if (shape == shapes_.end()) shape = shapes_.insert(shapes_.end(), Shape{std::move(segments), {}});
    const std::string_view name = method_name(endpoint.message->method);
    auto method = std::find_if(shape->methods.begin(), shape->methods.end(), [&](const auto& known) { return known.first == name; });
    if (method == shape->methods.end()) method = shape->methods.insert(shape->methods.end(), {std::string(name), {}});
    // A message that reads one thing comes before the query that would find it too.
    std::vector<Endpoint>& endpoints = method->second;
    const auto place = endpoint.by_uuid ? endpoints.end() : std::ranges::find_if(endpoints, &Endpoint::by_uuid);
    endpoints.insert(place, std::move(endpoint));
}

void Router::add(const api::MessageInfo& message, Handler handler) {
    add_path(message.path, Endpoint{&message, handler, {}, false});
    if (message.query_row != nullptr) add_path(std::string(message.path) + "/{uuid}", Endpoint{&message, std::move(handler), {}, true});
}

std::variant<Found, UnknownPath, WrongMethod> Router::find(std::string_view method, const std::vector<std::string>& segments) const {
    const Shape* best = nullptr;
    const std::vector<Endpoint>* endpoints = nullptr;
    std::string allowed;
    for (const Shape& shape : shapes_) {
        if (!fits(shape.segments, segments)) continue;
        for (const auto& [name, bound] : shape.methods) {
            if (name != method) {
                if (allowed.find(name) == std::string::npos) allowed += (allowed.empty() ? "" : ", ") + name;
            } else if (best == nullptr || more_literal(shape.segments, best->segments)) {
                best = &shape;
                endpoints = &bound;
            }
        }
    }
    if (best == nullptr && allowed.empty()) return UnknownPath{};
    if (best == nullptr) return WrongMethod{allowed};
    if (cannot_be_key(endpoints->front(), segments.back())) return UnknownPath{};
    Found found;
    for (const Endpoint& endpoint : *endpoints) found.candidates.push_back(&endpoint);
    for (std::size_t i = 0; i < segments.size(); ++i)
        if (best->segments[i].empty()) found.values.push_back(segments[i]);
    return found;
}

}  // namespace ramet::http

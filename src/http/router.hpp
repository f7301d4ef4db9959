// Which calls a path and method lead to. Several calls may share both: the key in the body then decides (see request_reader.hpp).
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/exchange.hpp"
#include "http/handler.hpp"

namespace ramet::http {

// One call bound to a path shape.
struct Endpoint {
    const api::MessageInfo* message = nullptr;
    Handler handler;                     // null for queries
    std::vector<std::string> variables;  // names of the path's variables, in order
    bool by_uuid = false;                // a query's second path
};

struct Found {
    std::vector<const Endpoint*> candidates;  // at least one; more than one: the body's key decides
    std::vector<std::string> values;          // of the path's variables, in order
};
struct UnknownPath {};
struct WrongMethod {
    std::string allowed;
};  // for the Allow header

class Router {
public:
    void add(const api::MessageInfo& message, Handler handler);  // queries are bound to path and path/{uuid}
    // `segments` below /zstack/v1. A literal segment is preferred to a variable, the leftmost difference decides.
    std::variant<Found, UnknownPath, WrongMethod> find(std::string_view method, const std::vector<std::string>& segments) const;

private:
    struct Shape {
        std::vector<std::string> segments;  // empty: a variable
        std::vector<std::pair<std::string, std::vector<Endpoint>>> methods;
    };
    void add_path(std::string_view path, Endpoint endpoint);
    std::vector<Shape> shapes_;
};

}  // namespace ramet::http

// How a use case answers the edge. A handler gets a checked request of its own type; it never sees HTTP.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "api/message.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "identity/caller.hpp"
#include "model/account.hpp"
#include "query/query.hpp"

namespace ramet::http {

// What the edge knows of one call. `job` is fresh, or the X-Job-UUID.
struct Call {
    identity::Caller caller;
    JobId job;
    std::optional<std::string> web_hook;
    std::optional<IdempotencyKey> key;  // to be committed with the job
    std::string session_uuid;           // as sent; empty for open calls
    std::string client_address;
    bool validates_only = false;       // the tag ephemeral::validationOnly: everything is checked, nothing is kept
    bool web_hook_has_schema = false;  // what is sent to the web hook has its `schema`
};

struct Body {  // the whole 200 body
    std::string json = "{}";
};
struct Started {  // a job now runs; its result is the answer
    JobId job;
};
struct Watching {  // the job's events
    JobId job;
};
using Answer = std::variant<Body, Started, Watching>;

using Handler = std::function<Result<Answer>(const Call& call, void* request)>;
using QueryHandler = std::function<Result<Answer>(const Call& call, const api::MessageInfo& message, const query::Parameters& parameters)>;

// The route table under construction: one bind per message; http/routes.cpp lists them all.
class Routes {
public:
    template <class Request, class Function>  // Function: Result<Answer>(const Call&, Request&)
    void bind(Function function) {
        add(api::message<Request>(), [function = std::move(function)](const Call& call, void* request) -> Result<Answer> {
            return function(call, *static_cast<Request*>(request));
        });
    }
    void add(const api::MessageInfo& message, Handler handler) { handlers_.push_back({&message, std::move(handler)}); }
    struct Route {
        const api::MessageInfo* message;
        Handler handler;
    };
    const std::vector<Route>& routes() const { return handlers_; }

private:
    std::vector<Route> handlers_;
};

}  // namespace ramet::http

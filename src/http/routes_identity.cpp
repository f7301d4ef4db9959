#include "api/json.hpp"
#include "http/answers.hpp"
#include "http/routes.hpp"

namespace ramet::http {
namespace {

template <class Row>
Result<Answer> inventory(Result<Row> row) {
    if (!row.has_value()) return std::unexpected(std::move(row.error()));
    return Answer{Body{"{\"inventory\":" + api::to_json(*row) + "}"}};
}

}  // namespace

void bind_identity_routes(Routes& routes, identity::Accounts& accounts) {
    routes.bind<api::LogInByAccount>(
        [&accounts](const Call& call, auto& message) { return inventory(accounts.log_in(message, call.client_address)); });
    routes.bind<api::ValidateSession>([&accounts](const Call&, auto& message) -> Result<Answer> {
        return Answer{Body{accounts.session_valid(message.session_uuid) ? R"({"valid":true})" : R"({"valid":false})"}};
    });
    routes.bind<api::RenewSession>([&accounts](const Call& call, auto& message) { return inventory(accounts.renew(call.caller, message)); });
    routes.bind<api::LogOut>([&accounts](const Call&, auto& message) { return answer_of(accounts.log_out(message.session_uuid)); });
    routes.bind<api::CreateAccount>([&accounts](const Call& call, auto& message) { return inventory(accounts.create(call.caller, message)); });
    routes.bind<api::UpdateAccount>(
        [&accounts](const Call& call, auto& message) { return inventory(accounts.update(call.caller, call.session_uuid, message)); });
    routes.bind<api::DeleteAccount>([&accounts](const Call& call, auto& message) { return answer_of(accounts.remove(call.caller, message)); });
}

}  // namespace ramet::http

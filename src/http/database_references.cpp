#include "http/references.hpp"

namespace ramet::http {

ReferenceCheck database_reference_check(store::Database& database) {
    return [&database](const identity::Caller& caller, const api::MessageInfo& message, void* request) {
        return database.read([&](store::Transaction& transaction) {
            const ReferenceRule operate = [&](std::string_view uuid, std::string_view vo_type, std::string_view field) {
                return identity::may_operate(transaction, caller, uuid, vo_type, field);
            };
            const ReferenceRule refer = [&](std::string_view uuid, std::string_view vo_type, std::string_view field) {
                return identity::may_refer(transaction, caller, uuid, vo_type, field);
            };
            return check_references(message, request, operate, refer);
        });
    };
}

}  // namespace ramet::http

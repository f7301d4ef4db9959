#include "resources/use_case.hpp"

#include "model/account.hpp"

namespace ramet::resources {
namespace {

constexpr std::size_t kNamesShown = 3;

}  // namespace

Result<std::string> uuid_or_new(std::string_view wanted) {
    if (wanted.empty()) return random_uuid_text();
    const bool versioned =
        is_uuid_text(wanted) && wanted[12] >= '1' && wanted[12] <= '5' && std::string_view("89ab").find(wanted[16]) != std::string_view::npos;
    if (versioned) return std::string(wanted);
    return fail(ErrorCode::invalid_argument,
                "resourceUuid: '" + std::string(wanted.substr(0, 64)) +
                    "' is not a UUID written as 32 lower-case hex digits without dashes; leave it out to get a random one");
}

Result<void> write_or_validate(store::Database& database, bool validates_only, const store::Database::Work& work) {
    bool valid = false;
    Result<void> done = database.write([&](store::Transaction& transaction) -> Result<void> {
        TRY(work(transaction));
        valid = true;
        if (validates_only) return fail(ErrorCode::cancelled, "only validated");  // takes everything back
        return {};
    });
    if (valid && validates_only) return {};
    return done;
}

Result<void> require_free_uuid(store::Transaction& transaction, const std::string& uuid) {
    TRY_ASSIGN(const std::int64_t taken, store::count<AccountResourceRef>(transaction, {{"resourceUuid", uuid}}));
    if (taken == 0) return {};
    return fail(ErrorCode::invalid_argument, "resourceUuid: '" + uuid + "' is the uuid of another resource; choose another");
}

Error explain_conflict(Error error, std::string_view vo_type, std::string_view uuid) {
    const bool about_uuid = error.detail.ends_with(".uuid") || error.detail.ends_with(".resourceUuid");
    if (error.code != ErrorCode::conflict || !about_uuid) return error;
    error.message = "resourceUuid: '" + std::string(uuid) + "' is the uuid of another resource; choose another for the " + std::string(vo_type);
    return error;
}

Result<Enablement> state_after(std::string_view event, std::string_view instead) {
    if (event == "enable") return Enablement::enabled;
    if (event == "disable") return Enablement::disabled;
    return fail(ErrorCode::unsupported,
                "stateEvent: '" + std::string(event) + "' is not supported; " + std::string(instead.empty() ? "use enable or disable" : instead));
}

void Dependants::add(std::string_view noun, std::string_view plural, const std::vector<std::string>& names) {
    if (names.empty()) return;
    if (!found_.empty()) found_ += ", ";
    found_ += std::to_string(names.size()) + " " + std::string(names.size() == 1 ? noun : plural) + " (";
    for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) found_ += (i == 0 ? "" : ", ") + names[i].substr(0, 64);
    found_ += names.size() > kNamesShown ? ", ...)" : ")";
    total_ += names.size();
}

Result<void> Dependants::none(std::string_view noun, std::string_view name) const {
    if (total_ == 0) return {};
    return fail(ErrorCode::operation_failed, std::string(noun) + " '" + std::string(name.substr(0, 64)) + "' still has " + found_ + "; delete " +
                                                 (total_ == 1 ? "it" : "them") + " first");
}

}  // namespace ramet::resources

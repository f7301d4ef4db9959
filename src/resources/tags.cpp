#include "resources/tags.hpp"

#include "api/json.hpp"
#include "model/account.hpp"
#include "resources/use_case.hpp"

namespace ramet::resources {
namespace {

// The caller may change the resource, and it is of the type that was named.
Result<void> check_target(store::Transaction& transaction, const identity::Caller& caller, const std::string& vo_type, const std::string& uuid) {
    if (!is_tagged_type(vo_type)) {
        return fail(ErrorCode::invalid_argument,
                    "resourceType: '" + vo_type.substr(0, 64) + "' is not a resource type that bears tags; use one such as VmInstanceVO");
    }
    if (!is_uuid_text(uuid)) return fail(ErrorCode::not_found, "resourceUuid: '" + uuid.substr(0, 64) + "' is not a uuid (32 lower-case hex digits)");
    return identity::may_operate(transaction, caller, uuid, vo_type, "resourceUuid");
}

Result<std::string> type_of(store::Transaction& transaction, const std::string& uuid) {
    TRY_ASSIGN(const std::optional<AccountResourceRef> ref, store::find<AccountResourceRef>(transaction, {{"resourceUuid", uuid}}));
    if (ref) return ref->resource_type;
    return fail(ErrorCode::not_found, "resourceUuid: there is no resource with uuid '" + uuid.substr(0, 64) + "'; check the uuid");
}

template <class Tag>
Result<Tag> find_tag(store::Transaction& transaction, const std::string& resource, const std::string& text) {
    TRY_ASSIGN(const std::optional<Tag> tag, store::find<Tag>(transaction, {{"resourceUuid", resource}, {"tag", text}}));
    if (tag) return *tag;
    return fail(ErrorCode::operation_failed, "the tag asks for something once and is not kept");
}

// Tags that are read when a VM instance is made: later they would be kept without doing anything.
Result<void> check_not_too_late(const std::string& vo_type, const std::string& text, std::string_view field) {
    if (vo_type != "VmInstanceVO") return {};
    for (const std::string_view prefix : {"staticIp::", "customMac::", "customNicUuid::"}) {
        if (!text.starts_with(prefix)) continue;
        return fail(ErrorCode::invalid_argument, std::string(field) + ": " + std::string(prefix) +
                                                     " is obeyed when a VM instance is created or cloned; the addresses of one that exists stay");
    }
    return {};
}

// Adds the tags and reads them back; one-time tags are checked and have no row.
Result<std::vector<SystemTag>> add_and_read(Parts& parts, const identity::Caller& caller, const std::string& vo_type, const std::string& resource,
                                            const std::vector<std::string>& texts, std::string_view field) {
    return store::write(parts.database, [&](store::Transaction& transaction) -> Result<std::vector<SystemTag>> {
        std::string type = vo_type;
        if (type.empty()) { TRY_ASSIGN(type, type_of(transaction, resource)); }
        TRY(check_target(transaction, caller, type, resource));
        for (const std::string& text : texts) TRY(check_not_too_late(type, text, field));
        TRY(add_system_tags(transaction, type, resource, texts, parts.clock.now(), field, caller.admin));
        std::vector<SystemTag> rows;
        for (const std::string& text : texts) {
            if (is_ephemeral_tag(text)) continue;
            TRY_ASSIGN(SystemTag row, find_tag<SystemTag>(transaction, resource, text));
            rows.push_back(std::move(row));
        }
        return rows;
    });
}

}  // namespace

Result<std::string> create_system_tag(Parts& parts, const identity::Caller& caller, const api::CreateSystemTag& request) {
    TRY_ASSIGN(const std::vector<SystemTag> rows, add_and_read(parts, caller, request.resource_type, request.resource_uuid, {request.tag}, "tag"));
    if (rows.empty()) return "{}";
    return "{\"inventory\":" + api::to_json(rows.front()) + "}";
}

Result<std::string> create_system_tags(Parts& parts, const identity::Caller& caller, const api::CreateSystemTags& request) {
    TRY_ASSIGN(const std::vector<SystemTag> rows, add_and_read(parts, caller, {}, request.resource_uuid, request.tags, "tags"));
    std::string body = "{\"inventories\":[";
    for (std::size_t i = 0; i < rows.size(); ++i) body += (i == 0 ? "" : ",") + api::to_json(rows[i]);
    return body + "]}";
}

Result<std::string> update_system_tag(Parts& parts, const identity::Caller& caller, const api::UpdateSystemTag& request) {
    return alter<SystemTag>(parts, request.uuid.text(), [&](SystemTag& tag, store::Transaction& transaction) -> Result<void> {
        TRY(check_target(transaction, caller, tag.resource_type, tag.resource_uuid));
        if (tag.inherent) return fail(ErrorCode::operation_failed, "the tag is set by the server itself and cannot be changed");
        TRY(check_not_too_late(tag.resource_type, request.tag, "tag"));
        if (!same_pattern(tag.resource_type, tag.tag, request.tag)) {
            return fail(ErrorCode::invalid_argument, "tag: '" + request.tag.substr(0, 128) + "' is of another kind than '" + tag.tag.substr(0, 128) +
                                                         "'; create a new tag instead");
        }
        // The old row makes way for the checks of the new text, and takes it over.
        TRY(store::erase<SystemTag>(transaction, {{"uuid", tag.uuid.text()}}));
        TRY(add_system_tags(transaction, tag.resource_type, tag.resource_uuid, {request.tag}, parts.clock.now(), "tag", caller.admin));
        TRY(store::erase<SystemTag>(transaction, {{"resourceUuid", tag.resource_uuid}, {"tag", request.tag}}));
        tag.tag = request.tag;
        return store::insert(transaction, tag);
    });
}

Result<std::string> create_user_tag(Parts& parts, const identity::Caller& caller, const api::CreateUserTag& request) {
    TRY_ASSIGN(const UserTag row, store::write(parts.database, [&](store::Transaction& transaction) -> Result<UserTag> {
                   TRY(check_target(transaction, caller, request.resource_type, request.resource_uuid));
                   TRY(add_user_tags(transaction, request.resource_type, request.resource_uuid, {request.tag}, parts.clock.now(), "tag"));
                   return find_tag<UserTag>(transaction, request.resource_uuid, request.tag);
               }));
    return "{\"inventory\":" + api::to_json(row) + "}";
}

Result<std::string> delete_tag(Parts& parts, const identity::Caller& caller, const api::DeleteTag& request) {
    TRY(TagId::parse(request.uuid.text()));
    const store::Matches key{{"uuid", request.uuid.text()}};
    const auto work = [&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::optional<SystemTag> system, store::find<SystemTag>(transaction, key));
        if (system) {
            TRY(check_target(transaction, caller, system->resource_type, system->resource_uuid));
            if (system->inherent) return fail(ErrorCode::operation_failed, "the tag is set by the server itself and cannot be deleted");
            TRY(store::erase<SystemTag>(transaction, key));
            return {};
        }
        TRY_ASSIGN(const std::optional<UserTag> user, store::find<UserTag>(transaction, key));
        if (!user) return {};
        TRY(check_target(transaction, caller, user->resource_type, user->resource_uuid));
        TRY(store::erase<UserTag>(transaction, key));
        return {};
    };
    TRY(parts.database.write(work));
    return "{}";
}

}  // namespace ramet::resources

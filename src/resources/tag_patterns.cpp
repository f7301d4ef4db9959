#include "resources/tag_patterns.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/id.hpp"
#include "base/limits.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"
#include "network/addresses.hpp"
#include "network/ipv4.hpp"
#include "resources/tag_table.hpp"
#include "store/table.hpp"

namespace ramet::resources {
namespace {

constexpr std::string_view kHostNameTag = "hostname::";
constexpr std::string_view kBehindHostNameTags = "hostname:;";  // the first text that sorts behind all of them

std::vector<std::string_view> split_tag(std::string_view text) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t at = text.find("::");
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 2);
    }
}

bool is_token(std::string_view part) { return part.size() > 2 && part.front() == '{' && part.back() == '}'; }

bool matches(const TagPattern& pattern, const std::vector<std::string_view>& parts) {
    const std::vector<std::string_view> wanted = split_tag(pattern.text);
    if (wanted.size() != parts.size()) return false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (is_token(wanted[i]) ? parts[i].empty() : wanted[i] != parts[i]) return false;
    }
    return true;
}

const TagPattern* find_pattern(const TaggedType& type, std::string_view tag) {
    const std::vector<std::string_view> parts = split_tag(tag);
    for (const TagPattern& pattern : type.patterns)
        if (matches(pattern, parts)) return &pattern;
    return nullptr;
}

// The traits of a tag whatever it stands on; patterns that several types share have the same traits.
TagTraits traits_of(std::string_view tag) {
    if (tag == kValidationOnlyTag) return {.cloneable = false, .ephemeral = true};
    for (const TaggedType& type : tagged_types()) {
        if (const TagPattern* const pattern = find_pattern(type, tag)) return pattern->traits;
    }
    return {};
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// RFC 1123: labels of letters, digits and inner hyphens, 63 characters each, 253 together.
bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > 253) return false;
    std::size_t label = 0;
    char before = '.';
    for (const char c : text) {
        if (c == '.') {
            if (label == 0 || before == '-') return false;
            label = 0;
        } else {
            if (!is_letter_or_digit(c) && (c != '-' || label == 0)) return false;
            if (++label > 63) return false;
        }
        before = c;
    }
    return label > 0 && before != '-';
}

bool is_base64(std::string_view text) {
    const std::size_t padding = text.size() - std::min(text.size(), text.find_last_not_of('=') + 1);
    if (text.size() % 4 != 0 || padding > 2) return false;
    return std::all_of(text.begin(), text.end() - static_cast<std::ptrdiff_t>(padding),
                       [](char c) { return is_letter_or_digit(c) || c == '+' || c == '/'; });
}

bool is_number(std::string_view text) {
    return text.size() <= 9 && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
}

// What is wrong with a token's value; empty when nothing is.
std::string_view fault_of(std::string_view token, std::string_view value) {
    const std::string_view name = token.substr(1, token.size() - 2);
    if (name == "hostname" && !is_host_name(value))
        return "must be a host name: letters, digits and inner hyphens, at most 63 characters between dots";
    if (is_one_of(name, {"staticIp", "ipv4"}) && !network::parse_ipv4(value)) return "must be an IPv4 address";
    if (name == "mac" && !network::checked_mac(value, "mac").has_value()) return "must be a unicast MAC address such as fa:16:3e:00:00:01";
    if (name == "userdata" && !is_base64(value)) return "must be base64";
    if (name == "bootMode" && !is_one_of(value, {"Legacy", "UEFI", "UEFI_WITH_CSM"})) return "must be Legacy, UEFI or UEFI_WITH_CSM";
    if (name == "tpmVersion" && value != "2.0") return "must be 2.0";
    if (name == "tpmPolicy" && !is_one_of(value, {"copy", "new"})) return "must be copy or new";
    if (name == "provisioning" && !is_one_of(value, {"ThinProvisioning", "ThickProvisioning"}))
        return "must be ThinProvisioning or ThickProvisioning";
    if (is_one_of(name, {"number", "multiQueueNum", "cpuSockets", "cpuCores", "cpuThreads"}) && !is_number(value)) return "must be a number";
    if (name == "boolean" && !is_one_of(value, {"true", "false"})) return "must be true or false";
    if (is_one_of(name, {"l3NetworkUuid", "hostUuid", "primaryStorageUuid", "volumeUuid", "nicUuid", "diskOfferingUuid"}) && !is_uuid_text(value)) {
        return "must be a uuid (32 lower-case hex digits)";
    }
    return {};
}

const TaggedType* find_type(std::string_view vo_type) {
    for (const TaggedType& type : tagged_types())
        if (type.vo_type == vo_type) return &type;
    return nullptr;
}

std::string in_quotes(std::string_view tag) { return "'" + std::string(tag.substr(0, 128)) + "'"; }

std::unexpected<Error> invalid(std::string_view field, const std::string& what) {
    return fail(ErrorCode::invalid_argument, std::string(field) + ": " + what);
}

// A host name is unique among the VMs whose default network is the same, however it is spelled (RFC 4343). The index knows tags as they are
// written, so that the names alone are looked through, not all tags.
Result<void> check_host_name_free(store::Transaction& transaction, std::string_view vm_uuid, std::string_view tag, std::string_view field) {
    const std::string vms = "\"" + std::string(describe<VmInstance>().table) + "\"";
    const std::string tags = "\"" + std::string(describe<SystemTag>().table) + "\"";
    TRY_ASSIGN(const std::vector<store::Values> taken,
               transaction.query("SELECT v.\"uuid\" FROM " + tags + " s JOIN " + vms + " v ON v.\"uuid\" = s.\"resourceUuid\" JOIN " + vms +
                                     " own ON own.\"defaultL3NetworkUuid\" = v.\"defaultL3NetworkUuid\" WHERE s.\"tag\" >= $3 AND s.\"tag\" < $4 AND "
                                     "lower(s.\"tag\") = lower($1) AND own.\"uuid\" = $2 AND v.\"uuid\" <> $2",
                                 {std::string(tag), std::string(vm_uuid), std::string(kHostNameTag), std::string(kBehindHostNameTags)}));
    if (taken.empty()) return {};
    return invalid(field,
                   "the host name " + in_quotes(tag.substr(kHostNameTag.size())) + " is taken on the VM instance's default network; choose another");
}

Result<void> check_single(const std::vector<SystemTag>& present, const TagPattern& pattern, std::string_view tag, std::string_view field) {
    for (const SystemTag& other : present) {
        if (!matches(pattern, split_tag(other.tag))) continue;
        return invalid(field, "the resource has the tag " + in_quotes(other.tag) +
                                  ", and can have only one of this kind; update or delete it before adding " + in_quotes(tag));
    }
    return {};
}

}  // namespace

bool is_tagged_type(std::string_view vo_type) { return find_type(vo_type) != nullptr; }

Result<void> check_system_tag(std::string_view vo_type, std::string_view tag, std::string_view field, bool admin) {
    const TaggedType* const type = find_type(vo_type);
    if (type == nullptr)
        return invalid(field, "there is no resource type " + in_quotes(vo_type) + " that bears tags; use one such as VmInstanceVO or VolumeVO");
    if (tag.size() > limits::kTextCharactersMax && !tag.starts_with("userdata::")) {
        return invalid(field, "the system tag is longer than " + std::to_string(limits::kTextCharactersMax) + " characters");
    }
    if (tag == kValidationOnlyTag) return {};
    const TagPattern* const pattern = find_pattern(*type, tag);
    if (pattern == nullptr)
        return invalid(field, "no system tag matches " + in_quotes(tag) + " on " + std::string(vo_type) + "; for a text of your own use a user tag");
    if (pattern->traits.admin_only && !admin)
        return fail(ErrorCode::operation_failed, "the system tag " + in_quotes(tag) + " is for admins; ask one to set it");
    const std::vector<std::string_view> wanted = split_tag(pattern->text);
    const std::vector<std::string_view> parts = split_tag(tag);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!is_token(wanted[i])) continue;
        if (const std::string_view fault = fault_of(wanted[i], parts[i]); !fault.empty()) {
            return invalid(field, "in the system tag " + in_quotes(tag) + " " + in_quotes(parts[i]) + " " + std::string(fault));
        }
    }
    return {};
}

bool is_cloneable_tag(std::string_view tag) { return traits_of(tag).cloneable; }
bool is_ephemeral_tag(std::string_view tag) { return traits_of(tag).ephemeral; }
bool is_single_tag(std::string_view tag) { return traits_of(tag).single; }

bool same_pattern(std::string_view vo_type, std::string_view one, std::string_view other) {
    const TaggedType* const type = find_type(vo_type);
    if (type == nullptr) return false;
    const TagPattern* const pattern = find_pattern(*type, one);
    return pattern != nullptr && pattern == find_pattern(*type, other);
}

Result<void> add_system_tags(store::Transaction& transaction, std::string_view vo_type, std::string_view resource_uuid,
                             const std::vector<std::string>& tags, Timestamp now, std::string_view field, bool admin) {
    if (tags.empty()) return {};
    TRY_ASSIGN(std::vector<SystemTag> present, store::list<SystemTag>(transaction, {{"resourceUuid", std::string(resource_uuid)}}));
    std::set<std::string_view> done;
    for (const std::string& tag : tags) {
        if (!done.insert(tag).second) continue;
        TRY(check_system_tag(vo_type, tag, field, admin));
        if (is_ephemeral_tag(tag)) continue;
        const bool there = std::any_of(present.begin(), present.end(), [&](const SystemTag& other) { return other.tag == tag; });
        if (there) return fail(ErrorCode::duplicate_tag, "the resource already has the system tag " + in_quotes(tag));
        const TagPattern& pattern = *find_pattern(*find_type(vo_type), tag);
        if (pattern.traits.single) TRY(check_single(present, pattern, tag, field));
        if (vo_type == "VmInstanceVO" && tag.starts_with(kHostNameTag)) TRY(check_host_name_free(transaction, resource_uuid, tag, field));
        SystemTag row;
        row.uuid = TagId::random();
        row.resource_uuid = resource_uuid;
        row.resource_type = vo_type;
        row.tag = tag;
        row.create_date = row.last_op_date = now;
        TRY(store::insert(transaction, row));
        present.push_back(std::move(row));
    }
    return {};
}

Result<void> add_user_tags(store::Transaction& transaction, std::string_view vo_type, std::string_view resource_uuid,
                           const std::vector<std::string>& tags, Timestamp now, std::string_view field) {
    for (const std::string& tag : tags) {
        if (tag.empty()) return invalid(field, "a user tag must not be empty");
        TRY_ASSIGN(const std::int64_t present, store::count<UserTag>(transaction, {{"resourceUuid", std::string(resource_uuid)}, {"tag", tag}}));
        if (present > 0) continue;
        UserTag row;
        row.uuid = TagId::random();
        row.resource_uuid = resource_uuid;
        row.resource_type = vo_type;
        row.tag = tag;
        row.create_date = row.last_op_date = now;
        TRY(store::insert(transaction, row));
    }
    return {};
}

Result<void> remove_tags_of(store::Transaction& transaction, std::string_view resource_uuid) {
    TRY(store::erase<SystemTag>(transaction, {{"resourceUuid", std::string(resource_uuid)}}));
    TRY(store::erase<UserTag>(transaction, {{"resourceUuid", std::string(resource_uuid)}}));
    return {};
}

}  // namespace ramet::resources

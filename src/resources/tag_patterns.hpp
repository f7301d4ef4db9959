// System tags: which texts are tags (contract 7), who may set them, and which of them a clone inherits.
// A tag matches a pattern when both split at "::" into the same number of parts, and the parts that are no {token} agree exactly.
#pragma once

#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "store/database.hpp"

namespace ramet::resources {

// The tag that asks to check a request and to change nothing.
inline constexpr std::string_view kValidationOnlyTag = "ephemeral::validationOnly";

bool is_tagged_type(std::string_view vo_type);  // "VmInstanceVO", ...: what a tag can be put on

// invalid_argument naming `field` when no pattern of the type matches or the value is not of the pattern's form; operation_failed when
// the tag is for admins alone.
Result<void> check_system_tag(std::string_view vo_type, std::string_view tag, std::string_view field, bool admin);

// False for tags that tell where or how this very resource was made ("localStorage::hostUuid::...", "ceph::pool::...").
bool is_cloneable_tag(std::string_view tag);

// True for tags that ask for something once and are not kept ("ephemeral::...", "createWithoutCdRom::...").
bool is_ephemeral_tag(std::string_view tag);

// True when a resource has at most one tag of this tag's pattern (hostname, userdata, ...): a new one is refused while an old one is there.
bool is_single_tag(std::string_view tag);

// Whether both texts are tags of one pattern of the type.
bool same_pattern(std::string_view vo_type, std::string_view one, std::string_view other);

// Checks each tag against the rows (form, admin-only ones, duplicates, unique host names within the VM's default network) and inserts it.
// Repeats within `tags` count once; ephemeral tags are checked and dropped.
// duplicate_tag when the resource already has it; invalid_argument naming `field` otherwise.
Result<void> add_system_tags(store::Transaction& transaction, std::string_view vo_type, std::string_view resource_uuid,
                             const std::vector<std::string>& tags, Timestamp now, std::string_view field, bool admin);
// Free texts; one the resource already has is left as it is.
Result<void> add_user_tags(store::Transaction& transaction, std::string_view vo_type, std::string_view resource_uuid,
                           const std::vector<std::string>& tags, Timestamp now, std::string_view field);
// Removes every tag of a resource that is going away.
Result<void> remove_tags_of(store::Transaction& transaction, std::string_view resource_uuid);

}  // namespace ramet::resources

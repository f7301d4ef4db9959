// Ids as on the wire: 32 lower-case hex digits, a random (v4) UUID without dashes. An id of one kind cannot be passed as another.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet {

bool is_uuid_text(std::string_view text);  // 32 lower-case hex digits
std::string random_uuid_text();            // v4, from the kernel's random source; thread-safe
// The same name under the same namespace id gives the same id (BLAKE2b, marked version 5).
std::string derived_uuid_text(std::string_view parent, std::string_view name);

template <class Kind>
class Id {
public:
    Id() = default;  // empty: names nothing
    static Result<Id> parse(std::string_view text) {
        if (!is_uuid_text(text))
            return fail(ErrorCode::not_found, "'" + std::string(text.substr(0, 64)) + "' is not a uuid (32 lower-case hex digits)");
        return Id(std::string(text));
    }
    static Id random() { return Id(random_uuid_text()); }
    static Id derived(std::string_view parent, std::string_view name) { return Id(derived_uuid_text(parent, name)); }
    // For text that is known to be an id: a database column, a literal of ours.
    static Id trusted(std::string text) { return Id(std::move(text)); }
    const std::string& text() const { return text_; }
    bool empty() const { return text_.empty(); }
    auto operator<=>(const Id&) const = default;

private:
    explicit Id(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

using ZoneId = Id<struct ZoneKind>;
using ClusterId = Id<struct ClusterKind>;
using HostId = Id<struct HostKind>;
using PrimaryStorageId = Id<struct PrimaryStorageKind>;
using BackupStorageId = Id<struct BackupStorageKind>;
using ImageId = Id<struct ImageKind>;
using InstanceOfferingId = Id<struct InstanceOfferingKind>;
using DiskOfferingId = Id<struct DiskOfferingKind>;
using L2NetworkId = Id<struct L2NetworkKind>;
using L3NetworkId = Id<struct L3NetworkKind>;
using IpRangeId = Id<struct IpRangeKind>;
using UsedIpId = Id<struct UsedIpKind>;
using VmId = Id<struct VmKind>;
using NicId = Id<struct NicKind>;
using VolumeId = Id<struct VolumeKind>;
using LayerId = Id<struct LayerKind>;
using TagId = Id<struct TagKind>;
using AccountId = Id<struct AccountKind>;
using SessionId = Id<struct SessionKind>;
using JobId = Id<struct JobKind>;

}  // namespace ramet

template <class Kind>
struct std::hash<ramet::Id<Kind>> {
    std::size_t operator()(const ramet::Id<Kind>& id) const noexcept { return std::hash<std::string>{}(id.text()); }
};

// What happened that somebody should know of, and what lies around that nobody owns.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/describe.hpp"

namespace ramet {

// Something that happened. Kept for a bounded time (limits::kEventKept, limits::kEventsMax); GET /events lists them.
struct Event {
    std::string uuid;
    std::string name;                       // "lease-warning", "lease-ended", "garbage-quarantined", "garbage-removed", "clock-stepped"
    std::string severity = "info";          // info, warning
    std::optional<AccountId> account_uuid;  // who may see it beside administrators
    std::optional<std::string> resource_uuid;
    std::optional<std::string> resource_name;
    std::string message;  // for people
    Timestamp create_date;
};
template <> const TypeInfo& describe<Event>();

// seen ──► quarantined ──► removed (the row goes; an event stays). Whoever turns up as an owner before ends it: the row goes.
enum class GarbageState : std::uint8_t { seen, quarantined };
inline constexpr std::array<std::string_view, 2> kGarbageStateNames{"Seen", "Quarantined"};
template <> inline constexpr std::span<const std::string_view> enum_names<GarbageState>{kGarbageStateNames};

// A thing on this machine that no row owns.
struct Garbage {
    std::string uuid;  // made from kind, root and what: the same thing has the same one
    std::string kind;  // lifecycle/garbage.cpp has the kinds
    std::string root;  // a storage's directory, or empty
    std::string what;  // a path below root, a uuid, a device
    GarbageState state = GarbageState::seen;
    std::optional<std::string> moved_to;  // a file's place in quarantine, below root
    Timestamp first_seen;
    std::optional<Timestamp> quarantine_date;
};
template <> const TypeInfo& describe<Garbage>();

}  // namespace ramet

#include "model/event.hpp"

namespace ramet {

template <> const TypeInfo& describe<Event>() {
    static const TypeInfo info = row<Event>(
        {"event", "EventVO"}, "Event", "Something that happened.", field<&Event::uuid>("uuid", "The event's uuid.", {.primary = true}),
        field<&Event::name>("name", "What happened: lease-warning, lease-ended, io-stop, garbage-quarantined, garbage-removed, clock-stepped."),
        field<&Event::severity>("severity", "info or warning."), field<&Event::account_uuid>("accountUuid", "The account it concerns."),
        field<&Event::resource_uuid>("resourceUuid", "The resource it concerns; it may be gone by now."),
        field<&Event::resource_name>("resourceName", "That resource's name at the time."),
        field<&Event::message>("message", "What happened, for people."), field<&Event::create_date>("createDate", "When it happened."));
    return info;
}

template <> const TypeInfo& describe<Garbage>() {
    static const TypeInfo info =
        row<Garbage>({"garbage", "GarbageVO"}, "Garbage", "A thing on this machine that nobody owns.",
                     field<&Garbage::uuid>("uuid", "Made from what it is and where.", {.primary = true, .internal = true}),
                     field<&Garbage::kind>("kind", "What kind of thing it is.", {.internal = true}),
                     field<&Garbage::root>("root", "The storage's directory.", {.internal = true}),
                     field<&Garbage::what>("what", "Which thing: a path, a uuid, a device.", {.internal = true}),
                     field<&Garbage::state>("state", "How far its removal is.", {.internal = true}),
                     field<&Garbage::moved_to>("movedTo", "Where it was put aside.", {.internal = true}),
                     field<&Garbage::first_seen>("firstSeen", "When it was first seen without an owner.", {.internal = true}),
                     field<&Garbage::quarantine_date>("quarantineDate", "When it was put aside.", {.internal = true}));
    return info;
}

}  // namespace ramet

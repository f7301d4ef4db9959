// Events: a row and a line in the log. GET /events lists the rows.
#pragma once

#include <optional>
#include <string>

#include "lifecycle/parts.hpp"
#include "model/event.hpp"
#include "store/database.hpp"

namespace ramet::lifecycle {

// In the transaction that makes it true. An event whose uuid is there already changes nothing. True: it is new.
Result<bool> record_event(store::Transaction& transaction, Event event);
// An event about a VM: its name and its owner's account are filled in. `occasion` makes it one of its kind.
Result<Event> event_about(store::Transaction& transaction, const VmInstance& vm, std::string name, const std::string& occasion, std::string message);
// The newest limits::kEventsMax of the last limits::kEventKept stay. Called periodically.
Result<void> prune_events(Parts& parts);

}  // namespace ramet::lifecycle

#include "lifecycle/events.hpp"

#include "base/limits.hpp"
#include "model/account.hpp"
#include "store/table.hpp"
#include "telemetry/log.hpp"

namespace ramet::lifecycle {

using store::Transaction;

Result<bool> record_event(Transaction& transaction, Event event) {
    TRY_ASSIGN(const std::int64_t present, store::count<Event>(transaction, {{"uuid", event.uuid}}));
    if (present > 0) return false;
    TRY(store::insert(transaction, event));
    if (event.severity == "warning")
        telemetry::log_warning("{}: {}", event.name, event.message);
    else
        telemetry::log_info("{}: {}", event.name, event.message);
    return true;
}

Result<Event> event_about(Transaction& transaction, const VmInstance& vm, std::string name, const std::string& occasion, std::string message) {
    Event event;
    event.uuid = VmId::derived(vm.uuid.text(), name + "/" + occasion).text();
    event.name = std::move(name);
    event.resource_uuid = vm.uuid.text();
    event.resource_name = vm.name;
    event.message = std::move(message);
    TRY_ASSIGN(const std::optional<AccountResourceRef> owner, store::find<AccountResourceRef>(transaction, {{"resourceUuid", vm.uuid.text()}}));
    if (owner) event.account_uuid = owner->account_uuid;
    return event;
}

Result<void> prune_events(Parts& parts) {
    constexpr std::int64_t kKept = std::chrono::milliseconds(limits::kEventKept).count();
    return parts.database().write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.execute("DELETE FROM event WHERE \"createDate\" < $1", {parts.now().milliseconds - kKept}));
        TRY(transaction.execute("DELETE FROM event WHERE uuid IN (SELECT uuid FROM event ORDER BY \"createDate\" DESC, uuid LIMIT -1 OFFSET $1)",
                                {static_cast<std::int64_t>(limits::kEventsMax)}));
        return {};
    });
}

}  // namespace ramet::lifecycle

#include "http/idempotency.hpp"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/id.hpp"

namespace ramet::http {

std::string key_uuid(const AccountId& account, const std::string& key) { return derived_uuid_text(account.text(), "idempotency-key/" + key); }

std::string fingerprint_of(const api::MessageInfo& message, const boost::json::object& fields) {
    return derived_uuid_text(message.name, boost::json::serialize(fields));
}

bool answers_with_a_secret(const api::MessageInfo& message) {
    if (message.reply == nullptr) return false;
    const std::vector<FieldInfo>& fields = message.reply().fields;
    return std::any_of(fields.begin(), fields.end(), [](const FieldInfo& field) { return field.rules.secret; });
}

KeysInUse::Claim::Claim(Claim&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}

KeysInUse::Claim::~Claim() {
    if (owner_ != nullptr) owner_->leave(key_);
}

std::optional<KeysInUse::Claim> KeysInUse::enter(const std::string& key, const std::shared_ptr<Signal>& told_when_free) {
    const std::lock_guard lock(mutex_);
    const auto [place, free] = in_use_.try_emplace(key);
    if (free) return Claim(this, key);
    place->second.push_back(told_when_free);
    return std::nullopt;
}

void KeysInUse::leave(const std::string& key) {
    std::vector<std::shared_ptr<Signal>> waiting;
    {
        const std::lock_guard lock(mutex_);
        const auto place = in_use_.find(key);
        waiting = std::move(place->second);
        in_use_.erase(place);
    }
    for (const std::shared_ptr<Signal>& signal : waiting) signal->fire();
}

}  // namespace ramet::http

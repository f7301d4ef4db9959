// Idempotency-Key: who repeats a call gets the job and the answer of the first. The keys are rows that are committed with their job; here is
// what happens before there is a row.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/exchange.hpp"
#include "http/request_reader.hpp"
#include "model/account.hpp"

namespace ramet::http {

// The row's uuid. Its text never leaves the server, so what is compared in the database is no secret of the client's.
std::string key_uuid(const AccountId& account, const std::string& key);
// Equal for calls of one message with the same path and fields, however their bodies are spaced.
std::string fingerprint_of(const api::MessageInfo& message, const boost::json::object& fields);
// A call that answers with a secret keeps nothing, so its key is not looked at.
bool answers_with_a_secret(const api::MessageInfo& message);

// One call per key at a time. Thread-safe.
class KeysInUse {
public:
    // Until destroyed, nobody else enters with this key.
    class Claim {
    public:
        Claim(Claim&& other) noexcept;
        ~Claim();

    private:
        friend class KeysInUse;
        Claim(KeysInUse* owner, std::string key) : owner_(owner), key_(std::move(key)) {}
        KeysInUse* owner_;
        std::string key_;
    };
    // Nothing when another call is at work with this key: `told_when_free` then fires when it is done.
    std::optional<Claim> enter(const std::string& key, const std::shared_ptr<Signal>& told_when_free);

private:
    void leave(const std::string& key);
    std::mutex mutex_;
    std::unordered_map<std::string, std::vector<std::shared_ptr<Signal>>> in_use_;
};

}  // namespace ramet::http

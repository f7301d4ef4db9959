// Password hashes: argon2id (19 MiB, 2 passes) over what clients send, which is the hex SHA-512 of the clear password.
// A password that was just proven right is remembered for some minutes as a BLAKE2b keyed with a random key of this process, so
// that a tool that logs in for each command does not pay for argon2id each time. Wrong passwords always pay.
// Thread rules: any thread; hashing blocks for some 30 ms and is done by two threads at most, for memory's sake.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <semaphore>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"

namespace ramet::identity {

std::string sha512_hex(const std::string& clear_password);  // what clients send

class Passwords {
public:
    explicit Passwords(Clock& clock);
    Passwords(const Passwords&) = delete;
    Passwords& operator=(const Passwords&) = delete;
    Result<std::string> hash(const std::string& password);
    bool verify(const AccountId& account, const std::string& stored_hash, const std::string& password);
    void verify_nothing(const std::string& password);  // as long as a failing verify(): for names that do not exist
    void forget(const AccountId& account);
    std::int64_t hashes_computed() const { return hashes_; }  // for tests and metrics

private:
    using Mark = std::array<unsigned char, 32>;
    struct Proof {
        Mark mark;
        Timestamp proven;
    };
    Mark mark_of(const AccountId& account, const std::string& stored_hash, const std::string& password) const;
    bool compute(const std::string& stored_hash, const std::string& password);
    bool is_proven(const AccountId& account, const Mark& mark);

    Clock& clock_;
    std::array<unsigned char, 32> key_{};
    std::counting_semaphore<2> hashing_{2};  // 19 MiB each
    std::atomic<std::int64_t> hashes_{0};
    std::mutex mutex_;
    std::unordered_map<AccountId, Proof> proofs_;
};

}  // namespace ramet::identity

#include "identity/passwords.hpp"

#include <sodium.h>

#include <cstdlib>

namespace ramet::identity {
namespace {

constexpr unsigned long long kPasses = 2;
constexpr std::size_t kMemoryBytes = std::size_t{19} * 1024 * 1024;
constexpr std::int64_t kProofMilliseconds = 5 * 60 * 1000;
constexpr std::size_t kProofsMax = 1000;
// A hash of the same cost that no password has.
constexpr const char* kNobodysHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

}  // namespace

std::string sha512_hex(const std::string& clear_password) {
    std::array<unsigned char, crypto_hash_sha512_BYTES> digest{};
    crypto_hash_sha512(digest.data(), reinterpret_cast<const unsigned char*>(clear_password.data()), clear_password.size());
    std::string hex(2 * digest.size() + 1, '\0');
    sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
    hex.pop_back();  // the terminating zero
    return hex;
}

Passwords::Passwords(Clock& clock) : clock_(clock) {
    if (sodium_init() < 0) std::abort();  // no random source: nothing of this server could be safe
    randombytes_buf(key_.data(), key_.size());
}

Result<std::string> Passwords::hash(const std::string& password) {
    std::array<char, crypto_pwhash_STRBYTES> text{};
    hashing_.acquire();
    ++hashes_;
    const int outcome = crypto_pwhash_str_alg(text.data(), password.data(), password.size(), kPasses, kMemoryBytes, crypto_pwhash_ALG_ARGON2ID13);
    hashing_.release();
    if (outcome != 0) return fail(ErrorCode::internal, "the server is out of memory; free memory and try again", "argon2id");
    return std::string(text.data());
}

bool Passwords::verify(const AccountId& account, const std::string& stored_hash, const std::string& password) {
    const Mark mark = mark_of(account, stored_hash, password);
    if (is_proven(account, mark)) return true;
    if (!compute(stored_hash, password)) return false;
    const std::lock_guard lock(mutex_);
    if (proofs_.size() >= kProofsMax) proofs_.clear();
    proofs_[account] = Proof{mark, clock_.now()};
    return true;
}

void Passwords::verify_nothing(const std::string& password) {
    (void)mark_of(AccountId{}, kNobodysHash, password);
    (void)compute(kNobodysHash, password);
}

void Passwords::forget(const AccountId& account) {
    const std::lock_guard lock(mutex_);
    proofs_.erase(account);
}

// The stored hash is part of it: a changed password, here or on another server, makes every older proof worthless.
Passwords::Mark Passwords::mark_of(const AccountId& account, const std::string& stored_hash, const std::string& password) const {
    const std::string text = account.text() + '\n' + stored_hash + '\n' + password;
    Mark mark{};
    crypto_generichash(mark.data(), mark.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(), key_.data(), key_.size());
    return mark;
}

bool Passwords::compute(const std::string& stored_hash, const std::string& password) {
    hashing_.acquire();
    ++hashes_;
    const bool same = crypto_pwhash_str_verify(stored_hash.c_str(), password.data(), password.size()) == 0;
    hashing_.release();
    return same;
}

bool Passwords::is_proven(const AccountId& account, const Mark& mark) {
    const Timestamp now = clock_.now();
    const std::lock_guard lock(mutex_);
    const auto proof = proofs_.find(account);
    if (proof == proofs_.end()) return false;
    if (now < proof->second.proven || now.milliseconds - proof->second.proven.milliseconds >= kProofMilliseconds) {
        proofs_.erase(proof);
        return false;
    }
    return sodium_memcmp(proof->second.mark.data(), mark.data(), mark.size()) == 0;
}

}  // namespace ramet::identity

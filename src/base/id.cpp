#include "base/id.hpp"

#include <sodium.h>
#include <array>
#include <cstdint>

namespace ramet {
namespace {

constexpr std::size_t kUuidBytes = 16;

std::string to_uuid_text(std::array<unsigned char, kUuidBytes> bytes, unsigned char version) {
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | (version << 4));
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
    std::string text(kUuidBytes * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();
    return text;
}

}  // namespace

bool is_uuid_text(std::string_view text) {
    if (text.size() != kUuidBytes * 2) return false;
    for (const char digit : text) {
        if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'))) return false;
    }
    return true;
}

std::string random_uuid_text() {
    std::array<unsigned char, kUuidBytes> bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    return to_uuid_text(bytes, 4);
}

std::string derived_uuid_text(std::string_view parent, std::string_view name) {
    std::array<unsigned char, kUuidBytes> bytes{};
    crypto_generichash_state state;
    crypto_generichash_init(&state, nullptr, 0, bytes.size());
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(parent.data()), parent.size());
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>("/"), 1);
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(name.data()), name.size());
    crypto_generichash_final(&state, bytes.data(), bytes.size());
    return to_uuid_text(bytes, 5);
}

}  // namespace ramet

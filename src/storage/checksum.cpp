#include "storage/checksum.hpp"

#include <openssl/evp.h>
#include <array>
#include <stdexcept>

namespace ramet::storage {

namespace {

struct Algorithm {
    std::string_view name;
    DigestKind kind;
    std::size_t hex_characters;
};
constexpr std::array kAlgorithms{Algorithm{"md5", DigestKind::md5, 32}, Algorithm{"sha256", DigestKind::sha256, 64},
                                 Algorithm{"sha512", DigestKind::sha512, 128}};

const EVP_MD* algorithm_of(DigestKind kind) {
    switch (kind) {
    case DigestKind::md5: return EVP_md5();
    case DigestKind::sha256: return EVP_sha256();
    case DigestKind::sha512: return EVP_sha512();
    }
    return nullptr;
}

}  // namespace

Result<ExpectedChecksum> parse_checksum(const std::string& text) {
    const std::size_t colon = text.find(':');
    for (const Algorithm& algorithm : kAlgorithms) {
        if (colon == std::string::npos || text.compare(0, colon, algorithm.name) != 0 || text.size() - colon - 1 != algorithm.hex_characters)
            continue;
        std::string hex = text.substr(colon + 1);
        for (char& character : hex) {
            if (character >= 'A' && character <= 'F') character = static_cast<char>(character - 'A' + 'a');
        }
        if (hex.find_first_not_of("0123456789abcdef") == std::string::npos) return ExpectedChecksum{algorithm.kind, std::move(hex)};
    }
    return fail(ErrorCode::invalid_argument, "the checksum is not 'sha256:', 'sha512:' or 'md5:' followed by its hex digits");
}

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest::Digest(DigestKind kind) : context_(EVP_MD_CTX_new()) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), algorithm_of(kind), nullptr) != 1)
        throw std::runtime_error("the digest cannot be set up");
}

void Digest::update(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) throw std::runtime_error("the digest failed");
}

std::string Digest::hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(context_.get(), value.data(), &length) != 1) throw std::runtime_error("the digest failed");
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        text += digits[value[i] >> 4];
        text += digits[value[i] & 15];
    }
    return text;
}

}  // namespace ramet::storage

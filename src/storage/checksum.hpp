// Digests of a stream, and the checksum a user expects ("sha256:<hex>", "sha512:<hex>", "md5:<hex>").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"

struct evp_md_ctx_st;

namespace ramet::storage {

enum class DigestKind : std::uint8_t { md5, sha256, sha512 };

struct ExpectedChecksum {
    DigestKind kind;
    std::string hex;
};  // lower case

Result<ExpectedChecksum> parse_checksum(const std::string& text);  // invalid_argument

class Digest {
public:
    explicit Digest(DigestKind kind);
    void update(std::span<const std::byte> bytes);
    std::string hex();  // ends the digest; call once

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace ramet::storage

// Fetches an image file from file://, http:// or https:// into a local file. Bounded in size and time; resumes nothing; follows at most
// kDownloadRedirectsMax redirects, re-checking each address; checks the checksum while the bytes arrive.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "storage/primary_storage.hpp"

namespace ramet::storage {

struct FetchRequest {
    std::string url;
    std::string destination;                       // absolute; written as <destination>.partial, fsynced, renamed
    std::optional<std::string> expected_checksum;  // "sha256:<hex>", "sha512:<hex>" or "md5:<hex>"
    bool allow_private_addresses = true;           // false: loopback, link-local and private addresses and file:// are refused
};

// Bounds of one download; tests set smaller ones.
struct FetchLimits {
    std::int64_t bytes_max = limits::kImageFileBytesMax;
    std::chrono::seconds stall = limits::kDownloadStall;
};

struct Fetched {
    std::int64_t bytes;
    std::string md5_hex;
    std::string sha256_hex;
};

Result<Fetched> fetch_image(const FetchRequest& request, const CopyObserver& observer, const std::stop_token& stop, const FetchLimits& bounds = {});

// Cheap check before anything is written: scheme, syntax, existence of a local file. invalid_argument names the field `url`.
Result<void> check_image_url(const std::string& url, bool allow_private_addresses);

}  // namespace ramet::storage

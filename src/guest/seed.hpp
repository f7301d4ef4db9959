// NoCloud seeds: the small ISO 9660 image (volume id cidata) that tells a booting guest who it is.
// Source of the format: cloud-init's documentation of the NoCloud datasource; network-config version 2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace ramet::guest {

struct NicSeed {
    std::string mac, name;
};  // "fa:..:00", "eth0"

struct SeedSpec {
    std::string instance_id;  // 32 hex digits; a new one makes cloud-init treat the guest as a new machine
    std::string host_name;    // RFC 1123
    std::string user_data;    // as the user gave it; empty: an empty cloud-config
    std::vector<NicSeed> nics;
    bool keeps_identity = false;  // the guest is to stay who it is: nothing is asked of it
};

// Writes the image as <path>.partial, syncs, renames. The directory must exist. An existing image is replaced. Any thread.
Result<void> write_seed(const std::string& path, const SeedSpec& seed);

// What that image occupies on a disk: its blocks of zeros are holes.
Result<std::int64_t> seed_bytes(const SeedSpec& seed);

// The files inside, for tests and for those who ask what a guest was told: name and content.
struct SeedFile {
    std::string name, content;
};
Result<std::vector<SeedFile>> seed_files(const SeedSpec& seed);

}  // namespace ramet::guest

// Takes QEMU's migration stream apart, in one pass and bounded memory: pages of the guest's memory go one way, everything else (device
// state, the small ROM blocks) stays a stream that QEMU loads. What is not known to be harmless is refused: a page too few is a broken guest.
//
//   header · configuration · ram START (block list) · ram PART … · [ram END] · FULL … · EOF · VM description
//                             └─ main block's pages ─► sink.page            └──────── kept as it is ────────┘
//                             └─ other blocks' pages ─► kept, "same block" flag derived anew; not the zeros of the screen's memory: QEMU looks
//                                                       at every page it is told is zero, and 4096 page faults were a tenth of a clone's time
//
// Knows stream version 3 with ram section version 4, as QEMU 7.2 writes them, with no capability but background-snapshot and events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"

namespace ramet::hypervisor {

inline constexpr std::size_t kGuestPageBytes = 4096;
inline constexpr std::size_t kStateBytesMax = 96 << 20;  // device state is under 1 MiB; a screen's memory may add 16 MiB

class ByteSource {
public:
    virtual ~ByteSource() = default;
    // At least one byte, or 0 at the end of the stream. Blocks.
    virtual Result<std::size_t> read(std::span<std::byte> buffer) = 0;
};

class PageSink {
public:
    virtual ~PageSink() = default;
    // `bytes` is a page, or empty for one of zeros. Offsets are multiples of a page and below the memory's size; one may come again.
    virtual Result<void> page(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

struct StreamExpectation {
    std::string machine_type;
    std::string memory_block;  // the block whose pages are taken out
    std::uint64_t memory_bytes = 0;
    std::string blank_block{};  // one that is all zeros in a process that starts: its zeros are left out; may be empty or not there
};

// The stream without the memory's pages. operation_failed for a stream that ends early, with how far it came and what is cut short, or holds what
// is not known.
Result<std::string> split_stream(ByteSource& source, PageSink& sink, const StreamExpectation& expectation);

}  // namespace ramet::hypervisor

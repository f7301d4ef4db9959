// How far a commit has come when the call returns.
#pragma once

#include <cstdint>

namespace ramet {

// Both are seen by everyone at once and outlive the process, however it ends. What is committed with_next may be lost in a power cut, together
// with all that was committed with_next after it, until the next commit at_once: commits are never lost out of their order.
enum class Durability : std::uint8_t { at_once, with_next };

}  // namespace ramet

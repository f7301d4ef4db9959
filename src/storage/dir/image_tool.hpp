// Runs qemu-img as a child process: argv only, no shell, own process group, bounded memory and processor time, killed with us.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/file.hpp"

namespace ramet::storage {

struct ToolRun {
    std::vector<std::string> arguments;  // without the program's name
    std::vector<int> inherit;            // at most 64 open files; the child knows number n as inherited_name(n)
    std::optional<FileOwner> run_as;     // drops root's rights; ignored when we are not root
    std::chrono::seconds processor_time_max{300};
    std::function<void(double percent)> on_percent;  // of "-p"; called on the calling thread
    std::string program = "qemu-img";
};

// A file name, valid in the child alone. The tool's user needs rights on the file itself, none on the directories above it, and whoever
// swaps a name in those directories changes nothing.
std::string inherited_name(std::size_t index);

// Blocks until the child has ended. cancelled: `stop` was requested and the child's whole group was killed (within 0.2 s).
// storage_full: the child met a full disk. operation_failed: it failed; its standard error is in `detail`.
Result<void> run_image_tool(const ToolRun& run, const std::stop_token& stop);

}  // namespace ramet::storage

#include "lifecycle/memory_place.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstring>
#include <filesystem>

namespace ramet::lifecycle {

Result<MemoryPlaceFacts> memory_place_facts(const std::string& directory) {
    std::filesystem::path there = directory;
    std::error_code ignored;
    while (there.has_relative_path() && !std::filesystem::exists(there, ignored)) there = there.parent_path();
    struct statfs facts{};
    if (::statfs(there.c_str(), &facts) != 0)
        return fail(ErrorCode::operation_failed, "the directory for memory images cannot be looked at; check rametd's --memory-dir",
                    there.string() + ": " + std::strerror(errno));
    return MemoryPlaceFacts{facts.f_type == TMPFS_MAGIC || facts.f_type == RAMFS_MAGIC,
                            static_cast<std::int64_t>(facts.f_bavail) * static_cast<std::int64_t>(facts.f_bsize)};
}

}  // namespace ramet::lifecycle

// The files QEMU is given. It gets open files, not paths: an unreadable parent directory does no harm, and a QEMU that was taken over
// cannot reach a file of another VM.
//   read-only layers: opened by us, reached as /dev/fdset/<n>; who may read the file does not matter
//   the top layer:    an O_PATH handle, reached as /proc/self/fd/<n>, so that QEMU opens it itself (its locks then end with its own file);
//                     it is given to QEMU's user
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

Result<Fd> open_layer_read_only(const storage::Place& place);
Result<Fd> open_layer_handle(const storage::Place& place, const std::optional<User>& user);
Result<Fd> open_seed(const std::string& absolute_path);
Result<std::vector<Fd>> open_tap(const std::string& name, std::int64_t queues);

}  // namespace ramet::hypervisor

// The descriptor that closes itself, under a short name.
#pragma once

#include "storage/file.hpp"

namespace ramet::hypervisor {

using Fd = storage::UniqueFd;

}  // namespace ramet::hypervisor

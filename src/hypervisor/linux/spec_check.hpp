// What may enter packet rules, file names and dnsmasq's files: checked here once, so that no text of a caller is ever code there.
#pragma once

#include <string>

#include "base/result.hpp"
#include "hypervisor/plumbing.hpp"

namespace ramet::hypervisor {

// All answer invalid_argument naming what is wrong.
Result<void> check(const NetworkSpec& network);
Result<void> check(const PortSpec& port);
Result<void> check_tap(const std::string& tap);

}  // namespace ramet::hypervisor

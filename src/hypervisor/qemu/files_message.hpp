// A datagram with open files (SCM_RIGHTS), as the fork server and templates are given their orders.
#pragma once

#include <span>
#include <string_view>

namespace ramet::hypervisor {

// The files stay ours. 0, or the errno of what failed.
int send_with_files(int socket, std::string_view bytes, std::span<const int> files);

}  // namespace ramet::hypervisor

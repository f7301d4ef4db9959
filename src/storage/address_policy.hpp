// Which addresses a request on somebody's behalf may reach. Judged on the address a connection is about to use, so that neither a
// redirect nor a name that resolves differently the second time gets past it.
#pragma once

#include <sys/socket.h>

namespace ramet::storage {

// True for addresses of the public internet alone. False for loopback, link-local, private, shared, reserved, multicast and
// transition addresses (whose inner IPv4 address is judged), and for families other than IPv4 and IPv6.
bool is_public_address(const sockaddr* address, socklen_t length);

// True for link-local addresses and the fixed ones at which clouds hand out their machines' credentials, and for what is no address of one
// machine: unspecified, multicast, broadcast, and families other than IPv4 and IPv6. No caller has business there.
bool is_forbidden_address(const sockaddr* address, socklen_t length);

}  // namespace ramet::storage

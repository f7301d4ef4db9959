// The host-network port on Linux: bridges and taps by ioctl, rules through libnftables, one dnsmasq per network. No process is
// started on the way of a plug.
//
// With CAP_NET_ADMIN, /dev/net/tun and bridge support the plumbing works; without any of them it does nothing and says why.
// Side effect to know of: the first network with an address of its own switches net.ipv4.ip_forward on, and it stays on.
//
// All that is kept lies under DIR/network, in files that can be made again from the database by ensure_network() and plug():
//   networks/<l3>            what ensure_network() was told      bridges/<bridge>/hosts/<nic>   one DHCP reservation
//   ports/<tap>              what plug() was told                bridges/<bridge>/dnsmasq.pid
// L3 networks of one L2 network share a bridge and its DHCP server. Names in the kernel carry a hash of DIR, so that two data
// directories do not collide and remove_all() finds what is ours even if DIR/network was lost:
//   bridges  "rb" + 10 hex of (DIR, L2 uuid)     links (bridges and taps) have the alias "ramet-<10 hex of DIR>"
//   tables   inet ramet-<10 hex of DIR>          bridge ramet-<10 hex of DIR>
// An existing bridge named by the L2 network's physical interface is used as it is: no address, DHCP or NAT of ours, only the
// rules that keep guests to their addresses.
//
// DIR must be passable (chmod o+x) for the user dnsmasq, else dnsmasq keeps running as root, which is logged.
// A firewall of the host with a forward policy of its own (such as Docker's) still decides: accept the bridges there.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "hypervisor/plumbing.hpp"

namespace ramet::hypervisor {

struct PlumbingOptions {
    std::string data_dir;  // state lies in data_dir/network
    uid_t qemu_uid = 0;    // may open the taps
    gid_t qemu_gid = 0;
};

struct OpenedPlumbing {
    std::unique_ptr<Plumbing> plumbing;  // never null
    std::string reason;                  // why it is privileged or not, for people
};

// Probes the machine by making and deleting a bridge and a table. Never fails: what is missing makes it unprivileged.
OpenedPlumbing open_plumbing_with_reason(const PlumbingOptions& options);
std::unique_ptr<Plumbing> open_plumbing(const PlumbingOptions& options);

}  // namespace ramet::hypervisor

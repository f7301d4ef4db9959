// Links and addresses through rtnetlink, in-process: no `ip` command, no /sys (which may show another network namespace).
// A Netlink belongs to one thread at a time; opening one costs microseconds, so callers open one per task.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

struct nlmsghdr;

namespace ramet::hypervisor {

struct Link {
    int index = 0;
    std::string name;
    std::string alias;  // a free text kept by the kernel; ours names the data directory
    std::string kind;   // "bridge", "tun", "veth"; empty for hardware
    int master = 0;     // index of the bridge it is a port of
    bool up = false;
    std::uint32_t mtu = 0;
    std::string mac;
};

// What to change on a link, in one message. Unset members stay.
struct LinkChange {
    std::optional<std::string> alias;
    std::optional<int> master;
    std::optional<bool> up;
    std::optional<std::uint32_t> mtu;
    bool no_ipv6_address = false;  // the host must not speak IPv6 to guests that it does not police there
};

struct Address {
    std::string ip;
    int prefix_length = 0;
};

class Netlink {
public:
    static Result<Netlink> open();
    ~Netlink();
    Netlink(Netlink&& other) noexcept;
    Netlink& operator=(Netlink&&) = delete;

    Result<std::optional<Link>> find(const std::string& name);
    Result<std::vector<Link>> list();
    Result<void> add_bridge(const std::string& name, const std::string& mac, const std::string& alias);  // an existing link of this name is success
    Result<void> change(int index, const LinkChange& change);
    Result<void> remove(const std::string& name);       // absent is success
    Result<std::vector<Address>> addresses(int index);  // IPv4
    Result<void> add_address(int index, const Address& address);
    Result<void> remove_address(int index, const Address& address);

private:
    explicit Netlink(int fd) : fd_(fd) {}
    // Sends one request; `each` sees every answer message that is no error.
    Result<void> talk(std::vector<std::byte>& request, const std::string& doing, const std::function<void(const nlmsghdr&)>& each);

    int fd_ = -1;
    std::uint32_t sequence_ = 0;
};

// A persistent tap with virtio headers, owned by `owner`; an existing one is success, even while a process has it open.
Result<void> make_tap(const std::string& name, std::uint32_t owner, std::int64_t queues);

}  // namespace ramet::hypervisor

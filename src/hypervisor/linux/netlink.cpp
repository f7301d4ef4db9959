#include "hypervisor/linux/netlink.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace ramet::hypervisor {

namespace {

constexpr std::size_t kReceiveBytes = 64 * 1024;  // the kernel fills a dump's datagrams up to 32 KiB

std::string errno_text(int number) { return std::generic_category().message(number); }

// Builds one message: header, body, nested attributes. Lengths are patched as attributes close.
class Message {
public:
    template <class Body>
    Message(std::uint16_t type, std::uint16_t flags, const Body& body) {
        bytes_.resize(NLMSG_HDRLEN);
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
        std::memcpy(bytes_.data(), &header, sizeof header);
        append(&body, sizeof body);
    }
    void add(std::uint16_t type, const void* data, std::size_t size) {
        const std::size_t start = open(type);
        append(data, size);
        close(start);
    }
    void add(std::uint16_t type, const std::string& text) { add(type, text.c_str(), text.size() + 1); }
    void add(std::uint16_t type, std::uint32_t number) { add(type, &number, sizeof number); }
    std::size_t open(std::uint16_t type) {
        const std::size_t start = bytes_.size();
        const rtattr attribute{0, type};
        append(&attribute, sizeof attribute);
        return start;
    }
    void close(std::size_t start) {
        const auto length = static_cast<std::uint16_t>(bytes_.size() - start);
        std::memcpy(bytes_.data() + start + offsetof(rtattr, rta_len), &length, sizeof length);
        bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    }
    std::vector<std::byte>& bytes() { return bytes_; }

private:
    void append(const void* data, std::size_t size) {
        const auto* first = static_cast<const std::byte*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
    }
    std::vector<std::byte> bytes_;
};

template <class Each>
void each_attribute(const void* start, std::size_t length, const Each& each) {
    const auto* bytes = static_cast<const std::byte*>(start);
    while (length >= sizeof(rtattr)) {
        rtattr attribute{};
        std::memcpy(&attribute, bytes, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > length) return;
        each(static_cast<std::uint16_t>(attribute.rta_type & NLA_TYPE_MASK), bytes + sizeof attribute, attribute.rta_len - sizeof attribute);
        const std::size_t step = std::min<std::size_t>(RTA_ALIGN(attribute.rta_len), length);
        bytes += step;
        length -= step;
    }
}

std::string text_of(const std::byte* data, std::size_t size) {
    const auto* characters = reinterpret_cast<const char*>(data);
    return std::string(characters, strnlen(characters, size));
}

std::uint32_t number_of(const std::byte* data, std::size_t size) {
    std::uint32_t number = 0;
    std::memcpy(&number, data, std::min(size, sizeof number));
    return number;
}

std::string mac_of(const std::byte* data, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) {
        std::array<char, 4> octet{};
        std::snprintf(octet.data(), octet.size(), i == 0 ? "%02x" : ":%02x", std::to_integer<unsigned>(data[i]));
        text += octet.data();
    }
    return text;
}

std::optional<Link> read_link(const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK || message.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return std::nullopt;
    const auto* start = reinterpret_cast<const std::byte*>(&message);
    ifinfomsg info{};
    std::memcpy(&info, start + NLMSG_HDRLEN, sizeof info);
    Link link;
    link.index = info.ifi_index;
    link.up = (info.ifi_flags & IFF_UP) != 0;
    constexpr std::size_t kAttributes = NLMSG_SPACE(sizeof(ifinfomsg));
    each_attribute(start + kAttributes, message.nlmsg_len - kAttributes, [&](std::uint16_t type, const std::byte* data, std::size_t size) {
        if (type == IFLA_IFNAME) link.name = text_of(data, size);
        if (type == IFLA_IFALIAS) link.alias = text_of(data, size);
        if (type == IFLA_MASTER) link.master = static_cast<int>(number_of(data, size));
        if (type == IFLA_MTU) link.mtu = number_of(data, size);
        if (type == IFLA_ADDRESS) link.mac = mac_of(data, size);
        if (type == IFLA_LINKINFO) {
            each_attribute(data, size, [&](std::uint16_t inner, const std::byte* kind, std::size_t length) {
                if (inner == IFLA_INFO_KIND) link.kind = text_of(kind, length);
            });
        }
    });
    return link;
}

std::array<unsigned char, 6> mac_bytes(const std::string& mac) {
    std::array<unsigned char, 6> bytes{};
    for (std::size_t i = 0; i < bytes.size() && i * 3 + 2 <= mac.size(); ++i) {
        bytes[i] = static_cast<unsigned char>(std::stoul(mac.substr(i * 3, 2), nullptr, 16));
    }
    return bytes;
}

Message address_message(std::uint16_t type, std::uint16_t flags, int index, const Address& address) {
    ifaddrmsg body{};
    body.ifa_family = AF_INET;
    body.ifa_prefixlen = static_cast<unsigned char>(address.prefix_length);
    body.ifa_index = static_cast<unsigned>(index);
    Message message(type, flags, body);
    in_addr ip{};
    inet_pton(AF_INET, address.ip.c_str(), &ip);
    message.add(IFA_LOCAL, ip.s_addr);
    message.add(IFA_ADDRESS, ip.s_addr);
    if (address.prefix_length < 31) {
        const std::uint32_t hosts = htonl(address.prefix_length == 0 ? ~0U : (1U << (32 - address.prefix_length)) - 1U);
        message.add(IFA_BROADCAST, ip.s_addr | hosts);
    }
    return message;
}

}  // namespace

Result<Netlink> Netlink::open() {
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return fail(ErrorCode::internal, "cannot talk to the kernel about network devices", "socket(NETLINK_ROUTE): " + errno_text(errno));
    // The answer to a lookup by name or to a failed change then leaves the request out: less to copy.
    const int on = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    return Netlink(fd);
}

Netlink::~Netlink() {
    if (fd_ >= 0) ::close(fd_);
}

Netlink::Netlink(Netlink&& other) noexcept : fd_(std::exchange(other.fd_, -1)), sequence_(other.sequence_) {}

Result<void> Netlink::talk(std::vector<std::byte>& request, const std::string& doing, const std::function<void(const nlmsghdr&)>& each) {
    nlmsghdr header{};
    std::memcpy(&header, request.data(), sizeof header);
    const bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    if (!dump) header.nlmsg_flags |= NLM_F_ACK;
    header.nlmsg_len = static_cast<std::uint32_t>(request.size());
    header.nlmsg_seq = ++sequence_;
    std::memcpy(request.data(), &header, sizeof header);
    const auto broken = [&](int number) {
        return fail(number == ENODEV ? ErrorCode::not_found : ErrorCode::internal, "cannot " + doing, "rtnetlink: " + errno_text(number));
    };
    if (send(fd_, request.data(), request.size(), 0) < 0) return broken(errno);
    alignas(nlmsghdr) std::array<std::byte, kReceiveBytes> buffer;
    while (true) {
        const ssize_t received = recv(fd_, buffer.data(), buffer.size(), 0);
        if (received < 0 && errno == EINTR) continue;
        if (received < 0) return broken(errno);
        std::size_t left = static_cast<std::size_t>(received);
        const std::byte* at = buffer.data();
        while (left >= sizeof(nlmsghdr)) {
            const auto* message = reinterpret_cast<const nlmsghdr*>(at);
            if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > left) return broken(EBADMSG);
            if (message->nlmsg_seq == sequence_) {
                if (message->nlmsg_type == NLMSG_ERROR) {
                    int number = 0;
                    std::memcpy(&number, at + NLMSG_HDRLEN, sizeof number);
                    if (number != 0) return broken(-number);
                    return {};
                }
                if (message->nlmsg_type == NLMSG_DONE) return {};
                each(*message);
            }
            const std::size_t step = std::min<std::size_t>(NLMSG_ALIGN(message->nlmsg_len), left);
            at += step;
            left -= step;
        }
    }
}

Result<std::optional<Link>> Netlink::find(const std::string& name) {
    Message message(RTM_GETLINK, 0, ifinfomsg{});
    message.add(IFLA_IFNAME, name);
    std::optional<Link> found;
    const Result<void> done = talk(message.bytes(), "look up the network device " + name, [&](const nlmsghdr& answer) { found = read_link(answer); });
    if (!done.has_value() && done.error().code != ErrorCode::not_found) return std::unexpected(done.error());
    return found;
}

Result<std::vector<Link>> Netlink::list() {
    Message message(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    std::vector<Link> links;
    TRY(talk(message.bytes(), "list the network devices", [&](const nlmsghdr& answer) {
        if (std::optional<Link> link = read_link(answer)) links.push_back(std::move(*link));
    }));
    return links;
}

Result<void> Netlink::add_bridge(const std::string& name, const std::string& mac, const std::string& alias) {
    TRY_ASSIGN(const std::optional<Link> existing, find(name));
    if (!existing) {
        Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
        message.add(IFLA_IFNAME, name);
        // A fixed MAC: a bridge without one takes the lowest MAC of its ports, so that the gateway's MAC would change under the guests.
        const std::array<unsigned char, 6> bytes = mac_bytes(mac);
        message.add(IFLA_ADDRESS, bytes.data(), bytes.size());
        const std::size_t information = message.open(IFLA_LINKINFO);
        message.add(IFLA_INFO_KIND, std::string("bridge"));
        message.close(information);
        TRY(talk(message.bytes(), "make the bridge " + name, [](const nlmsghdr&) {}));
    }
    TRY_ASSIGN(const std::optional<Link> bridge, find(name));
    if (!bridge) return fail(ErrorCode::internal, "the bridge " + name + " vanished while it was made; try again");
    if (bridge->kind != "bridge")
        return fail(ErrorCode::conflict, "the network device " + name + " exists and is no bridge; rename it", bridge->kind);
    return change(bridge->index, {.alias = alias});
}

Result<void> Netlink::change(int index, const LinkChange& wanted) {
    ifinfomsg body{};
    body.ifi_index = index;
    if (wanted.up) {
        body.ifi_change = IFF_UP;
        body.ifi_flags = *wanted.up ? static_cast<unsigned>(IFF_UP) : 0U;
    }
    Message message(RTM_NEWLINK, 0, body);
    if (wanted.alias) message.add(IFLA_IFALIAS, wanted.alias->data(), wanted.alias->size());
    if (wanted.master) message.add(IFLA_MASTER, static_cast<std::uint32_t>(*wanted.master));
    if (wanted.mtu) message.add(IFLA_MTU, *wanted.mtu);
    if (wanted.no_ipv6_address) {
        const std::size_t specific = message.open(IFLA_AF_SPEC);
        const std::size_t inet6 = message.open(AF_INET6);
        const std::uint8_t none = IN6_ADDR_GEN_MODE_NONE;
        message.add(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
        message.close(inet6);
        message.close(specific);
    }
    return talk(message.bytes(), "set up a network device", [](const nlmsghdr&) {});
}

Result<void> Netlink::remove(const std::string& name) {
    Message message(RTM_DELLINK, 0, ifinfomsg{});
    message.add(IFLA_IFNAME, name);
    Result<void> done = talk(message.bytes(), "remove the network device " + name, [](const nlmsghdr&) {});
    if (!done.has_value() && done.error().code == ErrorCode::not_found) return {};
    return done;
}

Result<std::vector<Address>> Netlink::addresses(int index) {
    ifaddrmsg body{};
    body.ifa_family = AF_INET;
    Message message(RTM_GETADDR, NLM_F_DUMP, body);
    std::vector<Address> found;
    TRY(talk(message.bytes(), "list addresses", [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWADDR || answer.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return;
        const auto* start = reinterpret_cast<const std::byte*>(&answer);
        ifaddrmsg info{};
        std::memcpy(&info, start + NLMSG_HDRLEN, sizeof info);
        if (info.ifa_index != static_cast<unsigned>(index)) return;
        constexpr std::size_t kAttributes = NLMSG_SPACE(sizeof(ifaddrmsg));
        each_attribute(start + kAttributes, answer.nlmsg_len - kAttributes, [&](std::uint16_t type, const std::byte* data, std::size_t size) {
            if (type != IFA_LOCAL || size != sizeof(in_addr)) return;
            std::array<char, INET_ADDRSTRLEN> text{};
            inet_ntop(AF_INET, data, text.data(), text.size());
            found.push_back({text.data(), info.ifa_prefixlen});
        });
    }));
    return found;
}

Result<void> Netlink::add_address(int index, const Address& address) {
    Message message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address);
    return talk(message.bytes(), "give a bridge the address " + address.ip, [](const nlmsghdr&) {});
}

Result<void> Netlink::remove_address(int index, const Address& address) {
    Message message = address_message(RTM_DELADDR, 0, index, address);
    return talk(message.bytes(), "take the address " + address.ip + " from a bridge", [](const nlmsghdr&) {});
}

Result<void> make_tap(const std::string& name, std::uint32_t owner, std::int64_t queues) {
    const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) return fail(ErrorCode::internal, "cannot make a tap device; see that /dev/net/tun exists", "/dev/net/tun: " + errno_text(errno));
    ifreq request{};
    name.copy(request.ifr_name, sizeof request.ifr_name - 1);
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
    const char* step = "TUNSETIFF";
    int result = ioctl(fd, TUNSETIFF, &request);
    const bool in_use = result < 0 && errno == EBUSY;  // a QEMU has it open: it was made before
    if (result == 0) {
        step = "TUNSETOWNER";
        result = ioctl(fd, TUNSETOWNER, static_cast<unsigned long>(owner));
    }
    if (result == 0) {
        step = "TUNSETPERSIST";
        result = ioctl(fd, TUNSETPERSIST, 1UL);
    }
    const int number = errno;
    ::close(fd);
    if (result < 0 && !in_use) return fail(ErrorCode::internal, "cannot make the tap device " + name, std::string(step) + ": " + errno_text(number));
    return {};
}

}  // namespace ramet::hypervisor

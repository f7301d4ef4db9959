// What this machine is and which networks it uses, read from the kernel's own files.
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/limits.hpp"
#include "network/ipv4.hpp"
#include "resources/bootstrap.hpp"

namespace ramet::resources {
namespace {

using network::Cidr;
using network::Ipv4;

std::int64_t total_memory_bytes() {
    std::ifstream file("/proc/meminfo");
    std::string key;
    std::int64_t kibibytes = 0;
    std::string rest;
    while (file >> key >> kibibytes && std::getline(file, rest)) {
        if (key == "MemTotal:") return kibibytes * limits::kKiB;
    }
    return 0;
}

// /proc/net/route writes addresses as hexadecimal numbers in network byte order read on this machine.
std::optional<Ipv4> route_address(const std::string& text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return Ipv4{ntohl(number)};
}

void add_routes(std::vector<std::string>& used) {
    std::ifstream file("/proc/net/route");
    std::string line;
    std::getline(file, line);  // the headings
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string interface, destination, gateway, flags, references, uses, metric, mask;
        if (!(words >> interface >> destination >> gateway >> flags >> references >> uses >> metric >> mask)) continue;
        const std::optional<Ipv4> address = route_address(destination);
        const std::optional<Ipv4> netmask = route_address(mask);
        const std::optional<int> prefix = netmask ? network::prefix_length_of(*netmask) : std::nullopt;
        if (address && prefix && *prefix > 0) used.push_back(network::format(Cidr{*address, *prefix}));
    }
}

void add_addresses(std::vector<std::string>& used) {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return;
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, &::freeifaddrs);
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr || entry->ifa_netmask == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
        const Ipv4 address{ntohl(reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr.s_addr)};
        const Ipv4 netmask{ntohl(reinterpret_cast<const sockaddr_in*>(entry->ifa_netmask)->sin_addr.s_addr)};
        if (const std::optional<int> prefix = network::prefix_length_of(netmask); prefix && *prefix > 0)
            used.push_back(network::format(Cidr{address, *prefix}));
    }
}

std::vector<std::string> resolvers_of(const char* path) {
    std::ifstream file(path);
    std::vector<std::string> servers;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string key, value;
        if (!(words >> key >> value) || key != "nameserver") continue;
        const std::optional<Ipv4> address = network::parse_ipv4(value);
        if (address && network::is_guest_unicast(*address)) servers.push_back(value);  // a guest cannot ask our loopback
    }
    return servers;
}

bool overlap(Cidr one, Cidr other) {
    return network::contains(one, network::network_of(other)) || network::contains(other, network::network_of(one));
}

}  // namespace

MachineFacts measure_machine() {
    MachineFacts facts;
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0') facts.host_name = name.data();
    facts.cpu_num = std::max<std::int64_t>(1, ::sysconf(_SC_NPROCESSORS_ONLN));
    facts.memory_bytes = total_memory_bytes();
    if (utsname system{}; ::uname(&system) == 0) facts.architecture = system.machine;
    add_routes(facts.used_networks);
    add_addresses(facts.used_networks);
    facts.dns_servers = resolvers_of("/etc/resolv.conf");
    if (facts.dns_servers.empty()) facts.dns_servers = resolvers_of("/run/systemd/resolve/resolv.conf");
    return facts;
}

std::string pick_free_network(const std::vector<std::string>& used) {
    constexpr int kPrefix = 20;  // 4094 addresses: a thousand clones, and room for the leases of the ones before
    constexpr std::uint32_t kPreferred = (10U << 24U) | (77U << 16U);
    constexpr std::uint32_t kTen = 10U << 24U;
    constexpr std::uint32_t kNetworkSize = 1U << (32U - kPrefix);
    constexpr std::uint32_t kNetworksInTen = (1U << 24U) / kNetworkSize;
    std::vector<Cidr> taken;
    for (const std::string& text : used)
        if (const std::optional<Cidr> cidr = network::parse_cidr(text)) taken.push_back(*cidr);
    for (std::uint32_t i = 0; i < kNetworksInTen; ++i) {
        const std::uint32_t offset = (kPreferred - kTen + i * kNetworkSize) % (1U << 24U);
        const Cidr candidate{Ipv4{kTen + offset}, kPrefix};
        if (std::none_of(taken.begin(), taken.end(), [&](const Cidr& other) { return overlap(candidate, other); })) return network::format(candidate);
    }
    return {};
}

}  // namespace ramet::resources

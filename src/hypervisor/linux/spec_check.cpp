#include "hypervisor/linux/spec_check.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <string_view>

namespace ramet::hypervisor {

namespace {

bool is_ipv4(const std::string& text) {
    in_addr address{};
    return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool is_mac(std::string_view text) {
    if (text.size() != 17) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i % 3 == 2 ? text[i] != ':' : !is_lower_hex(text[i])) return false;
    }
    return true;
}

// Labels of letters, digits and hyphens.
bool is_name(std::string_view text, std::size_t characters_max) {
    return text.size() <= characters_max && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
           });
}

bool is_cidr(const std::string& text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos || !is_ipv4(text.substr(0, slash))) return false;
    const std::string digits = text.substr(slash + 1);
    const bool numeric =
        !digits.empty() && digits.size() <= 2 && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    return numeric && std::stoi(digits) <= 32;
}

std::unexpected<Error> wrong(const std::string& what, const std::string& value, const std::string& expected) {
    return fail(ErrorCode::invalid_argument, what + " '" + value.substr(0, 64) + "' is not " + expected);
}

}  // namespace

Result<void> check(const NetworkSpec& network) {
    if (!is_uuid_text(network.l3.text())) return wrong("the L3 network's uuid", network.l3.text(), "a uuid");
    if (!is_uuid_text(network.l2.text())) return wrong("the L2 network's uuid", network.l2.text(), "a uuid");
    if (!network.gateway.empty() && !is_ipv4(network.gateway)) return wrong("the gateway", network.gateway, "an IPv4 address");
    if (!network.network_cidr.empty() && !is_cidr(network.network_cidr)) return wrong("the network", network.network_cidr, "of the form 10.0.0.0/24");
    if (!network.netmask.empty() && !is_ipv4(network.netmask)) return wrong("the netmask", network.netmask, "of the form 255.255.255.0");
    if (network.prefix_length < 1 || network.prefix_length > 32)
        return wrong("the prefix length", std::to_string(network.prefix_length), "between 1 and 32");
    for (const std::string& server : network.dns) {
        if (!is_ipv4(server)) return wrong("the DNS server", server, "an IPv4 address");
    }
    if (!is_name(network.dns_domain, 253)) return wrong("the DNS domain", network.dns_domain, "made of letters, digits, hyphens and dots");
    if (network.physical_interface.find('\n') != std::string::npos) return wrong("the physical interface", network.physical_interface, "one line");
    return {};
}

Result<void> check_tap(const std::string& tap) {
    const bool fine = !tap.empty() && tap.size() < IFNAMSIZ &&
                      std::all_of(tap.begin(), tap.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
    if (!fine) return wrong("the tap name", tap, "made of 1 to 15 lower-case letters and digits");
    return {};
}

Result<void> check(const PortSpec& port) {
    TRY(check_tap(port.tap));
    if (!is_uuid_text(port.nic.text())) return wrong("the NIC's uuid", port.nic.text(), "a uuid");
    if (!is_uuid_text(port.l3.text())) return wrong("the L3 network's uuid", port.l3.text(), "a uuid");
    if (!is_mac(port.mac)) return wrong("the MAC", port.mac, "six lower-case hex octets with colons");
    if (!port.ip.empty() && !is_ipv4(port.ip)) return wrong("the IP", port.ip, "an IPv4 address");
    if (!is_name(port.host_name, 253)) return wrong("the host name", port.host_name, "made of letters, digits, hyphens and dots");
    return {};
}

}  // namespace ramet::hypervisor

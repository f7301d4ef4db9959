#include "hypervisor/linux/rules.hpp"

#include <fmt/format.h>
#include <nftables/libnftables.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace ramet::hypervisor {

namespace {

constexpr std::array<std::string_view, 8> kCounters{"spoofed_mac", "spoofed_ip",    "spoofed_arp",   "odd_protocol",
                                                    "dhcp_server", "router_advert", "sent_too_fast", "received_too_fast"};

// The kernel's bucket holds one second of the rate and this: the largest frame that a guest with segmentation offload sends must fit.
constexpr std::int64_t kBurstBytes = 64 * 1024;

// %T is the table. `fixed` are the ports whose IP is known: those of networks without address management have only their MAC enforced.
// A VLAN tag would hide the addresses from every rule below, so tagged frames are no allowed kind. RARP is how QEMU announces a guest.
// DHCP clients ask from 0.0.0.0; an ARP probe has that sender as well, hence the second element of each port in arp_senders.
constexpr std::string_view kBridgeTable = R"(
    set ports { type ifname; }
    set fixed { type ifname; }
    set macs { typeof iifname . ether saddr; }
    set addresses { typeof iifname . ether saddr . ip saddr; }
    set arp_senders { typeof iifname . arp saddr ether . arp saddr ip; }
    map sent { type ifname : limit; }
    map received { type ifname : limit; }
    chain from_port {
        iifname . ether saddr != @macs counter name spoofed_mac drop
        ether type != { ip, arp, ip6, 0x8035 } counter name odd_protocol drop
        ether type arp iifname . arp saddr ether != @macs counter name spoofed_arp drop
        iifname @fixed ether type arp iifname . arp saddr ether . arp saddr ip != @arp_senders counter name spoofed_arp drop
        ether type ip udp sport 67 counter name dhcp_server drop
        ether type ip udp dport 68 counter name dhcp_server drop
        ether type ip6 udp sport 547 counter name dhcp_server drop
        ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } counter name router_advert drop
        ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
        iifname @fixed ether type ip iifname . ether saddr . ip saddr != @addresses counter name spoofed_ip drop
    }
    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        iifname @ports jump from_port
        limit name iifname map @sent counter name sent_too_fast drop
    }
    chain postrouting {
        type filter hook postrouting priority 0; policy accept;
        limit name oifname map @received counter name received_too_fast drop
    }
)";

// The elements of one port, as the arguments of "add element bridge <table>".
std::vector<std::string> elements_of(const PortSpec& port) {
    std::vector<std::string> elements{
        fmt::format("ports {{ \"{}\" }}", port.tap),
        fmt::format("macs {{ \"{}\" . {} }}", port.tap, port.mac),
    };
    if (port.ip.empty()) return elements;
    elements.push_back(fmt::format("fixed {{ \"{}\" }}", port.tap));
    elements.push_back(fmt::format("addresses {{ \"{}\" . {} . {} }}", port.tap, port.mac, port.ip));
    elements.push_back(fmt::format("arp_senders {{ \"{}\" . {} . {}, \"{}\" . {} . 0.0.0.0 }}", port.tap, port.mac, port.ip, port.tap, port.mac));
    return elements;
}

// A named limit of one port and its place in a map, in the order in which they are made.
struct RateLimit {
    std::string_view map;
    std::string name;
    std::int64_t bits_per_second;
};

std::vector<RateLimit> limits_of(const PortSpec& port) {
    std::vector<RateLimit> limits;
    if (port.sent_bits_max > 0) limits.push_back({"sent", "sent-" + port.tap, port.sent_bits_max});
    if (port.received_bits_max > 0) limits.push_back({"received", "received-" + port.tap, port.received_bits_max});
    return limits;
}

std::string limit_command(const std::string& table, const RateLimit& limit) {
    const std::int64_t bytes = std::max<std::int64_t>(limit.bits_per_second / 8, 1);
    return fmt::format("add limit bridge {} {} {{ rate over {} bytes/second burst {} bytes; }}\n", table, limit.name, bytes, kBurstBytes);
}

std::string limit_element(const PortSpec& port, const RateLimit& limit) {
    return fmt::format("{} {{ \"{}\" : \"{}\" }}", limit.map, port.tap, limit.name);
}

void add_commands(std::string& script, const std::string& table, const PortSpec& port) {
    for (const std::string& element : elements_of(port)) script += fmt::format("add element bridge {} {}\n", table, element);
    for (const RateLimit& limit : limits_of(port)) {
        script += limit_command(table, limit) + fmt::format("add element bridge {} {}\n", table, limit_element(port, limit));
    }
}

// nft has no "delete if there": adding first makes the deletion always right.
void remove_commands(std::string& script, const std::string& table, const PortSpec& port) {
    for (const std::string& element : elements_of(port)) {
        script += fmt::format("add element bridge {0} {1}\ndelete element bridge {0} {1}\n", table, element);
    }
    for (const RateLimit& limit : limits_of(port)) {
        const std::string element = limit_element(port, limit);
        script += limit_command(table, limit) + fmt::format("add element bridge {0} {1}\ndelete element bridge {0} {1}\n", table, element) +
                  fmt::format("delete limit bridge {} {}\n", table, limit.name);
    }
}

std::string fresh_table(std::string_view family, const std::string& table, std::string_view body) {
    return fmt::format("add table {0} {1}\ndelete table {0} {1}\ntable {0} {1} {{{2}}}\n", family, table, body);
}

}  // namespace

Rules::Rules(std::string table) : table_(std::move(table)) {}

Rules::~Rules() {
    if (context_ != nullptr) nft_ctx_free(context_);
}

Result<std::string> Rules::run(const std::string& script) {
    // Made at the first use, in the caller's network namespace: it holds a netlink socket.
    if (context_ == nullptr) {
        context_ = nft_ctx_new(NFT_CTX_DEFAULT);
        if (context_ == nullptr) return fail(ErrorCode::internal, "cannot use nftables", "nft_ctx_new failed");
        nft_ctx_buffer_error(context_);
        nft_ctx_buffer_output(context_);
    }
    const int result = nft_run_cmd_from_buffer(context_, script.c_str());
    std::string output = nft_ctx_get_output_buffer(context_);
    const std::string errors = nft_ctx_get_error_buffer(context_);
    if (result == 0) return output;
    const bool absent = errors.find("No such file or directory") != std::string::npos;
    return fail(absent ? ErrorCode::not_found : ErrorCode::internal, "the kernel refused the packet rules of the network; see the server's log",
                "nftables: " + errors.substr(0, 2000));
}

Result<void> Rules::rebuild_ports(const std::function<Result<std::vector<PortState>>()>& ports) {
    const std::lock_guard lock(mutex_);
    TRY_ASSIGN(const std::vector<PortState> known, ports());
    std::string body;
    for (const std::string_view counter : kCounters) body += fmt::format("\n    counter {} {{ }}", counter);
    std::string script = fresh_table("bridge", table_, body + std::string(kBridgeTable));
    for (const PortState& state : known) add_commands(script, table_, state.port);
    TRY(run(script));
    return {};
}

Result<void> Rules::add_port(const PortSpec& port, const PortSpec* before) {
    std::string script;
    if (before != nullptr) remove_commands(script, table_, *before);
    add_commands(script, table_, port);
    const std::lock_guard lock(mutex_);
    TRY(run(script));
    return {};
}

Result<void> Rules::remove_port(const PortSpec& port) {
    std::string script;
    remove_commands(script, table_, port);
    const std::lock_guard lock(mutex_);
    const Result<std::string> done = run(script);
    if (!done.has_value() && done.error().code != ErrorCode::not_found) return std::unexpected(done.error());
    return {};
}

Result<void> Rules::set_networks(const std::vector<NetworkState>& networks) {
    std::string rules;
    for (const NetworkState& network : networks) {
        if (network.foreign || network.spec.network_cidr.empty()) continue;
        rules += fmt::format("        ip saddr {0} ip daddr != {0} masquerade\n", network.spec.network_cidr);
    }
    // DHCP answers go to 255.255.255.255 from the gateway's port 67, which masquerading might change.
    const std::string chain =
        "\n    chain postrouting {\n        type nat hook postrouting priority srcnat; policy accept;\n"
        "        ip daddr { 224.0.0.0/4, 255.255.255.255 } return\n" +
        rules + "    }\n";
    const std::lock_guard lock(mutex_);
    TRY(run(fresh_table("inet", table_, chain)));
    return {};
}

Result<void> Rules::remove() {
    const std::lock_guard lock(mutex_);
    TRY(run(fmt::format("add table bridge {0}\ndelete table bridge {0}\nadd table inet {0}\ndelete table inet {0}\n", table_)));
    return {};
}

Result<void> Rules::probe(bool with_nat) {
    const std::string nat =
        "\n    chain postrouting {\n        type nat hook postrouting priority srcnat; policy accept;\n"
        "        ip saddr 192.0.2.0/24 masquerade\n    }\n";
    const std::string name = table_ + "-probe";
    const std::lock_guard lock(mutex_);
    TRY(run(fresh_table("bridge", name, "") + fresh_table("inet", name, with_nat ? nat : "")));
    TRY(run(fmt::format("delete table bridge {0}\ndelete table inet {0}\n", name)));
    return {};
}

Result<std::int64_t> Rules::dropped(const std::string& counter) {
    const std::lock_guard lock(mutex_);
    TRY_ASSIGN(const std::string text, run(fmt::format("list counter bridge {} {}", table_, counter)));
    constexpr std::string_view kPackets = "packets ";
    const std::size_t at = text.find(kPackets);
    if (at == std::string::npos) return fail(ErrorCode::internal, "a packet counter cannot be read", text);
    return std::atoll(text.c_str() + at + kPackets.size());
}

}  // namespace ramet::hypervisor

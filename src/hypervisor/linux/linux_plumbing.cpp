#include "hypervisor/linux/linux_plumbing.hpp"

#include <net/if.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "hypervisor/linux/dhcp_server.hpp"
#include "hypervisor/linux/spec_check.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace {

constexpr auto kTrusted = std::chrono::seconds(10);  // a whole network is not looked at again before
constexpr std::size_t kHashDigits = 10;              // "rb" + 10 leaves room under the kernel's 15 characters

std::string bridge_mac(const std::string& name) {
    const std::string digits = derived_uuid_text("bridge-mac", name);
    return "02:" + digits.substr(0, 2) + ":" + digits.substr(2, 2) + ":" + digits.substr(4, 2) + ":" + digits.substr(6, 2) + ":" +
           digits.substr(8, 2);
}

// The kernel may lack a key (IPv6 compiled out): then there is nothing to switch.
void write_kernel_setting(const std::string& path, const std::string& value) {
    const Result<std::optional<std::string>> now = read_file(path);
    if (now.has_value() && (!now->has_value() || **now == value + "\n")) return;
    std::FILE* file = std::fopen(path.c_str(), "we");
    const bool written = file != nullptr && std::fputs(value.c_str(), file) >= 0;
    const bool closed = file != nullptr && std::fclose(file) == 0;
    if (!written || !closed) telemetry::log_warning("cannot write {} to {}: the guests' network may be incomplete", value, path);
}

bool same_addresses(const PortSpec& a, const PortSpec& b) { return a.mac == b.mac && a.ip == b.ip; }
bool same_rules(const PortSpec& a, const PortSpec& b) {
    return same_addresses(a, b) && a.sent_bits_max == b.sent_bits_max && a.received_bits_max == b.received_bits_max;
}

}  // namespace

LinuxPlumbing::LinuxPlumbing(const PlumbingOptions& options, std::string data_dir_hash, bool can_masquerade)
    : options_(options),
      hash_(std::move(data_dir_hash)),
      alias_("ramet-" + hash_),
      can_masquerade_(can_masquerade),
      files_(options.data_dir + "/network"),
      rules_("ramet-" + hash_) {}

std::string LinuxPlumbing::bridge_name(const L2NetworkId& l2) const { return "rb" + derived_uuid_text(hash_, l2.text()).substr(0, kHashDigits); }

Result<NetworkState> LinuxPlumbing::choose_bridge(Netlink& netlink, const NetworkSpec& spec) const {
    NetworkState state{spec, bridge_name(spec.l2), false};
    if (spec.physical_interface.empty() || spec.physical_interface.size() >= IFNAMSIZ) return state;
    TRY_ASSIGN(const std::optional<Link> named, netlink.find(spec.physical_interface));
    if (named && named->kind == "bridge" && named->alias != alias_) {
        state.bridge = named->name;
        state.foreign = true;
    }
    return state;
}

// The network was whole a moment ago, and bridge and DHCP server are still there. A VM's start asks this; what else somebody may have taken
// away (addresses, rules of NAT) is looked for less often.
Result<bool> LinuxPlumbing::is_whole(Netlink& netlink, const NetworkState& state) {
    {
        const std::lock_guard lock(cache_mutex_);
        const auto known = networks_.find(state.spec.l3.text());
        const auto made = made_whole_.find(state.spec.l3.text());
        if (known == networks_.end() || made == made_whole_.end() || known->second != state) return false;
        if (std::chrono::steady_clock::now() - made->second > kTrusted) return false;
    }
    TRY_ASSIGN(const std::optional<Link> bridge, netlink.find(state.bridge));
    return bridge && (state.foreign || bridge->up) && (!state.serves_dhcp() || DhcpServer(files_, state.bridge).running());
}

Result<void> LinuxPlumbing::ensure_network(const NetworkSpec& spec) {
    TRY(check(spec));
    const std::lock_guard lock(networks_mutex_);
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const NetworkState state, choose_bridge(netlink, spec));
    TRY_ASSIGN(const bool whole, is_whole(netlink, state));
    if (whole) return {};
    TRY(make_whole(netlink, state));
    const std::lock_guard cache_lock(cache_mutex_);
    made_whole_[spec.l3.text()] = std::chrono::steady_clock::now();
    return {};
}

Result<void> LinuxPlumbing::make_whole(Netlink& netlink, const NetworkState& state) {
    TRY(files_.prepare());
    TRY_ASSIGN(const std::optional<NetworkState> before, files_.network(state.spec.l3.text()));
    TRY(files_.save(state));
    {
        const std::lock_guard cache_lock(cache_mutex_);
        networks_[state.spec.l3.text()] = state;
    }
    if (before && before->bridge != state.bridge && !before->foreign) TRY(sync_bridge(netlink, before->bridge));
    TRY(sync_rules());
    if (state.foreign) return {};
    return sync_bridge(netlink, state.bridge);
}

Result<void> LinuxPlumbing::sync_rules() {
    if (!rules_built_) {
        TRY(rules_.rebuild_ports([this] { return files_.ports(); }));
        rules_built_ = true;
    }
    TRY_ASSIGN(const std::vector<NetworkState> networks, files_.networks());
    return rules_.set_networks(can_masquerade_ ? networks : std::vector<NetworkState>{});
}

Result<void> LinuxPlumbing::sync_bridge(Netlink& netlink, const std::string& bridge, const L3NetworkId* leaving) {
    TRY_ASSIGN(std::vector<NetworkState> members, files_.networks());
    std::erase_if(members, [&](const NetworkState& network) {
        return network.foreign || network.bridge != bridge || (leaving != nullptr && network.spec.l3 == *leaving);
    });
    if (members.empty()) return remove_bridge(netlink, bridge);
    TRY_ASSIGN(const std::optional<Link> existing, netlink.find(bridge));
    TRY(netlink.add_bridge(bridge, bridge_mac(bridge), alias_));
    TRY_ASSIGN(const std::optional<Link> link, netlink.find(bridge));
    if (!link) return fail(ErrorCode::internal, "the bridge of the network vanished while it was set up; try again", bridge);
    // Guests are bridged to each other as they like; the host itself must not take IPv6 addresses or routes from them.
    write_kernel_setting("/proc/sys/net/ipv6/conf/" + bridge + "/disable_ipv6", "1");
    TRY(set_addresses(netlink, link->index, members));
    if (!link->up) TRY(netlink.change(link->index, {.up = true}));
    write_kernel_setting("/proc/sys/net/ipv4/ip_forward", "1");
    DhcpServer server(files_, bridge);
    if (std::none_of(members.begin(), members.end(), [](const NetworkState& network) { return network.serves_dhcp(); })) return server.stop();
    // A server is bound to the device it met: a bridge made anew needs a new server.
    TRY_ASSIGN(const bool started, server.ensure(members, !existing.has_value()));
    if (started) {
        const std::lock_guard lock(cache_mutex_);
        fresh_dhcp_.insert(bridge);
    }
    return {};
}

Result<void> LinuxPlumbing::sync_dhcp(Netlink& netlink, const NetworkState& network) {
    if (!network.serves_dhcp()) return {};
    const std::lock_guard lock(networks_mutex_);
    return sync_bridge(netlink, network.bridge);
}

Result<void> LinuxPlumbing::set_addresses(Netlink& netlink, int index, const std::vector<NetworkState>& members) {
    TRY_ASSIGN(const std::vector<Address> present, netlink.addresses(index));
    const auto wants = [&](const Address& address) {
        return std::any_of(members.begin(), members.end(), [&](const NetworkState& network) {
            return network.spec.gateway == address.ip && network.spec.prefix_length == address.prefix_length;
        });
    };
    for (const Address& address : present) {
        if (!wants(address)) TRY(netlink.remove_address(index, address));
    }
    for (const NetworkState& network : members) {
        if (network.spec.gateway.empty()) continue;
        const auto there = [&](const Address& address) {
            return address.ip == network.spec.gateway && address.prefix_length == network.spec.prefix_length;
        };
        if (std::any_of(present.begin(), present.end(), there)) continue;
        TRY(netlink.add_address(index, {network.spec.gateway, static_cast<int>(network.spec.prefix_length)}));
    }
    return {};
}

Result<void> LinuxPlumbing::remove_bridge(Netlink& netlink, const std::string& bridge) {
    TRY(DhcpServer(files_, bridge).stop());
    TRY(netlink.remove(bridge));
    mark_stale(bridge);
    std::error_code error;
    std::filesystem::remove_all(files_.bridge_folder(bridge), error);
    if (error)
        return fail(ErrorCode::internal, "cannot remove the network state; see the server's log",
                    files_.bridge_folder(bridge) + ": " + error.message());
    return {};
}

Result<void> LinuxPlumbing::remove_network(const L3NetworkId& l3) {
    const std::lock_guard lock(networks_mutex_);
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const std::optional<NetworkState> state, files_.network(l3.text()));
    {
        const std::lock_guard cache_lock(cache_mutex_);
        networks_.erase(l3.text());
        made_whole_.erase(l3.text());
    }
    if (!state) return {};
    // The file goes last: a call that was cut short is repeated and finds it.
    if (!state->foreign) TRY(sync_bridge(netlink, state->bridge, &l3));
    TRY(files_.forget_network(l3.text()));
    return sync_rules();
}

Result<NetworkState> LinuxPlumbing::network_of(const L3NetworkId& l3) {
    {
        const std::lock_guard lock(cache_mutex_);
        if (const auto found = networks_.find(l3.text()); found != networks_.end()) return found->second;
    }
    TRY_ASSIGN(const std::optional<NetworkState> stored, files_.network(l3.text()));
    if (!stored)
        return fail(ErrorCode::not_found, "the network " + l3.text() + " is not set up on this host; attach its L2 network to the host's cluster");
    // Known from before a restart: nothing says that bridge, rules and DHCP server are still there.
    TRY(ensure_network(stored->spec));
    const std::lock_guard lock(cache_mutex_);
    return networks_[l3.text()];
}

Result<Link> LinuxPlumbing::bridge_link(Netlink& netlink, const NetworkState& network) {
    TRY_ASSIGN(std::optional<Link> link, netlink.find(network.bridge));
    const bool served = !network.serves_dhcp() || DhcpServer(files_, network.bridge).running();
    if (link && served) return std::move(*link);
    if (network.foreign)
        return fail(ErrorCode::operation_failed, "the bridge " + network.bridge + " is gone; make it again or change the L2 network's interface");
    telemetry::log_warning("bridge {} or its DHCP server was gone; setting it up again", network.bridge);
    TRY(ensure_network(network.spec));
    TRY_ASSIGN(link, netlink.find(network.bridge));
    if (!link) return fail(ErrorCode::internal, "the bridge of the network vanished; try again", network.bridge);
    return std::move(*link);
}

void LinuxPlumbing::mark_stale(const std::string& bridge) {
    const std::lock_guard lock(cache_mutex_);
    fresh_dhcp_.erase(bridge);
}

// dnsmasq sees a new reservation by itself, but keeps removed and replaced ones until it is told to read all again. That is put
// off to the next plug: a teardown of a thousand NICs then costs one reading instead of a thousand.
Result<void> LinuxPlumbing::reserve(const NetworkState& network, const PortSpec& port, const std::optional<PortState>& before) {
    if (!network.serves_dhcp()) return {};
    if (port.ip.empty()) return before ? withdraw(before->port, network.bridge, network) : Result<void>{};
    const DhcpServer server(files_, network.bridge);
    const bool replaced = before && before->bridge == network.bridge && !same_addresses(before->port, port);
    if (replaced) {
        mark_stale(network.bridge);
        server.release(network.spec.gateway, before->port.ip, before->port.mac);
    }
    TRY(server.reserve(port));
    bool stale = false;
    {
        const std::lock_guard lock(cache_mutex_);
        stale = fresh_dhcp_.insert(network.bridge).second;
    }
    if (stale) server.reload();
    return {};
}

// Rules before the link: no frame passes unchecked. The port's file before the rules: a rebuild of the rules includes it.
Result<void> LinuxPlumbing::plug(const PortSpec& port) {
    TRY(check(port));
    TRY_ASSIGN(const NetworkState network, network_of(port.l3));
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const Link bridge, bridge_link(netlink, network));
    TRY_ASSIGN(const std::optional<PortState> before, files_.port(port.tap));
    if (before && before->bridge != network.bridge) {
        TRY_ASSIGN(const NetworkState old, network_of(before->port.l3));
        TRY(withdraw(before->port, before->bridge, old));
    }
    TRY(reserve(network, port, before));
    TRY(files_.save(PortState{port, network.bridge}));
    if (!port.default_route || (before && !before->port.default_route)) TRY(sync_dhcp(netlink, network));
    const bool changed = before && !same_rules(before->port, port);
    Result<void> allowed = rules_.add_port(port, changed ? &before->port : nullptr);
    if (!allowed.has_value()) {
        if (allowed.error().code != ErrorCode::not_found) return allowed;
        telemetry::log_warning("the packet rules were removed by someone else; making them again");
        TRY(rules_.rebuild_ports([this] { return files_.ports(); }));
        const std::lock_guard lock(networks_mutex_);
        TRY(sync_rules());
    }
    TRY_ASSIGN(std::optional<Link> tap, netlink.find(port.tap));
    if (tap && tap->kind != "tun") return fail(ErrorCode::conflict, "the network device " + port.tap + " exists and is no tap; remove it", tap->kind);
    if (tap && tap->alias.starts_with("ramet-") && tap->alias != alias_) {
        return fail(ErrorCode::conflict, "the tap " + port.tap + " belongs to another ramet server on this host", tap->alias);
    }
    TRY(make_tap(port.tap, options_.qemu_uid, port.queues));
    if (!tap) { TRY_ASSIGN(tap, netlink.find(port.tap)); }
    if (!tap) return fail(ErrorCode::internal, "the tap " + port.tap + " vanished while it was made; try again");
    return netlink.change(tap->index, {.alias = alias_, .master = bridge.index, .up = port.enabled, .mtu = bridge.mtu, .no_ipv6_address = true});
}

Result<void> LinuxPlumbing::withdraw(const PortSpec& port, const std::string& bridge, const NetworkState& network) {
    if (!network.serves_dhcp()) return {};
    const DhcpServer server(files_, bridge);
    TRY_ASSIGN(const bool removed, server.unreserve(port.nic));
    if (removed) mark_stale(bridge);
    if (!port.ip.empty()) server.release(network.spec.gateway, port.ip, port.mac);
    return {};
}

// The file of the port goes near the end: an unplug that was cut short finds in it what there still is to take back.
Result<void> LinuxPlumbing::unplug(const PortSpec& port) {
    TRY(check_tap(port.tap));
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const std::optional<Link> tap, netlink.find(port.tap));
    if (tap && tap->kind == "tun" && (tap->alias == alias_ || tap->alias.empty())) TRY(netlink.remove(port.tap));
    TRY_ASSIGN(const std::optional<PortState> stored, files_.port(port.tap));
    const PortSpec& known = stored ? stored->port : port;
    TRY_ASSIGN(const std::optional<NetworkState> network, files_.network(known.l3.text()));
    if (network) TRY(withdraw(known, network->bridge, *network));
    TRY(files_.forget_port(port.tap));
    if (network && !known.default_route) TRY(sync_dhcp(netlink, *network));
    if (check(known).has_value()) return rules_.remove_port(known);
    return {};
}

Result<void> LinuxPlumbing::set_port(const std::string& tap, bool enabled) {
    TRY(check_tap(tap));
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const std::optional<Link> link, netlink.find(tap));
    if (!link) return fail(ErrorCode::not_found, "there is no tap " + tap + " on this host; the NIC is not plugged");
    TRY_ASSIGN(std::optional<PortState> stored, files_.port(tap));
    if (stored && stored->port.enabled != enabled) {
        stored->port.enabled = enabled;
        TRY(files_.save(*stored));
    }
    return netlink.change(link->index, {.up = enabled});
}

Result<std::vector<std::string>> LinuxPlumbing::taps() {
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY_ASSIGN(const std::vector<Link> links, netlink.list());
    std::vector<std::string> names;
    for (const Link& link : links) {
        if (link.kind == "tun" && link.alias == alias_) names.push_back(link.name);
    }
    return names;
}

Result<std::vector<std::string>> LinuxPlumbing::ports() {
    TRY_ASSIGN(const std::vector<PortState> stored, files_.ports());  // rules and reservations are made from these
    std::vector<std::string> names;
    names.reserve(stored.size());
    for (const PortState& state : stored) names.push_back(state.port.tap);
    return names;
}

Result<std::vector<L3NetworkId>> LinuxPlumbing::networks() {
    TRY_ASSIGN(const std::vector<NetworkState> stored, files_.networks());
    std::vector<L3NetworkId> all;
    all.reserve(stored.size());
    for (const NetworkState& network : stored) all.push_back(network.spec.l3);
    return all;
}

Result<void> LinuxPlumbing::remove_all() {
    const std::lock_guard lock(networks_mutex_);
    TRY_ASSIGN(Netlink netlink, Netlink::open());
    TRY(DhcpServer::stop_all(files_.root()));
    // By alias, and by file: a crash between the making of a link and its alias leaves only the file.
    TRY_ASSIGN(const std::vector<PortState> ports, files_.ports());
    for (const PortState& state : ports) {
        TRY_ASSIGN(const std::optional<Link> link, netlink.find(state.port.tap));
        if (link && link->kind == "tun") TRY(netlink.remove(link->name));
    }
    TRY_ASSIGN(const std::vector<NetworkState> networks, files_.networks());
    for (const NetworkState& network : networks) {
        if (!network.foreign) TRY(netlink.remove(network.bridge));
    }
    TRY_ASSIGN(const std::vector<Link> links, netlink.list());
    for (const Link& link : links) {
        if (link.alias == alias_) TRY(netlink.remove(link.name));
    }
    TRY(rules_.remove());
    rules_built_ = false;
    {
        const std::lock_guard cache_lock(cache_mutex_);
        networks_.clear();
        fresh_dhcp_.clear();
    }
    std::error_code error;
    std::filesystem::remove_all(files_.root(), error);
    if (error) return fail(ErrorCode::internal, "cannot remove the network state; see the server's log", files_.root() + ": " + error.message());
    return {};
}

}  // namespace ramet::hypervisor

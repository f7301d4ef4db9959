#include "hypervisor/linux/plumbing.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "hypervisor/linux/dhcp_server.hpp"
#include "hypervisor/linux/linux_plumbing.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace {

class NoPlumbing final : public Plumbing {
public:
    bool privileged() const override { return false; }
    Result<void> ensure_network(const NetworkSpec&) override { return {}; }
    Result<void> remove_network(const L3NetworkId&) override { return {}; }
    Result<void> plug(const PortSpec&) override { return {}; }
    Result<void> unplug(const PortSpec&) override { return {}; }
    Result<void> set_port(const std::string&, bool) override { return {}; }
    Result<bool> answers(const PortSpec&) override { return false; }
    Result<std::vector<std::string>> taps() override { return std::vector<std::string>{}; }
    Result<std::vector<std::string>> ports() override { return std::vector<std::string>{}; }
    Result<std::vector<L3NetworkId>> networks() override { return std::vector<L3NetworkId>{}; }
    Result<void> remove_all() override { return {}; }
};

bool has_net_admin() {
    __user_cap_header_struct header{};
    header.version = _LINUX_CAPABILITY_VERSION_3;
    std::array<__user_cap_data_struct, 2> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    return (data[0].effective & (1U << CAP_NET_ADMIN)) != 0;
}

// What stands in the way, or nothing. `masquerade` tells whether NAT works: without it the rest still does.
std::string obstacle(const std::string& hash, bool& masquerade) {
    if (!has_net_admin()) return "the server lacks CAP_NET_ADMIN; run it as root or grant the capability";
    const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0) return "/dev/net/tun cannot be opened (" + std::generic_category().message(errno) + "); load the tun module";
    ::close(tun);
    if (DhcpServer::program().empty()) return "dnsmasq is not installed; install dnsmasq-base";
    Result<Netlink> netlink = Netlink::open();
    if (!netlink.has_value()) return netlink.error().detail;
    const std::string bridge = "rp" + hash;
    const Result<void> made = netlink->add_bridge(bridge, "02:00:00:00:00:01", "ramet-" + hash);
    const Result<void> removed = netlink->remove(bridge);
    if (!made.has_value()) return "no bridge can be made (" + made.error().detail + "); load the bridge module";
    if (!removed.has_value()) return "a bridge can be made but not removed (" + removed.error().detail + ")";
    Rules rules("ramet-" + hash);
    if (const Result<void> filtered = rules.probe(false); !filtered.has_value()) {
        return "nftables cannot filter bridged packets (" + filtered.error().detail + "); load nf_tables and nf_tables_bridge";
    }
    masquerade = rules.probe(true).has_value();
    return {};
}

}  // namespace

OpenedPlumbing open_plumbing_with_reason(const PlumbingOptions& options) {
    PlumbingOptions absolute = options;
    std::error_code error;
    const std::filesystem::path canonical = std::filesystem::weakly_canonical(options.data_dir, error);
    if (!error) absolute.data_dir = canonical.native();
    const std::string hash = derived_uuid_text("data-dir", absolute.data_dir).substr(0, 10);
    bool masquerade = false;
    if (const std::string why_not = obstacle(hash, masquerade); !why_not.empty()) {
        return {std::make_unique<NoPlumbing>(), "VMs use user networking: " + why_not};
    }
    std::string reason = "VMs use bridges and taps";
    if (!masquerade) {
        reason += "; the kernel has no NAT (nf_nat, nft_masq), so guests reach the host and each other only";
        telemetry::log_warning("the kernel cannot masquerade: guests of NAT networks reach the host and each other only; load nf_nat and nft_masq");
    }
    return {std::make_unique<LinuxPlumbing>(absolute, hash, masquerade), std::move(reason)};
}

std::unique_ptr<Plumbing> open_plumbing(const PlumbingOptions& options) {
    OpenedPlumbing opened = open_plumbing_with_reason(options);
    telemetry::log_info("{}", opened.reason);
    return std::move(opened.plumbing);
}

}  // namespace ramet::hypervisor

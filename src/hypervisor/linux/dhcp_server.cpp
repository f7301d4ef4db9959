#include "hypervisor/linux/dhcp_server.hpp"

#include <arpa/inet.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "hypervisor/linux/daemon_process.hpp"
#include "telemetry/log.hpp"

namespace ramet::hypervisor {

namespace {

constexpr std::array<const char*, 3> kPrograms{"/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/usr/local/sbin/dnsmasq"};
constexpr std::array<const char*, 2> kResolvers{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};
constexpr const char* kLeaseTime = "1h";        // a running guest renews at half of it; a released address is free at once
constexpr const char* kNoRouter = "no-router";  // tag of NICs that are not on their VM's default network
constexpr const char* kLeasesMax = "1000000";   // dnsmasq's own default is 1000: the 1001st guest would get no answer

// The host's name servers that a guest can reach too.
std::vector<std::string> host_name_servers() {
    for (const char* path : kResolvers) {
        std::vector<std::string> servers;
        const Result<std::optional<std::string>> text = read_file(path);
        if (!text.has_value() || !text->has_value()) continue;
        std::string_view left = **text;
        while (!left.empty()) {
            const std::size_t end = std::min(left.find('\n'), left.size());
            std::string_view line = left.substr(0, end);
            left.remove_prefix(std::min(end + 1, left.size()));
            constexpr std::string_view kKey = "nameserver ";
            if (!line.starts_with(kKey)) continue;
            const std::string server(line.substr(kKey.size(), line.find_first_of(" \t#", kKey.size()) - kKey.size()));
            in_addr address{};
            if (inet_pton(AF_INET, server.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) != 127) servers.push_back(server);
        }
        if (!servers.empty()) return servers;
    }
    return {};
}

struct AccountIds {
    uid_t user = 0;
    gid_t group = 0;
};

std::optional<AccountIds> account_named(const char* name) {
    std::array<char, 4096> buffer{};
    struct passwd entry{};
    struct passwd* found = nullptr;
    if (::getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return std::nullopt;
    return AccountIds{entry.pw_uid, entry.pw_gid};
}

bool reachable_by(const AccountIds& account, const std::string& folder) {
    std::filesystem::path at = folder;
    while (true) {
        struct stat status{};
        if (::stat(at.c_str(), &status) < 0) return false;
        const mode_t needed = status.st_uid == account.user ? S_IXUSR : status.st_gid == account.group ? S_IXGRP : S_IXOTH;
        if ((status.st_mode & needed) == 0) return false;
        if (at == at.root_path() || at.empty()) return true;
        at = at.parent_path();
    }
}

// dnsmasq gives up root after its start and then still has to read new reservations.
std::string user_for(const std::string& hosts) {
    for (const char* name : {"dnsmasq", "nobody"}) {
        const std::optional<AccountIds> account = account_named(name);
        if (!account) continue;
        if (reachable_by(*account, hosts)) return name;
        telemetry::log_warning("dnsmasq runs as root because the user {} may not pass through to {}; allow it with chmod o+x on the data directory",
                               name, hosts);
        break;
    }
    return "root";
}

std::string each_after_a_comma(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += "," + item;
    return text;
}

std::string network_address(const std::string& cidr) { return cidr.substr(0, cidr.find('/')); }

}  // namespace

DhcpServer::DhcpServer(const PortFiles& files, std::string bridge)
    : all_files_(files),
      bridge_(std::move(bridge)),
      folder_(files.bridge_folder(bridge_)),
      hosts_(files.hosts_folder(bridge_)),
      pid_file_(folder_ + "/dnsmasq.pid") {}

std::string DhcpServer::program() {
    for (const char* path : kPrograms) {
        if (::access(path, X_OK) == 0) return path;
    }
    return {};
}

// Here and not in the reservations: dnsmasq 2.90 aborts when it reads a reservation that had a tag again.
void DhcpServer::name_those_without_router(std::vector<std::string>& arguments) const {
    const Result<std::vector<PortState>> ports = all_files_.ports();
    if (!ports.has_value()) return;
    for (const PortState& state : *ports) {
        if (state.bridge != bridge_ || state.port.default_route) continue;
        arguments.push_back(std::string("--dhcp-mac=set:") + kNoRouter + "," + state.port.mac);
    }
}

std::vector<std::string> DhcpServer::arguments(const std::vector<NetworkState>& networks) const {
    std::vector<std::string> arguments{program(),
                                       "--conf-file=/dev/null",
                                       "--port=0",
                                       "--no-resolv",
                                       "--no-hosts",
                                       "--interface=" + bridge_,
                                       "--except-interface=lo",
                                       "--bind-dynamic",
                                       "--dhcp-hostsdir=" + hosts_,
                                       "--leasefile-ro",
                                       "--pid-file=" + pid_file_,
                                       "--dhcp-authoritative",
                                       "--dhcp-no-override",
                                       "--dhcp-ignore-clid",
                                       std::string("--dhcp-lease-max=") + kLeasesMax,
                                       "--no-ping",
                                       "--quiet-dhcp",
                                       "--user=" + user_for(hosts_)};
    for (const NetworkState& network : networks) {
        if (!network.serves_dhcp()) continue;
        const NetworkSpec& spec = network.spec;
        const std::string tag = "n" + spec.l3.text().substr(0, 12);
        const std::string option = "--dhcp-option=tag:" + tag + ",option:";
        arguments.push_back("--dhcp-range=set:" + tag + "," + network_address(spec.network_cidr) + ",static," + spec.netmask + "," + kLeaseTime);
        arguments.push_back("--dhcp-option=tag:" + tag + ",tag:!" + kNoRouter + ",option:router," + spec.gateway);
        arguments.push_back("--dhcp-option=tag:" + tag + ",tag:" + kNoRouter + ",option:router");  // not left out it would be dnsmasq itself
        const std::vector<std::string> servers = spec.dns.empty() ? host_name_servers() : spec.dns;
        arguments.push_back(option + "dns-server" + each_after_a_comma(servers));
        if (!spec.dns_domain.empty()) arguments.push_back(option + "domain-name," + spec.dns_domain);
    }
    name_those_without_router(arguments);
    return arguments;
}

Result<bool> DhcpServer::ensure(const std::vector<NetworkState>& networks, bool restart) {
    TRY(make_folder(folder_, 0711));
    TRY(make_folder(hosts_, 0755));
    const std::vector<std::string> wanted = arguments(networks);
    std::optional<DaemonProcess> found = DaemonProcess::find(pid_file_, "--pid-file=" + pid_file_);
    if (found && !restart && found->arguments() == wanted) return false;
    if (found) TRY(found->stop());
    TRY(DaemonProcess::start(wanted));
    if (!running())
        return fail(ErrorCode::internal, "the DHCP server of the network did not stay up; see the server's log", "dnsmasq for " + bridge_);
    return true;
}

bool DhcpServer::running() const { return DaemonProcess::at(pid_file_, "--pid-file=" + pid_file_).has_value(); }

Result<void> DhcpServer::stop() {
    if (std::optional<DaemonProcess> found = DaemonProcess::find(pid_file_, "--pid-file=" + pid_file_)) TRY(found->stop());
    return remove_file(pid_file_);
}

void DhcpServer::reload() const {
    if (const std::optional<DaemonProcess> found = DaemonProcess::at(pid_file_, "--pid-file=" + pid_file_)) found->hang_up();
}

Result<void> DhcpServer::reserve(const PortSpec& port) const {
    std::string line = port.mac + "," + port.ip;
    if (!port.host_name.empty()) line += "," + port.host_name;
    return write_file(hosts_ + "/" + port.nic.text(), line + "\n");
}

Result<bool> DhcpServer::unreserve(const NicId& nic) const {
    const std::string path = hosts_ + "/" + nic.text();
    const bool there = ::access(path.c_str(), F_OK) == 0;
    TRY(remove_file(path));
    return there;
}

void DhcpServer::release(const std::string& gateway, const std::string& ip, const std::string& mac) const {
    std::array<unsigned char, 256> packet{};  // BOOTP header 236, cookie 4, options
    std::array<unsigned, 6> octets{};
    if (std::sscanf(mac.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x", &octets[0], &octets[1], &octets[2], &octets[3], &octets[4], &octets[5]) != 6) return;
    packet[0] = 1;  // request
    packet[1] = 1;  // Ethernet
    packet[2] = 6;
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(67);
    if (inet_pton(AF_INET, ip.c_str(), &packet[12]) != 1 || inet_pton(AF_INET, gateway.c_str(), &server.sin_addr) != 1) return;
    for (std::size_t i = 0; i < octets.size(); ++i) packet[28 + i] = static_cast<unsigned char>(octets[i]);
    const auto* id = reinterpret_cast<const unsigned char*>(&server.sin_addr.s_addr);
    const std::array<unsigned char, 14> options{0x63, 0x82, 0x53,  0x63,  53,    1,     7,
                                                54,   4,    id[0], id[1], id[2], id[3], 255};  // cookie, DHCPRELEASE, server id, end
    std::copy(options.begin(), options.end(), packet.begin() + 236);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bridge_.c_str(), static_cast<socklen_t>(bridge_.size()));
    // Lost or refused: the lease runs out by itself within the lease time.
    if (::sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&server), sizeof server) < 0) {
        telemetry::log_debug("the DHCP lease of {} was not released: {}", ip, std::generic_category().message(errno));
    }
    ::close(fd);
}

Result<void> DhcpServer::stop_all(const std::string& root) {
    for (DaemonProcess& process : DaemonProcess::all("--pid-file=" + root + "/")) TRY(process.stop());
    return {};
}

}  // namespace ramet::hypervisor

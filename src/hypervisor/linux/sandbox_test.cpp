#include "hypervisor/linux/sandbox_test.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ramet::hypervisor {

namespace {

constexpr std::size_t kVirtioHeaderBytes = 10;

int status_of(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

[[noreturn]] void leave(int status) {
    std::fflush(nullptr);
    ::_exit(status);
}

// The first process of the process namespace: when it ends, the kernel ends all others in it.
[[noreturn]] void run_inside(const std::function<void()>& body) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool mounted = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && ::mount("proc", "/proc", "proc", 0, nullptr) == 0 &&
                         ::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0;
    if (!mounted) std::perror("mount");
    if (!mounted) leave(2);
    run_program({"/usr/sbin/ip", "link", "set", "lo", "up"});
    body();
    leave(testing::Test::HasFailure() ? 1 : 0);
}

void put16(Bytes& bytes, std::uint16_t number) {
    bytes.push_back(static_cast<std::uint8_t>(number >> 8));
    bytes.push_back(static_cast<std::uint8_t>(number & 255));
}

void put(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

std::uint16_t checksum(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

std::string ip_text(const std::uint8_t* octets) {
    return std::to_string(octets[0]) + "." + std::to_string(octets[1]) + "." + std::to_string(octets[2]) + "." + std::to_string(octets[3]);
}

Bytes dhcp_option(const Bytes& frame, std::uint8_t code) {
    for (std::size_t at = 14 + 20 + 8 + 240; at + 1 < frame.size() && frame[at] != 255;) {
        if (frame[at] == 0) {
            ++at;
            continue;
        }
        const std::size_t length = frame[at + 1];
        if (at + 2 + length > frame.size()) break;
        if (frame[at] == code)
            return Bytes(frame.begin() + static_cast<std::ptrdiff_t>(at + 2), frame.begin() + static_cast<std::ptrdiff_t>(at + 2 + length));
        at += 2 + length;
    }
    return {};
}

}  // namespace

void in_sandbox(const std::function<void()>& body) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes network namespaces, taps and packet rules";
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID) != 0) leave(3);
        const pid_t first = ::fork();
        if (first == 0) run_inside(body);
        leave(status_of(first));
    }
    const int status = status_of(child);
    if (status == 3) GTEST_SKIP() << "needs namespaces, which this machine does not give";
    EXPECT_EQ(status, 0) << "the test's body failed in its namespaces; see above";
}

std::string output_of(const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
    const pid_t child = ::fork();
    if (child == 0) {
        std::vector<char*> argv;
        for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
        argv.push_back(nullptr);
        ::dup2(ends[1], 1);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t size = 0; (size = ::read(ends[0], part.data(), part.size())) > 0;) text.append(part.data(), static_cast<std::size_t>(size));
    ::close(ends[0]);
    EXPECT_EQ(status_of(child), 0) << arguments[0] << " " << (arguments.size() > 1 ? arguments[1] : "");
    return text;
}

void run_program(const std::vector<std::string>& arguments) { output_of(arguments); }

int start_outside(const std::function<std::string()>& body) {
    std::array<int, 2> ready{};
    std::array<int, 2> answer{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    EXPECT_EQ(::pipe(answer.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        char byte = 'r';
        if (::unshare(CLONE_NEWNET) != 0 || ::write(ready[1], &byte, 1) != 1) ::_exit(1);
        // The parent moves the device in and then closes its end.
        ::close(answer[0]);
        while (::if_nametoindex("inside") == 0) ::usleep(1000);
        run_program({"/usr/sbin/ip", "address", "add", "198.51.100.2/24", "dev", "inside"});
        run_program({"/usr/sbin/ip", "link", "set", "inside", "up"});
        const std::string text = body();
        ::_exit(::write(answer[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(answer[1]);
    ::close(ready[0]);
    ::close(ready[1]);
    run_program({"/usr/sbin/ip", "link", "add", "outside", "type", "veth", "peer", "name", "inside", "netns", std::to_string(child)});
    run_program({"/usr/sbin/ip", "address", "add", "198.51.100.1/24", "dev", "outside"});
    run_program({"/usr/sbin/ip", "link", "set", "outside", "up"});
    return answer[0];
}

Bytes mac_octets(const std::string& mac) {
    Bytes octets;
    for (std::size_t i = 0; i < 6; ++i) octets.push_back(static_cast<std::uint8_t>(std::stoul(mac.substr(i * 3, 2), nullptr, 16)));
    return octets;
}

Bytes ip_octets(const std::string& ip) {
    Bytes octets(4);
    EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), octets.data()), 1) << ip;
    return octets;
}

Bytes ethernet(const std::string& to, const std::string& from, std::uint16_t type, const Bytes& payload) {
    Bytes frame = mac_octets(to);
    put(frame, mac_octets(from));
    put16(frame, type);
    put(frame, payload);
    frame.resize(std::max<std::size_t>(frame.size(), 60));
    return frame;
}

Bytes arp_reply(const std::string& mac, const std::string& ip) {
    Bytes packet{0, 1, 8, 0, 6, 4, 0, 2};
    put(packet, mac_octets(mac));
    put(packet, ip_octets(ip));
    put(packet, mac_octets("ff:ff:ff:ff:ff:ff"));
    put(packet, ip_octets(ip));
    return packet;
}

Bytes udp(const std::string& from, std::uint16_t from_port, const std::string& to, std::uint16_t to_port, const Bytes& payload) {
    Bytes packet{0x45, 0};
    put16(packet, static_cast<std::uint16_t>(28 + payload.size()));
    put(packet, {0, 0, 0, 0, 64, 17, 0, 0});
    put(packet, ip_octets(from));
    put(packet, ip_octets(to));
    const std::uint16_t sum = checksum(packet);
    packet[10] = static_cast<std::uint8_t>(sum >> 8);
    packet[11] = static_cast<std::uint8_t>(sum & 255);
    put16(packet, from_port);
    put16(packet, to_port);
    put16(packet, static_cast<std::uint16_t>(8 + payload.size()));
    put16(packet, 0);  // no checksum
    put(packet, payload);
    return packet;
}

Bytes router_advertisement() {
    Bytes packet{0x60, 0, 0, 0, 0, 16, 58, 255};
    put(packet, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9});
    put(packet, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    put(packet, {134, 0, 0, 0, 64, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0});
    return packet;
}

Guest::Guest(const PortSpec& port) : port_(port) {
    fd_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    ifreq request{};
    port.tap.copy(request.ifr_name, sizeof request.ifr_name - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (::ioctl(fd_, TUNSETIFF, &request) == 0) return;
    ADD_FAILURE() << "cannot attach to " << port.tap << ": " << std::strerror(errno);
    ::close(fd_);
    fd_ = -1;
}

Guest::~Guest() {
    if (fd_ >= 0) ::close(fd_);
}

bool Guest::send(const Bytes& frame) {
    Bytes bytes(kVirtioHeaderBytes);
    put(bytes, frame);
    return ::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

std::optional<Bytes> Guest::receive(const std::function<bool(const Bytes&)>& wanted, std::chrono::milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
        pollfd waited{fd_, POLLIN, 0};
        if (left <= 0 || ::poll(&waited, 1, static_cast<int>(left)) <= 0) return std::nullopt;
        Bytes bytes(4096);
        const ssize_t size = ::read(fd_, bytes.data(), bytes.size());
        if (size <= static_cast<ssize_t>(kVirtioHeaderBytes)) return std::nullopt;
        Bytes frame(bytes.begin() + kVirtioHeaderBytes, bytes.begin() + size);
        if (wanted(frame)) return frame;
    }
}

Bytes Guest::dhcp(std::uint8_t type, const std::string& client_id, const std::string& wanted_ip, const std::string& server) const {
    Bytes packet{1, 1, 6, 0};
    put16(packet, static_cast<std::uint16_t>(transaction_ >> 16));
    put16(packet, static_cast<std::uint16_t>(transaction_ & 0xffff));
    put16(packet, 0);
    put16(packet, 0x8000);  // answer by broadcast
    packet.resize(28);
    put(packet, mac_octets(port_.mac));
    packet.resize(236);
    put(packet, {0x63, 0x82, 0x53, 0x63, 53, 1, type, 55, 5, 1, 3, 6, 12, 15});
    if (!client_id.empty()) {
        put(packet, {61, static_cast<std::uint8_t>(client_id.size())});
        put(packet, Bytes(client_id.begin(), client_id.end()));
    }
    if (!wanted_ip.empty()) {
        put(packet, {50, 4});
        put(packet, ip_octets(wanted_ip));
        put(packet, {54, 4});
        put(packet, ip_octets(server));
    }
    packet.push_back(255);
    return ethernet("ff:ff:ff:ff:ff:ff", port_.mac, 0x0800, udp("0.0.0.0", 68, "255.255.255.255", 67, packet));
}

std::optional<Bytes> Guest::dhcp_answer(std::uint8_t type, std::chrono::milliseconds deadline) {
    return receive(
        [&](const Bytes& frame) {
            if (frame.size() < 14 + 20 + 8 + 240 || frame[12] != 8 || frame[13] != 0 || frame[23] != 17 || frame[36] != 0 || frame[37] != 68)
                return false;
            std::uint32_t id = 0;
            std::memcpy(&id, &frame[46], sizeof id);
            const Bytes mac(frame.begin() + 70, frame.begin() + 76);  // answers are broadcast: others' come by
            return ntohl(id) == transaction_ && mac == mac_octets(port_.mac) && dhcp_option(frame, 53) == Bytes{type};
        },
        deadline);
}

std::optional<Lease> Guest::ask_for_lease(const std::string& client_id, std::chrono::milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    constexpr std::chrono::milliseconds kOneTry{300};
    while (std::chrono::steady_clock::now() < end) {
        ++transaction_;
        if (!send(dhcp(1, client_id, {}, {}))) return std::nullopt;
        const std::optional<Bytes> offer = dhcp_answer(2, kOneTry);
        if (!offer) continue;
        const Bytes server = dhcp_option(*offer, 54);
        if (server.size() != 4) return std::nullopt;
        send(dhcp(3, client_id, ip_text(&(*offer)[58]), ip_text(server.data())));
        const std::optional<Bytes> answer = dhcp_answer(5, kOneTry);
        if (!answer) continue;
        const Bytes router = dhcp_option(*answer, 3);
        const Bytes dns = dhcp_option(*answer, 6);
        const Bytes name = dhcp_option(*answer, 12);
        const Bytes domain = dhcp_option(*answer, 15);
        Lease lease{ip_text(&(*answer)[58]),
                    router.size() == 4 ? ip_text(router.data()) : "",
                    std::string(name.begin(), name.end()),
                    std::string(domain.begin(), domain.end()),
                    {}};
        for (std::size_t i = 0; i + 4 <= dns.size(); i += 4) lease.dns.push_back(ip_text(&dns[i]));
        return lease;
    }
    return std::nullopt;
}

Site::Site() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ramet-plumbing-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    ::chmod(pattern.c_str(), 0711);
    folder_ = pattern;
    reopen();
}

Site::~Site() {
    if (plumbing_ != nullptr) { EXPECT_TRUE(plumbing_->remove_all().has_value()); }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void Site::reopen() {
    OpenedPlumbing opened = open_plumbing_with_reason({folder_, 65534, 65534});
    EXPECT_TRUE(opened.plumbing->privileged()) << opened.reason;
    opened_ = std::move(opened.plumbing);
    plumbing_ = dynamic_cast<LinuxPlumbing*>(opened_.get());
    if (plumbing_ == nullptr) leave(1);
}

NetworkSpec make_network(const std::string& prefix) {
    NetworkSpec network;
    network.l3 = L3NetworkId::derived("l3", prefix);
    network.l2 = L2NetworkId::derived("l2", prefix);
    network.gateway = prefix + ".1";
    network.netmask = "255.255.255.0";
    network.network_cidr = prefix + ".0/24";
    network.dns = {"192.0.2.53"};
    network.dns_domain = "example.test";
    return network;
}

PortSpec make_port(const NetworkSpec& network, int number) {
    PortSpec port;
    port.nic = NicId::derived(network.l3.text(), std::to_string(number));
    port.l3 = network.l3;
    port.tap = "rt" + port.nic.text().substr(0, 12);
    std::array<char, 18> mac{};
    std::snprintf(mac.data(), mac.size(), "fa:00:00:00:%02x:%02x", static_cast<unsigned>(number >> 8 & 255), static_cast<unsigned>(number & 255));
    port.mac = mac.data();
    port.ip = network.gateway.substr(0, network.gateway.rfind('.') + 1) + std::to_string(number);
    port.host_name = "guest-" + std::to_string(number);
    return port;
}

}  // namespace ramet::hypervisor

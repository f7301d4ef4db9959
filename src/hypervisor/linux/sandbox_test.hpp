// What the plumbing's tests share: network, mount and process namespaces of their own, so that nothing touches the machine and
// every process ends with the test; and guests that read and write raw frames on a tap as QEMU does.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/linux/linux_plumbing.hpp"
#include "hypervisor/linux/plumbing.hpp"

namespace ramet::hypervisor {

using Bytes = std::vector<std::uint8_t>;

// Runs `body` in a child that is root of fresh namespaces; its failures fail the test. Skips visibly without root.
void in_sandbox(const std::function<void()>& body);
void run_program(const std::vector<std::string>& arguments);  // fails the test when it fails
std::string output_of(const std::vector<std::string>& arguments);

// Runs `body` in a child in a network namespace of its own, reached through the veth "outside" (198.51.100.1 here, .2 there).
// Returns the pipe end on which the child's one line of text arrives.
int start_outside(const std::function<std::string()>& body);

Bytes mac_octets(const std::string& mac);
Bytes ip_octets(const std::string& ip);
Bytes ethernet(const std::string& to, const std::string& from, std::uint16_t type, const Bytes& payload);
Bytes arp_reply(const std::string& mac, const std::string& ip);
Bytes udp(const std::string& from, std::uint16_t from_port, const std::string& to, std::uint16_t to_port, const Bytes& payload);
Bytes router_advertisement();

struct Lease {
    std::string ip, router, host_name, domain;
    std::vector<std::string> dns;
};

class Guest {
public:
    explicit Guest(const PortSpec& port);
    ~Guest();
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    bool attached() const { return fd_ >= 0; }
    bool send(const Bytes& frame);  // false: the tap is down or gone
    // The next frame that `wanted` accepts, or nothing within the deadline.
    std::optional<Bytes> receive(const std::function<bool(const Bytes&)>& wanted, std::chrono::milliseconds deadline);
    // A whole DHCP exchange; an empty client id sends none. Asks again until the deadline.
    std::optional<Lease> ask_for_lease(const std::string& client_id, std::chrono::milliseconds deadline = std::chrono::seconds(5));

private:
    Bytes dhcp(std::uint8_t type, const std::string& client_id, const std::string& wanted_ip, const std::string& server) const;
    std::optional<Bytes> dhcp_answer(std::uint8_t type, std::chrono::milliseconds deadline);
    PortSpec port_;
    int fd_ = -1;
    std::uint32_t transaction_ = 0;
};

// A private data folder with the plumbing on it, torn down at the end.
class Site {
public:
    Site();
    ~Site();
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;
    void reopen();  // as after a restart of the server
    LinuxPlumbing& plumbing() { return *plumbing_; }
    const std::string& folder() const { return folder_; }

private:
    std::string folder_;
    std::unique_ptr<Plumbing> opened_;
    LinuxPlumbing* plumbing_ = nullptr;
};

NetworkSpec make_network(const std::string& prefix = "10.61.0");  // a /24 with its gateway at .1
PortSpec make_port(const NetworkSpec& network, int number);       // MAC, IP and host name from the number

}  // namespace ramet::hypervisor

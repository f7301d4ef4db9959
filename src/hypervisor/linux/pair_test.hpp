// Two guests on one network, and what the tests look at on the host.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/linux/netlink.hpp"
#include "hypervisor/linux/sandbox_test.hpp"

namespace ramet::hypervisor {

inline constexpr std::chrono::seconds kPatience{5};
inline const std::string kEverybody = "ff:ff:ff:ff:ff:ff";

#define EXPECT_DONE(expression)                                                                                                               \
    do {                                                                                                                                      \
        const auto done = (expression);                                                                                                       \
        EXPECT_TRUE(done.has_value()) << #expression << ": " << (done.has_value() ? "" : done.error().message + " / " + done.error().detail); \
    } while (false)

inline bool has_payload(const Bytes& frame, const Bytes& payload) {
    return std::search(frame.begin(), frame.end(), payload.begin(), payload.end()) != frame.end();
}

// What the kernel and the process table show: links, rules, helpers.
inline std::string state_of_the_host() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {}  // this process is the namespace's init: ended helpers are its to bury
    std::string text = output_of({"/usr/sbin/ip", "-o", "-4", "address"}) + output_of({"/usr/sbin/nft", "list", "ruleset"});
    Result<Netlink> netlink = Netlink::open();
    const std::vector<Link> links = netlink->list().value();
    for (const Link& link : links) text += link.kind + " " + link.name + "\n";
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream command(entry.path() / "comm");
        std::string name;
        if (std::getline(command, name) && name == "dnsmasq") text += "dnsmasq " + entry.path().filename().native() + "\n";
    }
    return text;
}

inline std::string dnsmasq_pid(const Site& site) {
    for (const auto& entry : std::filesystem::directory_iterator(site.folder() + "/network/bridges")) {
        std::ifstream file(entry.path() / "dnsmasq.pid");
        std::string pid;
        if (std::getline(file, pid)) return pid;
    }
    return {};
}

inline std::string mac_of(const std::string& link) {
    Result<Netlink> netlink = Netlink::open();
    const Result<std::optional<Link>> found = netlink->find(link);
    return found.has_value() && found->has_value() ? (*found)->mac : std::string();
}

inline std::string bridge_of(const Site& site) {
    return std::filesystem::directory_iterator(site.folder() + "/network/bridges")->path().filename().native();
}

// Two guests on one network.
struct Pair {
    Site site;
    NetworkSpec network = make_network();
    PortSpec alice_port = make_port(network, 10);
    PortSpec bob_port = make_port(network, 11);
    std::optional<Guest> alice, bob;
    Pair() {
        EXPECT_DONE(site.plumbing().ensure_network(network));
        EXPECT_DONE(site.plumbing().plug(alice_port));
        EXPECT_DONE(site.plumbing().plug(bob_port));
        alice.emplace(alice_port);
        bob.emplace(bob_port);
        wait_until_connected();
    }
    // A port carries frames a moment after a process has opened its tap.
    void wait_until_connected() {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        const auto heard = [&](const Bytes& frame) { return has_payload(frame, {'h', 'e', 'l', 'l', 'o'}); };
        const Bytes hello = ethernet(bob_port.mac, alice_port.mac, 0x0800, packet("hello"));
        while (alice->send(hello) && !bob->receive(heard, std::chrono::milliseconds(10)) && std::chrono::steady_clock::now() < end) {}
        while (bob->receive(heard, std::chrono::milliseconds(10))) {}
    }
    Bytes packet(const std::string& marker) const { return udp(alice_port.ip, 5000, bob_port.ip, 5000, Bytes(marker.begin(), marker.end())); }
    // Alice sends `frame`, then a good one; true if Bob saw the first. Frames of one tap keep their order.
    bool gets_through(const Bytes& frame) {
        EXPECT_TRUE(alice->send(frame));
        EXPECT_TRUE(alice->send(ethernet(bob_port.mac, alice_port.mac, 0x0800, packet("the end"))));
        bool seen = false;
        const Bytes end{'t', 'h', 'e', ' ', 'e', 'n', 'd'};
        const std::optional<Bytes> last = bob->receive(
            [&](const Bytes& got) {
                // The bridge takes the padding off.
                if (got.size() <= frame.size() && std::equal(got.begin(), got.end(), frame.begin())) seen = true;
                return has_payload(got, end);
            },
            kPatience);
        EXPECT_TRUE(last.has_value()) << "the good frame did not arrive";
        return seen;
    }
    std::int64_t dropped(const std::string& counter) { return site.plumbing().rules().dropped(counter).value_or(-1); }
};

}  // namespace ramet::hypervisor

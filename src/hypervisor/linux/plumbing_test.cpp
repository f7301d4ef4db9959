#include "hypervisor/linux/plumbing.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "hypervisor/linux/pair_test.hpp"

namespace ramet::hypervisor {

TEST(LinuxPlumbing, GivesEachNicItsReservedAddressAndHostName) {
    in_sandbox([] {
        Pair pair;
        const std::optional<Lease> lease = pair.alice->ask_for_lease("");
        ASSERT_TRUE(lease.has_value());
        EXPECT_EQ(lease->ip, pair.alice_port.ip);
        EXPECT_EQ(lease->router, pair.network.gateway);
        EXPECT_EQ(lease->host_name, pair.alice_port.host_name);
        EXPECT_EQ(lease->domain, "example.test");
        EXPECT_EQ(lease->dns, std::vector<std::string>{"192.0.2.53"});
    });
}

TEST(LinuxPlumbing, OnlyANicWithTheDefaultRouteIsToldOfARouter) {
    in_sandbox([] {
        Pair pair;
        const auto router_of_alice = [&] {
            const std::optional<Lease> lease = pair.alice->ask_for_lease("");
            EXPECT_TRUE(lease.has_value());
            EXPECT_EQ(lease ? lease->ip : "", pair.alice_port.ip);
            return lease ? lease->router : "no lease";
        };
        pair.alice_port.default_route = false;
        EXPECT_DONE(pair.site.plumbing().plug(pair.alice_port));
        EXPECT_EQ(router_of_alice(), "");
        const std::optional<Lease> bob = pair.bob->ask_for_lease("");  // on the same network
        ASSERT_TRUE(bob.has_value());
        EXPECT_EQ(bob->router, pair.network.gateway);
        pair.alice_port.default_route = true;
        EXPECT_DONE(pair.site.plumbing().plug(pair.alice_port));
        EXPECT_EQ(router_of_alice(), pair.network.gateway);
    });
}

TEST(LinuxPlumbing, GivesClonesThatSendTheSameClientIdTheirOwnAddresses) {
    in_sandbox([] {
        Pair pair;
        for (int round = 0; round < 2; ++round) {
            const std::optional<Lease> first = pair.alice->ask_for_lease("the same machine-id");
            const std::optional<Lease> second = pair.bob->ask_for_lease("the same machine-id");
            ASSERT_TRUE(first.has_value() && second.has_value());
            EXPECT_EQ(first->ip, pair.alice_port.ip);
            EXPECT_EQ(second->ip, pair.bob_port.ip);
        }
    });
}

TEST(LinuxPlumbing, DropsWhatAGuestMayNotSend) {
    in_sandbox([] {
        Pair pair;
        const std::string& mac = pair.alice_port.mac;
        const std::string& ip = pair.alice_port.ip;
        const Bytes hello{'h', 'e', 'l', 'l', 'o'};
        struct Case {
            const char* name;
            const char* counter;
            Bytes frame;
        };
        Bytes tagged = ethernet(pair.bob_port.mac, mac, 0x8100, {});
        tagged.resize(14);
        const Bytes vlan_five_then_ipv4{0, 5, 8, 0};
        tagged.insert(tagged.end(), vlan_five_then_ipv4.begin(), vlan_five_then_ipv4.end());
        const Bytes inner = udp("10.61.0.99", 1, pair.bob_port.ip, 2, hello);
        tagged.insert(tagged.end(), inner.begin(), inner.end());
        const std::vector<Case> cases{
            {"another MAC", "spoofed_mac", ethernet(pair.bob_port.mac, "fa:00:00:00:00:99", 0x0800, pair.packet("hello"))},
            {"another IP", "spoofed_ip", ethernet(pair.bob_port.mac, mac, 0x0800, udp("10.61.0.99", 1, pair.bob_port.ip, 2, hello))},
            {"the gateway's IP", "spoofed_ip", ethernet(pair.bob_port.mac, mac, 0x0800, udp("10.61.0.1", 1, pair.bob_port.ip, 2, hello))},
            {"ARP for the gateway", "spoofed_arp", ethernet(kEverybody, mac, 0x0806, arp_reply(mac, "10.61.0.1"))},
            {"ARP for another MAC", "spoofed_arp", ethernet(kEverybody, mac, 0x0806, arp_reply("fa:00:00:00:00:99", ip))},
            {"a DHCP answer", "dhcp_server", ethernet(kEverybody, mac, 0x0800, udp(ip, 67, "255.255.255.255", 68, hello))},
            {"a DHCP answer from another port", "dhcp_server", ethernet(kEverybody, mac, 0x0800, udp(ip, 1067, "255.255.255.255", 68, hello))},
            {"a router advertisement", "router_advert", ethernet(kEverybody, mac, 0x86dd, router_advertisement())},
            {"a VLAN tag around a false IP", "odd_protocol", tagged},
        };
        for (const Case& each : cases) {
            const std::int64_t before = pair.dropped(each.counter);
            EXPECT_FALSE(pair.gets_through(each.frame)) << each.name;
            EXPECT_EQ(pair.dropped(each.counter), before + 1) << each.name;
        }
        EXPECT_TRUE(pair.gets_through(ethernet(pair.bob_port.mac, mac, 0x0800, pair.packet("hello"))));
        EXPECT_TRUE(pair.gets_through(ethernet(kEverybody, mac, 0x0806, arp_reply(mac, ip))));
        EXPECT_TRUE(pair.gets_through(ethernet(kEverybody, mac, 0x0806, arp_reply(mac, "0.0.0.0")))) << "an ARP probe";
    });
}

TEST(LinuxPlumbing, WithoutAnIpOnlyTheMacIsEnforced) {
    in_sandbox([] {
        Pair pair;
        PortSpec loose = pair.alice_port;
        loose.ip.clear();
        EXPECT_DONE(pair.site.plumbing().unplug(pair.alice_port));
        pair.alice.reset();
        EXPECT_DONE(pair.site.plumbing().plug(loose));
        pair.alice.emplace(loose);
        pair.wait_until_connected();
        const Bytes any_ip = udp("10.61.0.99", 1, pair.bob_port.ip, 2, {1, 2, 3});
        EXPECT_TRUE(pair.gets_through(ethernet(pair.bob_port.mac, loose.mac, 0x0800, any_ip)));
        EXPECT_FALSE(pair.gets_through(ethernet(pair.bob_port.mac, "fa:00:00:00:00:99", 0x0800, any_ip)));
    });
}

TEST(LinuxPlumbing, MasqueradesWhatLeavesTheNetwork) {
    in_sandbox([] {
        Pair pair;
        const int line = start_outside([]() -> std::string {
            const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
            sockaddr_in any{};
            any.sin_family = AF_INET;
            any.sin_port = htons(7000);
            if (::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) return "bind failed";
            std::array<char, 100> data{};
            sockaddr_in from{};
            socklen_t length = sizeof from;
            pollfd waited{fd, POLLIN, 0};
            if (::poll(&waited, 1, 8000) <= 0) return "nothing came";
            if (::recvfrom(fd, data.data(), data.size(), 0, reinterpret_cast<sockaddr*>(&from), &length) <= 0) return "nothing came";
            ::sendto(fd, "pong", 4, 0, reinterpret_cast<const sockaddr*>(&from), length);
            return ::inet_ntoa(from.sin_addr);
        });
        const std::string gateway_mac = mac_of(bridge_of(pair.site));
        const Bytes pong{'p', 'o', 'n', 'g'};
        std::optional<Bytes> answer;
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!answer && std::chrono::steady_clock::now() < end) {  // the other side may not listen yet; it also has to learn our MAC
            pair.alice->send(ethernet(kEverybody, pair.alice_port.mac, 0x0806, arp_reply(pair.alice_port.mac, pair.alice_port.ip)));
            pair.alice->send(
                ethernet(gateway_mac, pair.alice_port.mac, 0x0800, udp(pair.alice_port.ip, 5000, "198.51.100.2", 7000, {'p', 'i', 'n', 'g'})));
            answer = pair.alice->receive(
                [&](const Bytes& frame) {
                    if (frame[12] == 8 && frame[13] == 6 && frame[21] == 1) {  // the host asks for our MAC
                        Bytes reply = arp_reply(pair.alice_port.mac, pair.alice_port.ip);
                        std::copy(frame.begin() + 22, frame.begin() + 32, reply.begin() + 18);
                        pair.alice->send(ethernet(gateway_mac, pair.alice_port.mac, 0x0806, reply));
                    }
                    return has_payload(frame, pong);
                },
                std::chrono::milliseconds(300));
        }
        EXPECT_TRUE(answer.has_value()) << "no answer came back through the NAT";
        std::array<char, 100> text{};
        const ssize_t size = ::read(line, text.data(), text.size());
        EXPECT_EQ(std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0), "198.51.100.1");
        ::close(line);
    });
}

TEST(LinuxPlumbing, HearsWhetherAGuestAnswersOnItsAddress) {
    in_sandbox([] {
        Pair pair;
        const std::string gateway_mac = mac_of(bridge_of(pair.site));
        EXPECT_FALSE(pair.site.plumbing().answers(pair.alice_port).value());
        bool answers = false;
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!answers && std::chrono::steady_clock::now() < end) {
            answers = pair.site.plumbing().answers(pair.alice_port).value();
            const std::optional<Bytes> question = pair.alice->receive(
                [](const Bytes& frame) { return frame[12] == 8 && frame[13] == 6 && frame[21] == 1; }, std::chrono::milliseconds(100));
            if (!question) continue;
            Bytes reply = arp_reply(pair.alice_port.mac, pair.alice_port.ip);
            std::copy(question->begin() + 22, question->begin() + 32, reply.begin() + 18);
            pair.alice->send(ethernet(gateway_mac, pair.alice_port.mac, 0x0806, reply));
        }
        EXPECT_TRUE(answers);
        PortSpec another = pair.alice_port;
        another.mac = pair.bob_port.mac;  // the address was another guest's before
        EXPECT_FALSE(pair.site.plumbing().answers(another).value());
        EXPECT_FALSE(pair.site.plumbing().answers(pair.bob_port).value());
    });
}

TEST(LinuxPlumbing, ADisabledPortCarriesNothing) {
    in_sandbox([] {
        Pair pair;
        const Bytes frame = ethernet(pair.bob_port.mac, pair.alice_port.mac, 0x0800, pair.packet("hello"));
        EXPECT_DONE(pair.site.plumbing().set_port(pair.alice_port.tap, false));
        EXPECT_FALSE(pair.alice->send(frame));
        EXPECT_DONE(pair.site.plumbing().set_port(pair.alice_port.tap, true));
        pair.wait_until_connected();
        EXPECT_TRUE(pair.gets_through(frame));
        PortSpec off = make_port(pair.network, 12);
        off.enabled = false;
        EXPECT_DONE(pair.site.plumbing().plug(off));
        EXPECT_FALSE(Guest(off).send(frame));
        EXPECT_EQ(pair.site.plumbing().set_port("rtabsent", true).error().code, ErrorCode::not_found);
    });
}

TEST(LinuxPlumbing, AnExistingBridgeIsUsedAsItIs) {
    in_sandbox([] {
        Site site;
        run_program({"/usr/sbin/ip", "link", "add", "lan0", "type", "bridge"});
        run_program({"/usr/sbin/ip", "link", "set", "lan0", "up"});
        NetworkSpec network = make_network();
        network.physical_interface = "lan0";
        EXPECT_DONE(site.plumbing().ensure_network(network));
        const PortSpec port = make_port(network, 10);
        EXPECT_DONE(site.plumbing().plug(port));
        const std::string state = state_of_the_host();
        EXPECT_EQ(state.find("10.61.0.1/24"), std::string::npos);
        EXPECT_EQ(state.find("dnsmasq"), std::string::npos);
        EXPECT_EQ(state.find("masquerade"), std::string::npos);
        EXPECT_NE(output_of({"/usr/sbin/ip", "link", "show", "master", "lan0"}).find(port.tap), std::string::npos);
        EXPECT_DONE(site.plumbing().unplug(port));
        EXPECT_DONE(site.plumbing().remove_network(network.l3));
        EXPECT_DONE(site.plumbing().remove_all());
        EXPECT_NE(::if_nametoindex("lan0"), 0U) << "not ours to remove";
    });
}

TEST(LinuxPlumbing, PlugsWithinMilliseconds) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        EXPECT_DONE(site.plumbing().ensure_network(network));
        std::vector<double> plugs;
        std::vector<double> unplugs;
        const auto timed = [](std::vector<double>& times, const std::function<void()>& work) {
            const auto start = std::chrono::steady_clock::now();
            work();
            times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        };
        for (int i = 2; i < 52; ++i) timed(plugs, [&] { EXPECT_DONE(site.plumbing().plug(make_port(network, i))); });
        for (int i = 2; i < 52; ++i) timed(unplugs, [&] { EXPECT_DONE(site.plumbing().unplug(make_port(network, i))); });
        std::sort(plugs.begin(), plugs.end());
        std::sort(unplugs.begin(), unplugs.end());
        std::printf("plug: median %.2f ms, slowest %.2f ms; unplug: median %.2f ms, slowest %.2f ms\n", plugs[25], plugs.back(), unplugs[25],
                    unplugs.back());
        EXPECT_LT(plugs[25], 20) << "the aim is 3 ms on an idle machine; this bound leaves room for sanitizers and a busy one";
    });
}

TEST(LinuxPlumbing, LimitsWhatAPortSendsAndReceivesUntilTheLimitIsTakenBack) {
    in_sandbox([] {
        Pair pair;
        Plumbing& plumbing = pair.site.plumbing();
        const std::int64_t frames = 200;
        const Bytes frame = ethernet(pair.bob_port.mac, pair.alice_port.mac, 0x0800, pair.packet(std::string(1400, 'x')));
        const auto dropped_of_a_burst = [&](const char* counter) {
            const std::int64_t before = pair.dropped(counter);
            for (std::int64_t i = 0; i < frames; ++i) EXPECT_TRUE(pair.alice->send(frame));
            return pair.dropped(counter) - before;
        };
        const std::int64_t slow = 80'000;  // 10 kB/s: of 280 kB at once little more than the burst of 64 KiB may pass
        PortSpec sender = pair.alice_port, receiver = pair.bob_port;
        sender.sent_bits_max = slow;
        EXPECT_DONE(plumbing.plug(sender));
        EXPECT_DONE(plumbing.plug(sender));
        EXPECT_GT(dropped_of_a_burst("sent_too_fast"), frames / 2);
        EXPECT_DONE(plumbing.plug(pair.alice_port));
        EXPECT_EQ(dropped_of_a_burst("sent_too_fast"), 0);
        receiver.received_bits_max = slow;
        EXPECT_DONE(plumbing.plug(receiver));
        EXPECT_GT(dropped_of_a_burst("received_too_fast"), frames / 2);
        pair.site.reopen();
        EXPECT_DONE(pair.site.plumbing().ensure_network(pair.network));  // builds the rules anew from the files
        EXPECT_GT(dropped_of_a_burst("received_too_fast"), frames / 2);
        EXPECT_DONE(pair.site.plumbing().unplug(receiver));
        EXPECT_EQ(output_of({"/usr/sbin/nft", "list", "limits"}).find(receiver.tap), std::string::npos);
    });
}

TEST(LinuxPlumbing, ATapOfSeveralQueuesIsOpenedOncePerQueue) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        PortSpec port = make_port(network, 10);
        port.queues = 3;
        EXPECT_DONE(site.plumbing().ensure_network(network));
        EXPECT_DONE(site.plumbing().plug(port));
        EXPECT_DONE(site.plumbing().plug(port));
        EXPECT_NE(output_of({"/usr/sbin/ip", "-d", "link", "show", port.tap}).find(" multi_queue "), std::string::npos);
        EXPECT_DONE(site.plumbing().unplug(port));
    });
}

TEST(LinuxPlumbing, RefusesTextThatCouldBeReadAsRulesOrOptions) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        EXPECT_DONE(site.plumbing().ensure_network(network));
        const auto refused = [&](const std::function<void(PortSpec&)>& spoil) {
            PortSpec port = make_port(network, 10);
            spoil(port);
            const Result<void> done = site.plumbing().plug(port);
            return !done.has_value() && done.error().code == ErrorCode::invalid_argument;
        };
        EXPECT_TRUE(refused([](PortSpec& port) { port.tap = "a\" }; flush ruleset"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.tap = "../../etc"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.tap = "sixteencharacter"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.mac = "FA:00:00:00:00:0A"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.ip = "10.61.0.10,10.61.0.11"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.host_name = "a\n00:00:00:00:00:01,10.61.0.1"; }));
        EXPECT_TRUE(refused([](PortSpec& port) { port.nic = NicId::trusted("../x"); }));
        NetworkSpec spoiled = network;
        spoiled.dns = {"1.2.3.4,--dhcp-script=/bin/sh"};
        EXPECT_EQ(site.plumbing().ensure_network(spoiled).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(site.plumbing()
                      .plug([&] {
                          PortSpec port = make_port(network, 10);
                          port.l3 = L3NetworkId::random();
                          return port;
                      }())
                      .error()
                      .code,
                  ErrorCode::not_found);
    });
}

TEST(LinuxPlumbing, WithoutPrivilegesDoesNothingAndSaysWhy) {
    in_sandbox([] {
        const std::string before = state_of_the_host();
        ASSERT_EQ(::setresuid(65534, 65534, 65534), 0);
        const OpenedPlumbing opened = open_plumbing_with_reason({"/nonexistent", 65534, 65534});
        EXPECT_FALSE(opened.plumbing->privileged());
        EXPECT_NE(opened.reason.find("CAP_NET_ADMIN"), std::string::npos) << opened.reason;
        const NetworkSpec network = make_network();
        EXPECT_DONE(opened.plumbing->ensure_network(network));
        EXPECT_DONE(opened.plumbing->plug(make_port(network, 10)));
        EXPECT_DONE(opened.plumbing->remove_all());
        EXPECT_TRUE(opened.plumbing->taps().value().empty());
    });
}

}  // namespace ramet::hypervisor

// What is left, what is found again and what is made again: unplugging, teardown, restarts and damage.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "hypervisor/linux/pair_test.hpp"
#include "hypervisor/linux/plumbing.hpp"

namespace ramet::hypervisor {

TEST(LinuxPlumbing, UnplugLeavesNothingOfThePort) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        EXPECT_DONE(site.plumbing().ensure_network(network));
        const std::string before = state_of_the_host();
        const PortSpec port = make_port(network, 10);
        EXPECT_DONE(site.plumbing().plug(port));
        EXPECT_EQ(site.plumbing().taps().value(), std::vector<std::string>{port.tap});
        {
            Guest guest(port);
            EXPECT_TRUE(guest.ask_for_lease("").has_value());
            EXPECT_DONE(site.plumbing().unplug(port));  // while a process still has it open
        }
        EXPECT_DONE(site.plumbing().unplug(port));
        EXPECT_EQ(state_of_the_host(), before);
        EXPECT_TRUE(site.plumbing().taps().value().empty());
        for (const auto& entry : std::filesystem::recursive_directory_iterator(site.folder())) {
            EXPECT_EQ(entry.path().native().find(port.nic.text()), std::string::npos) << entry.path();
            EXPECT_NE(entry.path().filename(), port.tap);
        }
    });
}

TEST(LinuxPlumbing, AReleasedAddressIsLeasedToItsNextOwnerAtOnce) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        EXPECT_DONE(site.plumbing().ensure_network(network));
        const PortSpec first = make_port(network, 10);
        EXPECT_DONE(site.plumbing().plug(first));
        EXPECT_TRUE(Guest(first).ask_for_lease("").has_value());
        EXPECT_DONE(site.plumbing().unplug(first));
        PortSpec second = make_port(network, 12);
        second.ip = first.ip;
        EXPECT_DONE(site.plumbing().plug(second));
        const std::optional<Lease> lease = Guest(second).ask_for_lease("");
        ASSERT_TRUE(lease.has_value());
        EXPECT_EQ(lease->ip, first.ip);
        EXPECT_EQ(lease->host_name, second.host_name);
    });
}

TEST(LinuxPlumbing, AMacThatComesBackWithAnotherAddressGetsThatOne) {
    in_sandbox([] {
        Site site;
        const NetworkSpec network = make_network();
        EXPECT_DONE(site.plumbing().ensure_network(network));
        PortSpec port = make_port(network, 10);
        EXPECT_DONE(site.plumbing().plug(port));
        EXPECT_TRUE(Guest(port).ask_for_lease("").has_value());
        for (const bool unplugged : {true, false}) {
            if (unplugged) EXPECT_DONE(site.plumbing().unplug(port));
            port.ip = unplugged ? "10.61.0.77" : "10.61.0.78";
            EXPECT_DONE(site.plumbing().plug(port));
            Guest guest(port);
            std::optional<Lease> lease;
            const auto end = std::chrono::steady_clock::now() + kPatience;
            do lease = guest.ask_for_lease("");
            while ((!lease || lease->ip != port.ip) && std::chrono::steady_clock::now() < end);
            ASSERT_TRUE(lease.has_value());
            EXPECT_EQ(lease->ip, port.ip);
        }
        const std::string rules = output_of({"/usr/sbin/nft", "list", "ruleset"});
        EXPECT_EQ(rules.find("10.61.0.77"), std::string::npos) << "the earlier address is still allowed";
    });
}

TEST(LinuxPlumbing, RemoveAllLeavesTheHostAsBefore) {
    in_sandbox([] {
        Site site;
        const std::string before = state_of_the_host();
        for (const char* prefix : {"10.61.0", "10.62.0"}) {
            const NetworkSpec network = make_network(prefix);
            EXPECT_DONE(site.plumbing().ensure_network(network));
            for (int i = 10; i < 13; ++i) EXPECT_DONE(site.plumbing().plug(make_port(network, i)));
        }
        EXPECT_NE(state_of_the_host(), before);
        // Even when the files are lost, what bears our mark is found.
        std::filesystem::remove_all(site.folder() + "/network/ports");
        std::filesystem::remove_all(site.folder() + "/network/networks");
        site.reopen();
        EXPECT_DONE(site.plumbing().remove_all());
        EXPECT_EQ(state_of_the_host(), before);
        EXPECT_FALSE(std::filesystem::exists(site.folder() + "/network"));
        EXPECT_DONE(site.plumbing().remove_all());
    });
}

TEST(LinuxPlumbing, RemovingTheLastNetworkOfABridgeRemovesTheBridge) {
    in_sandbox([] {
        Site site;
        const std::string before = state_of_the_host();
        NetworkSpec first = make_network("10.61.0");
        NetworkSpec second = make_network("10.62.0");
        second.l2 = first.l2;
        EXPECT_DONE(site.plumbing().ensure_network(first));
        EXPECT_DONE(site.plumbing().ensure_network(second));
        const PortSpec port = make_port(second, 10);
        EXPECT_DONE(site.plumbing().plug(port));
        EXPECT_EQ(Guest(port).ask_for_lease("").value_or(Lease{}).router, "10.62.0.1");
        EXPECT_DONE(site.plumbing().remove_network(first.l3));
        EXPECT_EQ(Guest(port).ask_for_lease("").value_or(Lease{}).ip, port.ip) << "the other network of the bridge still works";
        EXPECT_DONE(site.plumbing().unplug(port));
        EXPECT_DONE(site.plumbing().remove_network(second.l3));
        EXPECT_DONE(site.plumbing().remove_network(second.l3));
        EXPECT_EQ(output_of({"/usr/sbin/ip", "-o", "-br", "link"}).find("rb"), std::string::npos);
        EXPECT_EQ(state_of_the_host().find("dnsmasq"), std::string::npos);
    });
}

TEST(LinuxPlumbing, TwoDataDirectoriesLiveSideBySide) {
    in_sandbox([] {
        Site one;
        Site two;
        NetworkSpec first = make_network("10.61.0");
        NetworkSpec second = make_network("10.62.0");
        second.l2 = first.l2;  // the same uuids, as after a copied database
        EXPECT_DONE(one.plumbing().ensure_network(first));
        EXPECT_DONE(two.plumbing().ensure_network(second));
        const PortSpec port_one = make_port(first, 10);
        const PortSpec port_two = make_port(second, 10);
        EXPECT_DONE(one.plumbing().plug(port_one));
        EXPECT_DONE(two.plumbing().plug(port_two));
        EXPECT_EQ(one.plumbing().taps().value(), std::vector<std::string>{port_one.tap});
        EXPECT_EQ(Guest(port_one).ask_for_lease("").value_or(Lease{}).ip, port_one.ip);
        EXPECT_FALSE(two.plumbing()
                         .plug([&] {
                             PortSpec theirs = port_one;
                             theirs.l3 = second.l3;
                             return theirs;
                         }())
                         .has_value());
        EXPECT_DONE(one.plumbing().remove_all());
        EXPECT_EQ(Guest(port_two).ask_for_lease("").value_or(Lease{}).ip, port_two.ip);
        EXPECT_EQ(two.plumbing().taps().value(), std::vector<std::string>{port_two.tap});
    });
}

TEST(LinuxPlumbing, ARestartedServerTakesUpWhatRuns) {
    in_sandbox([] {
        Pair pair;
        const std::string before = state_of_the_host();
        const std::string pid = dnsmasq_pid(pair.site);
        pair.site.reopen();
        EXPECT_DONE(pair.site.plumbing().ensure_network(pair.network));
        EXPECT_DONE(pair.site.plumbing().plug(pair.alice_port));  // its tap is in use by the guest
        EXPECT_EQ(dnsmasq_pid(pair.site), pid);
        EXPECT_EQ(state_of_the_host(), before);
        EXPECT_EQ(pair.alice->ask_for_lease("").value_or(Lease{}).ip, pair.alice_port.ip);
    });
}

TEST(LinuxPlumbing, WhatOthersBrokeIsMadeAgainByTheNextPlug) {
    in_sandbox([] {
        Pair pair;
        const std::string pid = dnsmasq_pid(pair.site);
        ASSERT_EQ(::kill(std::stoi(pid), SIGKILL), 0);
        run_program({"/usr/sbin/nft", "flush", "ruleset"});
        const PortSpec late = make_port(pair.network, 12);
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (::kill(std::stoi(pid), 0) == 0 && ::access(("/proc/" + pid + "/exe").c_str(), F_OK) == 0 && std::chrono::steady_clock::now() < end)
            ::usleep(1000);
        EXPECT_DONE(pair.site.plumbing().plug(late));
        EXPECT_NE(dnsmasq_pid(pair.site), pid);
        EXPECT_EQ(Guest(late).ask_for_lease("").value_or(Lease{}).ip, late.ip);
        EXPECT_FALSE(pair.gets_through(ethernet(pair.bob_port.mac, "fa:00:00:00:00:99", 0x0800, pair.packet("hello"))));
        // A bridge that is gone comes back with its DHCP server; plugging again reattaches a NIC.
        run_program({"/usr/sbin/ip", "link", "delete", bridge_of(pair.site)});
        EXPECT_DONE(pair.site.plumbing().plug(pair.alice_port));
        EXPECT_EQ(pair.alice->ask_for_lease("").value_or(Lease{}).ip, pair.alice_port.ip);
    });
}

}  // namespace ramet::hypervisor

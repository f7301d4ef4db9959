#include "lifecycle/identity_report.hpp"

#include <gtest/gtest.h>

#include "hypervisor/machine_identity.hpp"

namespace ramet::lifecycle {
namespace {

using api::FactState;

VmRows vm(const std::string& name) {
    VmRows rows;
    rows.vm.uuid = VmId::random();
    rows.vm.name = name;
    rows.vm.state = VmState::running;
    rows.vm.identity_state = IdentityState::pending;
    rows.host_name = name;
    VmNic nic;
    nic.mac = "fa:00:00:00:00:0" + std::to_string(name.size());
    nic.ip = "10.0.0." + std::to_string(name.size());
    rows.nics.push_back(nic);
    return rows;
}

VmRows clone_of(const VmRows& source, const std::string& name, IdentityMode mode = IdentityMode::reset) {
    VmRows rows = vm(name);
    rows.identity = identity_of_clone(source, rows.vm.uuid, mode);
    if (rows.identity->host_name) rows.host_name = *rows.identity->host_name;
    return rows;
}

void see(VmRows& rows, std::vector<api::IdentityFact> facts) {
    if (!rows.identity) {
        rows.identity.emplace();
        rows.identity->instance_id = rows.vm.uuid.text();
    }
    rows.identity->facts = guest::to_texts(facts);
    rows.vm.identity_state = IdentityState::own;
}

api::IdentityFact seen(std::string identifier, std::string value, std::string means = "agent") {
    return {std::move(identifier), std::nullopt, std::move(value), FactState::fresh, std::move(means), std::nullopt};
}

api::IdentityFact fact(const VmRows& rows, std::string_view identifier) {
    const api::VmIdentityReport report = identity_report(rows);
    const api::IdentityFact* found = guest::find_fact(report.facts, identifier);
    return found == nullptr ? api::IdentityFact{} : *found;
}

}  // namespace

TEST(IdentityReport, WhatIsInTheGuestIsPendingUntilItIsSeenThere) {
    const VmRows clone = clone_of(vm("web"), "clone");
    EXPECT_EQ(fact(clone, "uuid").state, FactState::fresh);
    EXPECT_EQ(fact(clone, "smbios-uuid").state, FactState::fresh);
    for (const char* identifier : {"instance-id", "host-name", "machine-id", "dhcp-duid", "ip.0"}) {
        EXPECT_EQ(fact(clone, identifier).state, FactState::pending) << identifier;
        EXPECT_NE(fact(clone, identifier).reason.value_or("").find("agent"), std::string::npos) << identifier;
    }
    EXPECT_EQ(identity_report(clone).state, FactState::pending);
}

TEST(IdentityReport, HoldsWhatWasSeenAgainstTheSource) {
    VmRows source = vm("web");
    see(source, {seen("machine-id", std::string(32, 'a')), seen("ssh-host-key.rsa", "SHA256:old")});
    VmRows clone = clone_of(source, "clone");
    see(clone, {seen("machine-id", std::string(32, 'b'), "cloud-init"), seen("ssh-host-key.rsa", "SHA256:old", "seed"),
                seen("nic", clone.nics.front().mac + " " + *clone.nics.front().ip, "hypervisor")});
    EXPECT_EQ(fact(clone, "machine-id").state, FactState::fresh);
    EXPECT_EQ(fact(clone, "machine-id").old_value, std::string(32, 'a'));
    EXPECT_EQ(fact(clone, "machine-id").means, "cloud-init");
    EXPECT_EQ(fact(clone, "ssh-host-key.rsa").state, FactState::kept) << "a reset that did not happen is not called one";
    EXPECT_EQ(fact(clone, "ip.0").state, FactState::fresh);
    EXPECT_EQ(fact(clone, "mac.0").old_value, source.nics.front().mac);
    EXPECT_TRUE(fact(clone, "dhcp-duid").identifier.empty()) << "this guest has none";
    see(clone, {seen("machine-id", std::string(32, 'b'))});
    EXPECT_EQ(fact(clone, "ssh-host-key.rsa").state, FactState::pending) << "its source has one, it shows none";
}

TEST(IdentityReport, AKeptGuestHasTheSourcesNamesAndItsOwnHardware) {
    VmRows source = vm("web");
    see(source, {seen("machine-id", source.vm.uuid.text())});
    const VmRows clone = clone_of(source, "clone", IdentityMode::keep);
    EXPECT_EQ(fact(clone, "machine-id").state, FactState::kept);
    EXPECT_EQ(fact(clone, "machine-id").new_value, source.vm.uuid.text());
    EXPECT_EQ(fact(clone, "host-name").new_value, "web");
    EXPECT_EQ(clone.instance_id(), source.vm.uuid.text()) << "else cloud-init takes it for a new machine";
    EXPECT_EQ(fact(clone, "mac.0").state, FactState::fresh);
    EXPECT_EQ(fact(clone, "vm-generation-id").state, FactState::fresh);
    EXPECT_EQ(identity_report(clone).mode, "keep");
}

TEST(IdentityReport, AKeptGuestThatGoesOnFromMemoryHasTheSourcesMacAndAddress) {
    VmRows source = vm("web");
    see(source, {seen("machine-id", source.vm.uuid.text())});
    VmRows clone = clone_of(source, "clone", IdentityMode::keep);
    clone.nics.front().state = NicState::disable;
    clone.from_memory = true;
    clone.generation_id = "its process's";
    for (const char* identifier : {"mac.0", "ip.0", "smbios-uuid", "smbios-serial", "machine-id", "host-name", "instance-id"}) {
        const api::IdentityFact kept = fact(clone, identifier), old = fact(source, identifier);
        EXPECT_EQ(kept.state, FactState::kept) << identifier;
        EXPECT_EQ(kept.new_value, old.new_value) << identifier;
        EXPECT_FALSE(kept.reason.value_or("").empty()) << identifier;
    }
    EXPECT_NE(fact(clone, "mac.0").reason.value_or("").find("stop and start it"), std::string::npos);
    for (const char* identifier : {"uuid", "name", "vm-generation-id"}) EXPECT_EQ(fact(clone, identifier).state, FactState::fresh) << identifier;
    // The keeper reads what the guest has; its NIC bears a MAC that no row of the clone has.
    see(clone,
        {seen("machine-id", source.vm.uuid.text(), "none"), seen("nic", source.nics.front().mac + " " + *source.nics.front().ip, "hypervisor")});
    EXPECT_EQ(fact(clone, "mac.0").state, FactState::kept);
    EXPECT_EQ(fact(clone, "ip.0").new_value, source.nics.front().ip);
    EXPECT_EQ(identity_report(clone).state, FactState::kept);
    clone.from_memory = false;  // it has booted
    EXPECT_EQ(fact(clone, "mac.0").new_value, clone.nics.front().mac);
    EXPECT_EQ(fact(clone, "mac.0").state, FactState::fresh);
}

TEST(IdentityReport, OfAGenerationIdThatMayNotBeTheVmsOnlyTheMachinesWordCounts) {
    const VmRows source = vm("web");
    VmRows clone = clone_of(source, "clone");
    EXPECT_EQ(fact(clone, "vm-generation-id").new_value, hypervisor::generation_id(clone.vm.uuid)) << "one that has booted was started with it";
    clone.from_memory = true;
    EXPECT_EQ(fact(clone, "vm-generation-id").state, FactState::pending) << "it may be in a process that waited";
    EXPECT_EQ(fact(clone, "vm-generation-id").new_value, std::nullopt);
    EXPECT_NE(fact(clone, "vm-generation-id").reason.value_or("").find("not told"), std::string::npos);
    clone.generation_id = "of the process";
    EXPECT_EQ(fact(clone, "vm-generation-id").state, FactState::fresh);
    EXPECT_EQ(fact(clone, "vm-generation-id").new_value, "of the process");
    EXPECT_EQ(fact(clone_of(clone, "next"), "vm-generation-id").old_value, "of the process");
    clone.from_memory = false;
    clone.generation_id.reset();
    clone.vm.state = VmState::stopped;
    EXPECT_EQ(fact(clone, "vm-generation-id").new_value, hypervisor::generation_id(clone.vm.uuid)) << "from its next start on";
    clone.vm.revert_job_uuid = JobId::random();
    EXPECT_EQ(fact(clone, "vm-generation-id").new_value, hypervisor::generation_id(clone.vm.uuid, clone.vm.revert_job_uuid->text()));
}

TEST(IdentityReport, ShowsTheRefusalOfAGuestAndFactsThatOthersAdd) {
    VmRows clone = clone_of(vm("web"), "clone");
    clone.identity->trouble = "the guest could not take its identity (exit 2)";
    EXPECT_EQ(fact(clone, "machine-id").reason, clone.identity->trouble);
    see(clone, {seen("clock", "2026-01-01T00:00:00Z")});
    EXPECT_EQ(fact(clone, "clock").state, FactState::fresh);
    see(clone, {{"clock", std::nullopt, std::nullopt, FactState::kept, "none", "no agent"}});
    EXPECT_EQ(fact(clone, "clock").state, FactState::kept);
    clone.vm.state = VmState::stopped;
    EXPECT_EQ(fact(clone, "smbios-uuid").state, FactState::pending);
}

}  // namespace ramet::lifecycle

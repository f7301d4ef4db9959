#include "guest/identity_script.hpp"

#include <gtest/gtest.h>

#include "support/storage_files.hpp"

namespace ramet::guest {
namespace {

const std::string kMachineId = "0123456789abcdef0123456789abcdef";

std::string value(const std::vector<api::IdentityFact>& facts, std::string_view identifier) {
    const api::IdentityFact* fact = find_fact(facts, identifier);
    return fact == nullptr ? "" : fact->new_value.value_or("");
}

}  // namespace

TEST(IdentityAnswer, GivesOneFactPerLine) {
    const auto facts =
        read_answer("host-name\tseed\tweb02\nmachine-id\tagent\t" + kMachineId +
                    "\nnic\thypervisor\tfa:00:00:00:00:01 10.0.0.7\n"
                    "ssh-host-key.ed25519\tcloud-init\tSHA256:abc+/DEF=\nsmbios-uuid\thypervisor\t01234567-89AB-CDEF-0123-456789ABCDEF\n");
    ASSERT_EQ(facts.size(), 5U);
    EXPECT_EQ(value(facts, "host-name"), "web02");
    EXPECT_EQ(find_fact(facts, "machine-id")->means, "agent");
    EXPECT_EQ(value(facts, "nic"), "fa:00:00:00:00:01 10.0.0.7");
    EXPECT_EQ(value(facts, "ssh-host-key.ed25519"), "SHA256:abc+/DEF=");
    EXPECT_EQ(value(facts, "smbios-uuid"), "01234567-89ab-cdef-0123-456789abcdef");
}

TEST(IdentityAnswer, TakesTheDuidOutOfTheDhcpClientId) {
    const auto facts = read_answer("dhcp-client-id\tagent\tFFb5035a1200020000ab11b5f6d3a1c2e4f608\n");
    EXPECT_EQ(value(facts, "dhcp-duid"), "00020000ab11b5f6d3a1c2e4f608");
    EXPECT_TRUE(value(read_answer("dhcp-client-id\tagent\t01fa0000000001\n"), "dhcp-duid").empty()) << "the MAC is no DUID";
}

TEST(IdentityAnswer, LeavesOutWhatAHostileGuestSends) {
    const std::string lines[]{"host-name\tseed\t" + std::string(300, 'a'),
                              "host-name\tseed\tweb\"02",
                              "host-name\tseed\tweb<script>",
                              "host-name\tseed\t",
                              "host-name\tseed",
                              "host-name\tsomeone\tweb02",
                              "machine-id\tagent\t0123",
                              "machine-id\tagent\t" + std::string(32, 'g'),
                              "ssh-host-key.\tagent\tSHA256:a",
                              "ssh-host-key.a b\tagent\tSHA256:a",
                              "ssh-host-key." + std::string(17, 'k') + "\tagent\tSHA256:a",
                              "uuid\trow\t" + kMachineId,
                              std::string("host-name\tseed\tw\0b", 18),
                              "\xff\xfe\t\t\n",
                              "\t\t"};
    for (const std::string& line : lines) EXPECT_TRUE(read_answer(line).empty()) << line;
}

TEST(IdentityAnswer, ReadsNoMoreThanItsBound) {
    std::string answer;
    for (int i = 0; i < 100'000; ++i) answer += "nic\thypervisor\tfa:00:00:00:00:01\n";
    EXPECT_LE(read_answer(answer).size(), 128U);
    EXPECT_EQ(read_answer("host-name\tseed\tone\nhost-name\tseed\ttwo\n").size(), 1U) << "the first word counts";
}

TEST(IdentityScript, IsAProgramThatAPosixShellAccepts) {
    const test::TempDir directory;
    const std::string path = directory.file("script");
    test::write_file(path, std::string(identity_script()));
    const test::CommandResult checked = test::run_command({"sh", "-n", path});
    EXPECT_EQ(checked.exit_status, 0) << checked.output;
}

}  // namespace ramet::guest

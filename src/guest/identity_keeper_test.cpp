#include "guest/identity_keeper.hpp"

#include <gtest/gtest.h>

#include "support/fake_hypervisor.hpp"

namespace ramet::guest {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};

// A running guest whose agent answers every program with `outcome`; what it was asked is kept in `arguments`.
struct Guest {
    test::FakeHypervisor hypervisor;
    WantedIdentity wanted;
    std::vector<std::string> arguments;

    explicit Guest(hypervisor::ExecResult outcome) {
        hypervisor::DomainSpec spec;
        spec.vm = wanted.vm = VmId::random();
        spec.memory_bytes = 1 << 30;
        spec.disks = {{VolumeId::random(), 0, {{"/fake", "disk", DiskFormat::qcow2}}}};
        EXPECT_TRUE(hypervisor.start(spec).has_value());
        hypervisor.set_agent_everywhere(true);
        hypervisor.set_exec([this, outcome](const VmId&, const std::string&, const std::vector<std::string>& given, const std::string&) {
            arguments = given;
            return outcome;
        });
        wanted.instance_id = wanted.vm.text();
        wanted.host_name = "web02";
    }
};

}  // namespace

TEST(GiveIdentity, ReturnsWhatTheGuestShows) {
    Guest guest({0, "host-name\tagent\tweb02\nrubbish\n", {}});
    const auto facts = give_identity(guest.hypervisor, guest.wanted, kPatience);
    ASSERT_TRUE(facts.has_value());
    ASSERT_EQ(facts->size(), 1U);
    EXPECT_EQ(facts->front().new_value, "web02");
    EXPECT_EQ(std::vector<std::string>(guest.arguments.begin() + 3, guest.arguments.end()),
              (std::vector<std::string>{guest.wanted.vm.text(), "web02", "reset", ""}));
}

TEST(GiveIdentity, TellsAGuestThatIsStillAtWorkFromOneThatRefuses) {
    Guest busy({75, {}, {}});
    EXPECT_EQ(give_identity(busy.hypervisor, busy.wanted, kPatience).error().code, ErrorCode::timeout);
    Guest refusing({1, {}, std::string(5000, 'x')});
    const auto refused = give_identity(refusing.hypervisor, refusing.wanted, kPatience);
    EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
    EXPECT_LE(refused.error().detail.size(), 512U);
    Guest silent({0, {}, {}});
    silent.hypervisor.set_agent_everywhere(false);
    EXPECT_EQ(give_identity(silent.hypervisor, silent.wanted, kPatience).error().code, ErrorCode::timeout);
}

}  // namespace ramet::guest

// What is told of files that are not what was captured.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "hypervisor/qemu/memory_checksum.hpp"
#include "hypervisor/qemu/memory_files.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {
namespace {

using hypervisor::kGuestPageBytes;

constexpr std::size_t kPages = 64;

class MemoryChecksum : public testing::Test {
protected:
    void SetUp() override {
        place_.directory = directory_.file("image");
        auto files = hypervisor::MemoryFiles::make(place_, kPages * kGuestPageBytes);
        ASSERT_TRUE(files.has_value());
        hypervisor::MemoryWriter writer(files->memory(), kPages * kGuestPageBytes);
        for (const std::size_t page : {3, 4, 40}) ASSERT_TRUE(writer.page(page * kGuestPageBytes, storage::bytes_of(contents(page))).has_value());
        ASSERT_TRUE(writer.finish().has_value());
        ASSERT_TRUE(files->complete(kState, std::nullopt, false).has_value());
        place_.checksum = hypervisor::checksum_of_files(writer.checksum(), kState);
    }
    void TearDown() override { EXPECT_TRUE(hypervisor::remove_memory_files(place_).has_value()); }

    static std::string contents(std::size_t page) { return std::string(kGuestPageBytes - 1, '\0') + static_cast<char>(page); }
    // The file with another byte at `offset`; it is put back.
    template <class Look>
    void with_other_byte(const std::string& name, std::size_t offset, const Look& look) {
        const std::string path = place_.directory + "/" + name;
        unseal(path);
        const hypervisor::Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_TRUE(file.valid());
        char byte = 0;
        ASSERT_EQ(::pread(file.get(), &byte, 1, static_cast<off_t>(offset)), 1);
        const char other = static_cast<char>(byte ^ 1);
        ASSERT_EQ(::pwrite(file.get(), &other, 1, static_cast<off_t>(offset)), 1);
        look();
        ASSERT_EQ(::pwrite(file.get(), &byte, 1, static_cast<off_t>(offset)), 1);
    }
    static void unseal(const std::string& path) {
        if (::geteuid() == 0) (void)run_command({"chattr", "-f", "-i", path});
        ::chmod(path.c_str(), 0600);
    }
    std::string damage() const {
        const auto found = hypervisor::verify_memory_files(place_, {});
        return found.has_value() ? found->value_or("") : "not found out: " + found.error().message;
    }
    bool opens() const { return hypervisor::open_state(place_).has_value(); }

    const std::string kState = "all the rest";
    TempDir directory_;
    hypervisor::MemoryPlace place_;
};

TEST_F(MemoryChecksum, FindsEveryOtherByteOfTheDeviceStateBeforeItIsOpened) {
    EXPECT_EQ(damage(), "");
    for (std::size_t offset = 0; offset < kState.size(); ++offset) {
        EXPECT_TRUE(opens());  // remembered as sound, until it changes
        with_other_byte("state", offset, [&] {
            EXPECT_FALSE(opens()) << offset;
            EXPECT_NE(damage().find("device state is damaged"), std::string::npos) << damage();
        });
    }
    EXPECT_TRUE(opens());
    ASSERT_EQ(::truncate((place_.directory + "/state").c_str(), 4), 0);
    EXPECT_FALSE(opens());
}

TEST_F(MemoryChecksum, FindsAnotherByteOfTheMemoryAlsoWhereNothingWasCaptured) {
    for (const std::size_t offset :
         {3 * kGuestPageBytes, 5 * kGuestPageBytes - 1, std::size_t{0}, 20 * kGuestPageBytes + 7, kPages * kGuestPageBytes - 1}) {
        with_other_byte("ram", offset, [&] { EXPECT_NE(damage().find("memory is damaged"), std::string::npos) << offset << ": " << damage(); });
        EXPECT_EQ(damage(), "") << offset;
    }
    unseal(place_.directory + "/ram");
    ASSERT_EQ(::truncate((place_.directory + "/ram").c_str(), 10 * kGuestPageBytes), 0);
    EXPECT_NE(damage(), "");
}

TEST_F(MemoryChecksum, OfAnEarlierServerIsOfTheMemoryAlone) {
    place_.checksum.resize(place_.checksum.find(':'));
    with_other_byte("state", 0, [&] { EXPECT_EQ(damage(), ""); });
    with_other_byte("ram", 0, [&] { EXPECT_NE(damage(), ""); });
}

TEST_F(MemoryChecksum, FilesThatAreNotThereAreDamageAndACancelIsNone) {
    std::stop_source cancel;
    cancel.request_stop();
    const auto cancelled = hypervisor::verify_memory_files(place_, cancel.get_token());
    ASSERT_FALSE(cancelled.has_value());
    EXPECT_EQ(cancelled.error().code, ErrorCode::cancelled);
    unseal(place_.directory + "/ram");
    ASSERT_EQ(::unlink((place_.directory + "/ram").c_str()), 0);
    EXPECT_NE(damage().find("not there"), std::string::npos) << damage();
}

}  // namespace
}  // namespace ramet::test

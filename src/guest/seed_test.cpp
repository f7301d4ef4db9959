#include "guest/seed.hpp"
#include "base/limits.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "guest/user_data.hpp"

namespace ramet::guest {
namespace {

const SeedSpec kSeed{"0123456789abcdef0123456789abcdef", "web01", "", {{"fa:00:00:00:00:00", "eth0"}}};

std::map<std::string, std::string> read_image(const std::string& path) {
    std::map<std::string, std::string> files;
    archive* reader = archive_read_new();
    archive_read_support_format_iso9660(reader);
    EXPECT_EQ(archive_read_open_filename(reader, path.c_str(), 10240), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
        archive_read_data(reader, content.data(), content.size());
        files[archive_entry_pathname(entry)] = content;
    }
    archive_read_free(reader);
    return files;
}

}  // namespace

TEST(Seed, HoldsTheFilesThatCloudInitReads) {
    const std::string path = std::filesystem::temp_directory_path() / "ramet-seed-test.iso";
    ASSERT_TRUE(write_seed(path, kSeed).has_value());
    const auto files = read_image(path);
    EXPECT_EQ(files.at("meta-data"), "instance-id: \"0123456789abcdef0123456789abcdef\"\nlocal-hostname: \"web01\"\n");
    EXPECT_NE(files.at("network-config").find("macaddress: \"fa:00:00:00:00:00\""), std::string::npos);
    EXPECT_NE(files.at("vendor-data").find("id=\"0123456789abcdef0123456789abcdef\""), std::string::npos);
    struct stat facts{};
    ASSERT_EQ(::stat(path.c_str(), &facts), 0);
    EXPECT_LE(facts.st_size, 128 * 1024);
    EXPECT_LE(facts.st_blocks * 512, 64 * 1024);
    EXPECT_EQ(facts.st_mode & 07777, 0600U);
    EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
    std::filesystem::remove(path);
}

TEST(Seed, CarriesTheVolumeIdCidata) {
    const std::string path = std::filesystem::temp_directory_path() / "ramet-seed-id-test.iso";
    ASSERT_TRUE(write_seed(path, kSeed).has_value());
    FILE* file = std::fopen(path.c_str(), "rb");
    std::fseek(file, 0x8000 + 40, SEEK_SET);  // the primary volume descriptor's volume identifier
    char id[7] = {};
    ASSERT_EQ(std::fread(id, 1, 6, file), 6U);
    std::fclose(file);
    EXPECT_TRUE(std::string(id) == "cidata" || std::string(id) == "CIDATA") << id;
    std::filesystem::remove(path);
}

TEST(Seed, AsksNothingOfAGuestThatKeepsItsIdentity) {
    SeedSpec seed = kSeed;
    seed.keeps_identity = true;
    const auto files = seed_files(seed);
    ASSERT_TRUE(files.has_value());
    for (const SeedFile& file : *files) {
        if (file.name != "vendor-data") continue;
        EXPECT_EQ(file.content, "#cloud-config\n{}\n");
    }
}

TEST(Seed, LongUserDataArrivesWhole) {
    const std::string path = std::filesystem::temp_directory_path() / "ramet-seed-long-test.iso";
    SeedSpec seed = kSeed;
    seed.user_data = "#!/bin/sh\n" + std::string(20'000, '\0') + std::string(300'000, 'u') + "\n";
    ASSERT_TRUE(write_seed(path, seed).has_value());
    ASSERT_TRUE(write_seed(path, seed).has_value()) << "an existing image is replaced";
    const auto files = read_image(path);
    EXPECT_EQ(files.at("user-data"), seed.user_data);
    EXPECT_EQ(std::filesystem::file_size(path) % limits::kSeedBytes, 0U);
    ASSERT_TRUE(write_seed(path, kSeed).has_value());
    EXPECT_EQ(std::filesystem::file_size(path), limits::kSeedBytes) << "whatever is in it: a disk that was captured has this size";
    std::filesystem::remove(path);
}

TEST(Seed, AMissingDirectoryIsAnErrorAndMakesNothing) {
    const std::string directory = std::filesystem::temp_directory_path() / "ramet-seed-no-such-directory";
    EXPECT_FALSE(write_seed(directory + "/seed.iso", kSeed).has_value());
    EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(Seed, RefusesAHostNameThatCouldBreakOutOfTheFile) {
    SeedSpec seed = kSeed;
    for (const char* name : {"", "a b", "a\nb: c", "-a", "a\"b"}) {
        seed.host_name = name;
        EXPECT_FALSE(seed_files(seed).has_value()) << name;
    }
}

TEST(UserData, IsBase64) {
    EXPECT_EQ(decode_user_data("I2Nsb3VkLWNvbmZpZwo=").value(), "#cloud-config\n");
    EXPECT_EQ(decode_user_data("").value(), "");
    EXPECT_FALSE(decode_user_data("not base64!").has_value());
}

}  // namespace ramet::guest

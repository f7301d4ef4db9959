#include "storage/dir/dir_storage.hpp"

#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <thread>

#include "contract/primary_storage_contract.hpp"
#include "support/fake_primary_storage.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {

namespace {

using storage::DirStorages;
using storage::Place;
using storage::PrimaryStorage;
using storage::Provisioning;

constexpr storage::FileOwner kNobody{65534, 65534};
constexpr std::int64_t kSize = 16 * limits::kMiB;

struct FakeUnderTest final : StorageUnderTest {
    explicit FakeUnderTest(bool shares_blocks = false) {
        auto fake = std::make_shared<FakePrimaryStorage>();
        fake->set_shares_blocks(shares_blocks);
        storage = std::move(fake);
    }
};

struct DirUnderTest final : StorageUnderTest {
    explicit DirUnderTest(std::optional<storage::FileOwner> owner) {
        if (owner && ::geteuid() != 0)
            why = "giving files to another user needs root";
        else
            storage = DirStorages(owner).open(directory.file("primary")).value();
    }
    TempDir directory;
};

// A file system in a file (XFS or btrfs, which share blocks) or in memory; unmounted and gone afterwards.
class Mounted {
public:
    // `make`: the command that makes the file system, without the name of its file.
    static std::string loop(const TempDir& directory, std::vector<std::string> make) {
        const std::string image = directory.file("image");
        write_file(image, "");
        if (::truncate(image.c_str(), 400 << 20) != 0) return "no room for a file system";
        const std::string program = make.front();
        make.push_back(image);
        const CommandResult made = run_command(make);
        if (made.exit_status == 127) return program + " is not installed (packages xfsprogs, btrfs-progs)";
        if (made.exit_status != 0) return program + ": " + made.output;
        ::mkdir(directory.file("mnt").c_str(), 0711);
        const CommandResult mounted = run_command({"mount", "-o", "loop", image, directory.file("mnt")});
        if (mounted.exit_status != 0) return "no loop mount here: " + mounted.output;
        ::chmod(directory.file("mnt").c_str(), 0711);
        return {};
    }
    static std::string tmpfs(const TempDir& directory, const char* options) {
        ::mkdir(directory.file("mnt").c_str(), 0711);
        return ::mount("tmpfs", directory.file("mnt").c_str(), "tmpfs", 0, options) == 0 ? std::string{} : "no mounts here";
    }
};

struct LoopUnderTest final : StorageUnderTest {
    explicit LoopUnderTest(const std::vector<std::string>& make) {
        why = ::geteuid() == 0 ? Mounted::loop(directory, make) : "mounting needs root";
        if (why.empty()) storage = DirStorages().open(directory.file("mnt")).value();
    }
    ~LoopUnderTest() override {
        storage.reset();
        make_removable(directory.file("mnt"));
        ::umount2(directory.file("mnt").c_str(), MNT_DETACH);
    }
    TempDir directory;
};
std::unique_ptr<LoopUnderTest> on_xfs() { return std::make_unique<LoopUnderTest>(std::vector<std::string>{"mkfs.xfs", "-q", "-m", "reflink=1"}); }
std::unique_ptr<LoopUnderTest> on_btrfs() { return std::make_unique<LoopUnderTest>(std::vector<std::string>{"mkfs.btrfs", "-q"}); }

class DirStorageTest : public testing::Test {
protected:
    PrimaryStorage& primary() { return *primary_; }
    Place place(const std::string& path, DiskFormat format = DiskFormat::qcow2) { return {primary_->root(), path, format}; }
    std::string absolute(const std::string& path) { return primary_->root() + "/" + path; }
    mode_t mode(const std::string& path) {
        struct stat status{};
        return ::stat(absolute(path).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
    }
    int qemu_io(const std::string& path, const std::string& command) {
        const CommandResult result = run_command({"qemu-io", "-f", "qcow2", "-c", command, absolute(path)});
        return result.exit_status != 0 || result.output.find("verification failed") != std::string::npos ? 1 : 0;
    }

    TempDir directory_;
    std::shared_ptr<PrimaryStorage> primary_ = DirStorages().open(directory_.file("primary")).value();
};

TEST_F(DirStorageTest, DirectoriesArePassableButNotListableAndFilesArePrivate) {
    const mode_t old = ::umask(077);
    ASSERT_TRUE(primary().create_empty("a/b/c.qcow2", kSize, Provisioning::thin).has_value());
    ::umask(old);
    EXPECT_EQ(mode("a"), 0711U);
    EXPECT_EQ(mode("a/b"), 0711U);
    EXPECT_EQ(mode("a/b/c.qcow2"), 0600U);
}

TEST_F(DirStorageTest, FilesBelongToTheUserOfTheVirtualMachines) {
    if (::geteuid() != 0) GTEST_SKIP() << "giving files to another user needs root";
    const auto owned = DirStorages(kNobody).open(directory_.file("owned")).value();
    ASSERT_TRUE(owned->create_empty("a.qcow2", kSize, Provisioning::thick).has_value());
    ASSERT_TRUE(owned->full_copy({{owned->root(), "a.qcow2", DiskFormat::qcow2}}, "b.qcow2", kSize, Provisioning::thin, {}, {}).has_value());
    for (const char* name : {"/a.qcow2", "/b.qcow2"}) {
        struct stat status{};
        ASSERT_EQ(::stat((owned->root() + name).c_str(), &status), 0);
        EXPECT_EQ(status.st_uid, kNobody.uid);
        EXPECT_EQ(status.st_gid, kNobody.gid);
    }
}

TEST_F(DirStorageTest, SealedMeansNobodyWritesAndEverybodyReads) {
    ASSERT_TRUE(primary().create_empty("a.qcow2", kSize, Provisioning::thin).has_value());
    ASSERT_TRUE(primary().seal("a.qcow2").has_value());
    EXPECT_EQ(mode("a.qcow2"), 0444U);
    const int fd = ::open(absolute("a.qcow2").c_str(), O_RDONLY);
    int flags = 0;
    const bool has_flags = ::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    ::close(fd);
    if (has_flags && ::geteuid() == 0) {
        EXPECT_NE(flags & FS_IMMUTABLE_FL, 0);
        EXPECT_LT(::open(absolute("a.qcow2").c_str(), O_RDWR), 0);
        EXPECT_NE(::unlink(absolute("a.qcow2").c_str()), 0);
    }
    ASSERT_TRUE(primary().unseal("a.qcow2").has_value());
    EXPECT_EQ(mode("a.qcow2"), 0600U);
    EXPECT_EQ(qemu_io("a.qcow2", "write 0 4k"), 0);
}

TEST_F(DirStorageTest, RemovingPrunesEmptyDirectoriesButNeverTheRoot) {
    ASSERT_TRUE(primary().create_empty("a/b/c/d.qcow2", kSize, Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_empty("a/e.qcow2", kSize, Provisioning::thin).has_value());
    ASSERT_TRUE(primary().remove("a/b/c/d.qcow2").has_value());
    EXPECT_FALSE(std::filesystem::exists(absolute("a/b")));
    EXPECT_TRUE(std::filesystem::exists(absolute("a/e.qcow2")));
    ASSERT_TRUE(primary().remove("a/e.qcow2").has_value());
    EXPECT_FALSE(std::filesystem::exists(absolute("a")));
    EXPECT_TRUE(std::filesystem::exists(primary().root()));
}

TEST_F(DirStorageTest, RemovingAlsoRemovesTheUnfinishedFile) {
    std::filesystem::create_directories(absolute("a"));
    write_file(absolute("a/x.qcow2.partial"), "half");
    const auto files = primary().list().value();
    ASSERT_EQ(files.size(), 1U);
    EXPECT_EQ(files[0].path, "a/x.qcow2.partial");
    EXPECT_TRUE(files[0].partial);
    EXPECT_FALSE(primary().exists("a/x.qcow2").value());
    ASSERT_TRUE(primary().remove("a/x.qcow2").has_value());
    EXPECT_FALSE(std::filesystem::exists(absolute("a")));
}

TEST_F(DirStorageTest, RemovingAnUnfinishedNameSparesTheFinishedFile) {
    ASSERT_TRUE(primary().create_empty("x.qcow2", kSize, Provisioning::thin).has_value());
    write_file(absolute("x.qcow2.partial"), "half");
    ASSERT_TRUE(primary().remove("x.qcow2.partial").has_value());
    EXPECT_TRUE(primary().exists("x.qcow2").value());
    EXPECT_EQ(primary().list()->size(), 1U);
}

TEST_F(DirStorageTest, ADirectoryInTheWayOfAFileFailsTheCallAndIsLeftAlone) {
    std::filesystem::create_directories(absolute("a/x.qcow2"));
    EXPECT_FALSE(primary().create_empty("a/x.qcow2", kSize, Provisioning::thin).has_value());
    EXPECT_TRUE(primary().remove("a/x.qcow2").has_value());
    EXPECT_TRUE(std::filesystem::is_directory(absolute("a/x.qcow2")));
    EXPECT_TRUE(primary().list()->empty());
}

TEST_F(DirStorageTest, AnUnfinishedFileOfAnEarlierAttemptIsReplaced) {
    write_file(absolute("x.qcow2.partial"), std::string(1 << 20, 'z'));
    ASSERT_TRUE(primary().create_empty("x.qcow2", kSize, Provisioning::thin).has_value());
    EXPECT_EQ(primary().list()->size(), 1U);
    EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute("x.qcow2")}).exit_status, 0);
}

TEST_F(DirStorageTest, AnOverlayWithDataOnSomethingElseIsNeverReplaced) {
    for (const char* layer : {"one.qcow2", "other.qcow2"}) ASSERT_TRUE(primary().create_empty(layer, 1 << 20, Provisioning::thin).has_value());
    ASSERT_TRUE(primary().create_overlay("o.qcow2", place("one.qcow2"), 1 << 20).has_value());
    ASSERT_EQ(qemu_io("o.qcow2", "write -P 7 0 64k"), 0);
    const std::string file = absolute("o.qcow2");
    const std::string before = read_file(file);
    const Result<void> refused = primary().create_overlay("o.qcow2", place("other.qcow2"), 1 << 20);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("data"), std::string::npos) << refused.error().message;
    EXPECT_EQ(read_file(file), before);
    EXPECT_FALSE(std::filesystem::exists(file + ".partial"));
    EXPECT_TRUE(primary().create_overlay("o.qcow2", place("one.qcow2"), 1 << 20).has_value()) << "a repeat leaves it alone";
    EXPECT_EQ(read_file(file), before);
}

TEST_F(DirStorageTest, SymbolicLinksLeadNowhere) {
    std::filesystem::create_directories(directory_.file("elsewhere"));
    write_file(directory_.file("elsewhere/victim"), "precious");
    std::filesystem::create_directory_symlink(directory_.file("elsewhere"), absolute("link"));
    std::filesystem::create_symlink(directory_.file("elsewhere/victim"), absolute("file"));
    EXPECT_FALSE(primary().create_empty("link/x.qcow2", kSize, Provisioning::thin).has_value());
    EXPECT_FALSE(primary().remove("link/victim").has_value());
    EXPECT_FALSE(primary().seal("file").has_value());
    EXPECT_FALSE(primary().exists("link/victim").has_value());
    EXPECT_TRUE(primary().list()->empty());
    EXPECT_EQ(read_file(directory_.file("elsewhere/victim")), "precious");
    EXPECT_FALSE(std::filesystem::exists(directory_.file("elsewhere/x.qcow2")));
}

TEST_F(DirStorageTest, NeighboursMayBeMadeAndRemovedAtTheSameTime) {
    std::atomic<int> failures{0};
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&, thread] {
                for (int round = 0; round < 25; ++round) {
                    const std::string path = "shared/deep/" + std::to_string(thread) + ".qcow2";
                    if (!primary().create_empty(path, kSize, Provisioning::thin).has_value()) ++failures;
                    if (!primary().remove(path).has_value()) ++failures;
                }
            });
        }
    }
    EXPECT_EQ(failures, 0);
    EXPECT_TRUE(std::filesystem::is_empty(primary().root()));
}

TEST_F(DirStorageTest, AFullCopyHoldsTheSameBytesAndNothingBelow) {
    ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, Provisioning::thin).has_value());
    ASSERT_EQ(qemu_io("base.qcow2", "write -P 0x11 0 2M"), 0);
    ASSERT_TRUE(primary().create_overlay("middle.qcow2", place("base.qcow2"), kSize).has_value());
    ASSERT_EQ(qemu_io("middle.qcow2", "write -P 0x22 1M 2M"), 0);
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("middle.qcow2"), kSize).has_value());
    ASSERT_EQ(qemu_io("top.qcow2", "write -z 512k 64k"), 0);
    const std::vector<Place> chain{place("top.qcow2"), place("middle.qcow2"), place("base.qcow2")};
    for (const Provisioning provisioning : {Provisioning::thin, Provisioning::thick}) {
        const std::string copy = provisioning == Provisioning::thin ? "thin.qcow2" : "thick.qcow2";
        ASSERT_TRUE(primary().full_copy(chain, copy, kSize, provisioning, {}, {}).has_value());
        EXPECT_EQ(run_command({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", absolute("top.qcow2"), absolute(copy)}).exit_status, 0);
        EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute(copy)}).exit_status, 0);
        EXPECT_EQ(run_command({"qemu-img", "info", "-f", "qcow2", absolute(copy)}).output.find("backing file"), std::string::npos);
    }
    EXPECT_LT(primary().allocated_bytes("thin.qcow2").value(), 5 * limits::kMiB);
    EXPECT_GE(primary().allocated_bytes("thick.qcow2").value(), kSize);
}

TEST_F(DirStorageTest, AnOverlayThatIsMadeToNameAnotherLayerKeepsWhatItHolds) {
    write_file(absolute("base.raw"), std::string(kSize, 'b'));
    ASSERT_TRUE(primary().create_overlay("middle.qcow2", place("base.raw", DiskFormat::raw), kSize).has_value());
    ASSERT_EQ(qemu_io("middle.qcow2", "write -P 0x22 1M 2M"), 0);
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("middle.qcow2"), kSize).has_value());
    ASSERT_EQ(qemu_io("top.qcow2", "write -P 0x33 512k 64k"), 0);
    const auto named = [this](const std::optional<Place>& backing) {
        const Result<void> done = primary().set_backing("top.qcow2", backing);
        EXPECT_TRUE(done.has_value()) << done.error().message << " | " << done.error().detail;
        EXPECT_EQ(qemu_io("top.qcow2", "read -P 0x33 512k 64k"), 0);
        EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", absolute("top.qcow2")}).exit_status, 0);
        return run_command({"qemu-img", "info", "-f", "qcow2", absolute("top.qcow2")}).output;
    };
    const std::string on_raw = named(place("base.raw", DiskFormat::raw));
    EXPECT_NE(on_raw.find("backing file: " + absolute("base.raw")), std::string::npos) << on_raw;
    EXPECT_NE(on_raw.find("backing file format: raw"), std::string::npos) << on_raw;
    EXPECT_EQ(qemu_io("top.qcow2", "read -P 0x62 1M 2M"), 0);
    EXPECT_EQ(named(std::nullopt).find("backing file"), std::string::npos);
    EXPECT_NE(named(place("middle.qcow2")).find("backing file format: qcow2"), std::string::npos);
    EXPECT_EQ(qemu_io("top.qcow2", "read -P 0x22 1M 2M"), 0);
}

TEST_F(DirStorageTest, ACopyFromARawLayerIsExact) {
    std::string contents(1 << 20, '\0');
    contents.replace(4096, 6, "ramet!");
    write_file(absolute("disk.raw"), contents);
    ASSERT_TRUE(primary().create_overlay("top.qcow2", place("disk.raw", DiskFormat::raw), 1 << 20).has_value());
    ASSERT_EQ(qemu_io("top.qcow2", "write -P 0x33 64k 64k"), 0);
    ASSERT_TRUE(
        primary().full_copy({place("top.qcow2"), place("disk.raw", DiskFormat::raw)}, "copy.qcow2", 1 << 20, Provisioning::thin, {}, {}).has_value());
    EXPECT_EQ(run_command({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", absolute("top.qcow2"), absolute("copy.qcow2")}).exit_status, 0);
}

TEST_F(DirStorageTest, ACopyFollowsTheListOfLayersAndNotTheHeaders) {
    write_file(directory_.file("secret"), std::string(1 << 20, 'S'));
    ASSERT_TRUE(primary().create_empty("base.qcow2", 1 << 20, Provisioning::thin).has_value());
    ASSERT_EQ(
        run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-b", directory_.file("secret"), "-F", "raw", absolute("top.qcow2")}).exit_status, 0);
    ASSERT_TRUE(primary().full_copy({place("top.qcow2"), place("base.qcow2")}, "copy.qcow2", 1 << 20, Provisioning::thin, {}, {}).has_value());
    EXPECT_EQ(qemu_io("copy.qcow2", "read -P 0 0 1M"), 0);
    EXPECT_FALSE(primary().full_copy({place("top.qcow2")}, "short.qcow2", 1 << 20, Provisioning::thin, {}, {}).has_value())
        << "a layer is missing from the list";
}

TEST_F(DirStorageTest, ACopyOfALayerWithAForeignDataFileIsRefused) {
    ASSERT_EQ(
        run_command({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=" + directory_.file("data"), absolute("x.qcow2"), "1M"}).exit_status,
        0);
    EXPECT_FALSE(primary().full_copy({place("x.qcow2")}, "copy.qcow2", 1 << 20, Provisioning::thin, {}, {}).has_value());
    EXPECT_FALSE(primary().exists("copy.qcow2").value());
}

TEST_F(DirStorageTest, ACopyIsCancelledInTheMiddleAndLeavesNothing) {
    constexpr std::int64_t large = 256 * limits::kMiB;
    ASSERT_TRUE(primary().create_empty("base.qcow2", large, Provisioning::thin).has_value());
    ASSERT_EQ(qemu_io("base.qcow2", "write -P 0x11 0 128M"), 0);
    std::stop_source stop;
    std::chrono::steady_clock::time_point asked;
    const auto observer = [&](storage::CopyProgress) {
        if (stop.stop_requested()) return;
        asked = std::chrono::steady_clock::now();
        stop.request_stop();
    };
    const auto copied = primary().full_copy({place("base.qcow2")}, "c/copy.qcow2", large, Provisioning::thin, observer, stop.get_token());
    ASSERT_FALSE(copied.has_value());
    EXPECT_EQ(copied.error().code, ErrorCode::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
    EXPECT_EQ(primary().list()->size(), 1U);
    EXPECT_FALSE(std::filesystem::exists(absolute("c")));
}

TEST_F(DirStorageTest, AFileBroughtInIsEqualAndKeepsItsHoles) {
    const std::string source = directory_.file("sparse");
    write_file(source, "head");
    ASSERT_EQ(::truncate(source.c_str(), 64 << 20), 0);
    std::ofstream(source, std::ios::in | std::ios::out | std::ios::ate) << "tail";
    ASSERT_TRUE(primary().import_file(source, "cache/i.raw", {}, {}).has_value());
    EXPECT_EQ(run_command({"cmp", source, absolute("cache/i.raw")}).exit_status, 0);
    EXPECT_LT(primary().allocated_bytes("cache/i.raw").value(), limits::kMiB);
}

TEST_F(DirStorageTest, OnlyOrdinaryFilesAreBroughtIn) {
    std::filesystem::create_symlink("/etc/passwd", directory_.file("link"));
    ASSERT_EQ(::mkfifo(directory_.file("fifo").c_str(), 0600), 0);
    for (const std::string& source : {directory_.file("link"), directory_.file("fifo"), directory_.path(), std::string("/dev/null")}) {
        EXPECT_FALSE(primary().import_file(source, "cache/i", {}, {}).has_value()) << source;
    }
    EXPECT_TRUE(primary().list()->empty());
}

TEST_F(DirStorageTest, AFullDiskIsReportedAndLeavesNothing) {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    const TempDir small;
    if (const std::string why = Mounted::tmpfs(small, "size=4m,mode=711"); !why.empty()) GTEST_SKIP() << why;
    {
        const auto storage = DirStorages().open(small.file("mnt")).value();
        write_file(directory_.file("big"), std::string(8 << 20, 'x'));
        ASSERT_TRUE(primary().create_empty("base.qcow2", kSize, Provisioning::thin).has_value());
        ASSERT_EQ(qemu_io("base.qcow2", "write -P 0x11 0 8M"), 0);
        EXPECT_EQ(storage->import_file(directory_.file("big"), "a/big", {}, {}).error().code, ErrorCode::storage_full);
        EXPECT_EQ(storage->create_empty("b/thick", kSize, Provisioning::thick).error().code, ErrorCode::storage_full);
        EXPECT_EQ(storage->full_copy({place("base.qcow2")}, "c/copy", kSize, Provisioning::thin, {}, {}).error().code, ErrorCode::storage_full);
        EXPECT_TRUE(std::filesystem::is_empty(small.file("mnt")));
    }
    ::umount2(small.file("mnt").c_str(), MNT_DETACH);
}

TEST_F(DirStorageTest, OneDirectoryIsOneStorageWhateverNameLeadsToIt) {
    DirStorages storages;
    std::filesystem::create_directory_symlink(primary().root(), directory_.file("alias"));
    const auto first = storages.open(primary().root()).value();
    EXPECT_EQ(first, storages.open(directory_.file("alias")).value());
    EXPECT_EQ(first, storages.open(primary().root() + "/").value());
    EXPECT_EQ(first->root(), std::filesystem::canonical(primary().root()).string());
}

TEST_F(DirStorageTest, ADirectoryThatWasMadeAnewIsOpenedAnew) {
    DirStorages storages;
    ASSERT_TRUE(storages.open(directory_.file("again")).has_value());
    std::filesystem::remove(directory_.file("again"));
    const auto storage = storages.open(directory_.file("again")).value();
    EXPECT_TRUE(storage->create_empty("a.qcow2", kSize, Provisioning::thin).has_value());
}

TEST_F(DirStorageTest, RefusesDirectoriesThatCannotBeUsed) {
    write_file(directory_.file("file"), "");
    for (const std::string& root :
         {std::string(""), std::string("relative"), std::string("/"), std::string("/proc"), directory_.file("file"), directory_.file("a\nb")}) {
        const auto opened = DirStorages().open(root);
        ASSERT_FALSE(opened.has_value()) << root;
        EXPECT_EQ(opened.error().code, ErrorCode::invalid_argument) << root;
    }
}

TEST_F(DirStorageTest, WorksBelowADirectoryThatIsClosedToTheUserOfTheVirtualMachines) {
    if (::geteuid() != 0) GTEST_SKIP() << "giving files to another user needs root";
    std::filesystem::create_directories(directory_.file("closed"));
    ::chmod(directory_.file("closed").c_str(), 0700);
    const auto closed = DirStorages(kNobody).open(directory_.file("closed/primary")).value();
    ASSERT_TRUE(closed->create_empty("base.qcow2", kSize, Provisioning::thick).has_value());
    ASSERT_TRUE(closed->create_overlay("top.qcow2", {closed->root(), "base.qcow2", DiskFormat::qcow2}, kSize).has_value());
    const std::vector<Place> chain{{closed->root(), "top.qcow2", DiskFormat::qcow2}, {closed->root(), "base.qcow2", DiskFormat::qcow2}};
    const auto copied = closed->full_copy(chain, "copy.qcow2", kSize, Provisioning::thin, {}, {});
    EXPECT_TRUE(copied.has_value()) << copied.error().detail;
}

TEST(DirStorageOnXfs, AFileBroughtInSharesItsBlocksWithItsSource) {
    const auto under_test = on_xfs();
    if (under_test->storage == nullptr) GTEST_SKIP() << under_test->why;
    const std::string source = under_test->storage->root() + "/source";
    write_file(source, std::string(8 << 20, 'x'));
    const storage::UniqueFd written(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::syncfs(written.get()), 0);
    const std::int64_t before = under_test->storage->capacity()->available_bytes;
    ASSERT_TRUE(under_test->storage->import_file(source, "cache/copy", {}, {}).has_value());
    EXPECT_LT(before - under_test->storage->capacity()->available_bytes, 2 * limits::kMiB);
    EXPECT_EQ(read_file(source), read_file(under_test->storage->root() + "/cache/copy"));
}

class Reflink : public testing::TestWithParam<std::pair<const char*, std::unique_ptr<LoopUnderTest> (*)()>> {};

TEST_P(Reflink, IsFlatEqualToItsSourceAndTakesNoRoomForTheData) {
    const auto under_test = GetParam().second();
    if (under_test->storage == nullptr) GTEST_SKIP() << under_test->why;
    PrimaryStorage& primary = *under_test->storage;
    const auto io = [&](const std::string& path, const std::string& command) {
        return run_command({"qemu-io", "-f", "qcow2", "-c", command, primary.root() + "/" + path}).exit_status;
    };
    constexpr std::int64_t size = 64 * limits::kMiB + 512;
    ASSERT_TRUE(primary.create_empty("base.qcow2", size, Provisioning::thin).has_value());
    ASSERT_EQ(io("base.qcow2", "write -P 0x11 0 40M"), 0);
    ASSERT_TRUE(primary.create_overlay("top.qcow2", {primary.root(), "base.qcow2", DiskFormat::qcow2}, size).has_value());
    ASSERT_EQ(io("top.qcow2", "write -P 0x22 5M 3M"), 0);
    ASSERT_EQ(io("top.qcow2", "write -P 0x33 64M 512"), 0);
    const std::vector<Place> chain{{primary.root(), "top.qcow2", DiskFormat::qcow2}, {primary.root(), "base.qcow2", DiskFormat::qcow2}};
    const storage::CopyEstimate told = primary.estimate_reflink(chain, size).value();
    EXPECT_GE(told.data_bytes, 40 * limits::kMiB);
    EXPECT_LT(told.file_bytes, 256 * limits::kKiB);
    const std::int64_t before = primary.capacity()->available_bytes;
    const auto made = primary.reflink_copy(chain, "copy.qcow2", size, {}, {});
    ASSERT_TRUE(made.has_value()) << made.error().detail;
    EXPECT_LT(before - primary.capacity()->available_bytes, 4 * limits::kMiB);
    const std::string copy = primary.root() + "/copy.qcow2";
    EXPECT_EQ(run_command({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", primary.root() + "/top.qcow2", copy}).exit_status, 0);
    EXPECT_EQ(run_command({"qemu-img", "check", "-f", "qcow2", copy}).exit_status, 0);
    EXPECT_EQ(run_command({"qemu-img", "info", "-f", "qcow2", copy}).output.find("backing file"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(On, Reflink, testing::Values(std::pair("Xfs", &on_xfs), std::pair("Btrfs", &on_btrfs)),
                         [](const auto& one) { return std::string(one.param.first); });

TEST(FakePrimaryStorage, FailsTheCallItIsToldToBeforeOrAfterItsEffect) {
    FakePrimaryStorage fake;
    fake.plant({"create_empty", 2, ErrorCode::storage_full});
    fake.plant({"create_overlay", 1, ErrorCode::timeout, true});
    EXPECT_TRUE(fake.create_empty("a", kSize, Provisioning::thin).has_value());
    EXPECT_EQ(fake.create_empty("b", kSize, Provisioning::thin).error().code, ErrorCode::storage_full);
    EXPECT_EQ(fake.create_overlay("c", {fake.root(), "a", DiskFormat::qcow2}, kSize).error().code, ErrorCode::timeout);
    EXPECT_FALSE(fake.exists("b").value());
    EXPECT_TRUE(fake.exists("c").value());
    EXPECT_EQ(fake.calls().at(1), "create_empty b");
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Storages, PrimaryStorageContract,
                         testing::Values(StorageSubject{"Fake", [] { return std::make_unique<FakeUnderTest>(); }},
                                         StorageSubject{"FakeThatSharesBlocks", [] { return std::make_unique<FakeUnderTest>(true); }},
                                         StorageSubject{"Dir", [] { return std::make_unique<DirUnderTest>(std::nullopt); }},
                                         StorageSubject{"DirOwnedByNobody", [] { return std::make_unique<DirUnderTest>(kNobody); }},
                                         StorageSubject{"DirOnXfs", [] { return on_xfs(); }},
                                         StorageSubject{"DirOnBtrfs", [] { return on_btrfs(); }}),
                         subject_name);

}  // namespace ramet::test

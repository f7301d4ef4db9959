// Memory captures of real guests of one sector.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "base/crash_point.hpp"
#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "hypervisor/qemu/stream_splitter.hpp"
#include "support/qemu_vms.hpp"

namespace ramet::test {
namespace {

using hypervisor::DomainState;

const hypervisor::StreamExpectation kExpected{hypervisor::kMachineType, hypervisor::kMemoryBlock, 32U << 20, hypervisor::kScreenBlock};

class PrefixSource final : public hypervisor::ByteSource {
public:
    explicit PrefixSource(std::string_view text, std::size_t at_once = 1 << 20) : text_(text), at_once_(at_once) {}
    Result<std::size_t> read(std::span<std::byte> buffer) override {
        const std::size_t count = std::min({buffer.size(), text_.size() - place, at_once_});
        std::memcpy(buffer.data(), text_.data() + place, count);
        place += count;
        return count;
    }
    std::size_t place = 0;

private:
    std::string_view text_;
    std::size_t at_once_;
};

// Where in the stream the contents of pages end.
class PagesAt final : public hypervisor::PageSink {
public:
    Result<void> page(std::uint64_t, std::span<const std::byte> bytes) override {
        if (!bytes.empty()) ends.push_back(source != nullptr ? source->place : 0);
        return {};
    }
    const PrefixSource* source = nullptr;
    std::vector<std::size_t> ends;
};

class MemoryCapture : public testing::Test {
protected:
    void SetUp() override {
        if (!vms_.why.empty()) GTEST_SKIP() << vms_.why;
        source_ = vms_.vm(GuestMode::idle);
        ASSERT_TRUE(vms_.hypervisor().start(source_).has_value());
        ASSERT_TRUE(vms_.guest_runs(source_.vm));
    }
    hypervisor::OverlaySpec overlay() { return {source_.disks[0].volume, vms_.overlay_for(source_.disks[0])}; }
    hypervisor::DomainSpec clone_spec() {
        hypervisor::DomainSpec clone = source_;
        clone.vm = VmId::random();
        clone.disks[0].volume = VolumeId::random();
        clone.disks[0].chain_top_first.insert(clone.disks[0].chain_top_first.begin(), vms_.overlay_for(source_.disks[0]));
        clone.nics[0].nic = NicId::random();
        clone.nics[0].mac = "fa:16:3e:00:00:02";
        return clone;
    }
    // The server lets go of its QEMU, which then sends its state to a file.
    std::string stream_of_source() {
        vms_.close_server();
        const std::string path = vms_.run_file(source_.vm, "stream");
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        const hypervisor::Fd directory(::open(vms_.run_file(source_.vm, "").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        auto qmp = hypervisor::Qmp::open(hypervisor::connect_unix(directory.get(), "qmp.sock", deadline).value(), deadline).value();
        {
            const hypervisor::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            EXPECT_TRUE(qmp->run("stop").has_value());
            EXPECT_TRUE(qmp->run("getfd", {{"fdname", "stream"}}, file.get()).has_value());
            EXPECT_TRUE(qmp->run("migrate", {{"uri", "fd:stream"}}).has_value());
        }
        EXPECT_TRUE(eventually([&] {
            const auto told = qmp->run("query-migrate");
            return told.has_value() && boost::json::serialize(*told).find("\"completed\"") != std::string::npos;
        }));
        qmp.reset();
        vms_.restart_server();
        EXPECT_TRUE(vms_.hypervisor().reattach().has_value());
        return read_file(path);
    }
    // Nothing is left to be settled either: a disk's top is known then.
    bool goes_on() {
        return eventually([this] {
            return vms_.hypervisor().state(source_.vm).value_or(DomainState::shut_off) == DomainState::running &&
                   vms_.hypervisor().disk_tops(source_.vm).has_value();
        });
    }
    QemuVms vms_;
    hypervisor::DomainSpec source_;
};

TEST_F(MemoryCapture, SealsTheMemoryAndOpensItForEachClone) {
    const hypervisor::MemoryPlace place = vms_.memory_place();
    const auto facts = vms_.hypervisor().capture_memory(source_.vm, {overlay()}, place, {});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    const std::string before = read_file(place.directory + "/ram");
    EXPECT_EQ(before.size(), 32U << 20);
    struct stat written{};
    ASSERT_EQ(::stat((place.directory + "/ram").c_str(), &written), 0);
    EXPECT_LT(written.st_blocks * 512, written.st_size / 8) << "the guest has used next to nothing";
    EXPECT_GT(written.st_blocks, 0);
    EXPECT_EQ(facts->allocated_bytes, written.st_blocks * 512);
    for (int i = 0; i < 2; ++i) {
        const hypervisor::DomainSpec clone = clone_spec();
        const Result<void> gone_on = vms_.hypervisor().start_from_memory(clone, place, facts->layout, 1);
        ASSERT_TRUE(gone_on.has_value()) << gone_on.error().message << " | " << gone_on.error().detail;
        struct stat seen{};
        ASSERT_EQ(::stat((place.directory + "/ram").c_str(), &seen), 0);
        EXPECT_EQ(seen.st_mode & 07777, 0400U);
        EXPECT_TRUE(vms_.hypervisor().stop(clone.vm, hypervisor::StopMode::cold, {}).has_value());
    }
    EXPECT_TRUE(read_file(place.directory + "/ram") == before) << "a clone wrote to the image";
    EXPECT_TRUE(vms_.hypervisor().remove_memory(place).has_value());
}

TEST_F(MemoryCapture, AVmInTheBackgroundGetsItsPriorityBack) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a priority back";
    const auto policies = [this](const VmId& vm) {
        std::set<int> found;
        for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(vms_.process_of(vm)->pid) + "/task"))
            found.insert(::sched_getscheduler(static_cast<pid_t>(std::stoi(thread.path().filename()))));
        return found;
    };
    const auto group = [this](const VmId& vm) {
        return "/proc/" + std::to_string(vms_.process_of(vm)->pid) + "/autogroup";
    };  // absent in some kernels
    vms_.hypervisor().in_background(source_.vm, true);
    EXPECT_EQ(policies(source_.vm), std::set<int>{SCHED_IDLE});
    if (std::filesystem::exists(group(source_.vm))) { EXPECT_THAT(read_file(group(source_.vm)), testing::EndsWith("nice 19\n")); }
    vms_.hypervisor().in_background(source_.vm, false);
    EXPECT_EQ(policies(source_.vm), std::set<int>{SCHED_OTHER});
    if (std::filesystem::exists(group(source_.vm))) { EXPECT_THAT(read_file(group(source_.vm)), testing::EndsWith("nice 0\n")); }
    const hypervisor::MemoryPlace place = vms_.memory_place();
    const auto facts = vms_.hypervisor().capture_memory(source_.vm, {overlay()}, place, {});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    const hypervisor::DomainSpec clone = clone_spec();
    vms_.hypervisor().in_background(clone.vm, true);  // from its first instruction
    const Result<void> gone_on = vms_.hypervisor().start_from_memory(clone, place, facts->layout, 1);
    ASSERT_TRUE(gone_on.has_value()) << gone_on.error().message << " | " << gone_on.error().detail;
    EXPECT_EQ(policies(clone.vm), std::set<int>{SCHED_IDLE});
    vms_.hypervisor().in_background(clone.vm, false);
    EXPECT_EQ(policies(clone.vm), std::set<int>{SCHED_OTHER});
}

TEST_F(MemoryCapture, WhatIsKeptOfAStreamIsAStream) {
    const hypervisor::MemoryPlace place = vms_.memory_place();
    ASSERT_TRUE(vms_.hypervisor().capture_memory(source_.vm, {overlay()}, place, {}).has_value());
    const std::string state = read_file(place.directory + "/state");
    PagesAt pages;
    PrefixSource source(state);
    const Result<std::string> split = hypervisor::split_stream(source, pages, kExpected);
    ASSERT_TRUE(split.has_value()) << split.error().detail;
    EXPECT_TRUE(*split == state);
    EXPECT_TRUE(pages.ends.empty());
    EXPECT_TRUE(vms_.hypervisor().remove_memory(place).has_value());
}

// As QEMU sends it, pages and all. By night every length. By day not those within a page's content, where one is as good as another; a record of a page
// of zeros has 9 bytes, and there are thousands: with a stride that is not a multiple of three each of its bytes is the last one many times.
TEST_F(MemoryCapture, OfARealStreamNoPrefixIsTakenForTheWhole) {
    const std::string stream = stream_of_source();
    PagesAt pages;
    PrefixSource whole(stream, 1);  // a byte at a time: the place in the stream is known at each page
    pages.source = &whole;
    ASSERT_TRUE(hypervisor::split_stream(whole, pages, kExpected).has_value());
    EXPECT_GT(pages.ends.size(), 10U) << "the guest's memory is in it";
    std::vector<bool> in_page(stream.size() + 1);
    for (const std::size_t end : pages.ends)
        std::fill_n(in_page.begin() + static_cast<std::ptrdiff_t>(end - hypervisor::kGuestPageBytes), hypervisor::kGuestPageBytes, true);
    const char* campaign = std::getenv("RAMET_CAMPAIGN");
    const bool is_night = campaign != nullptr && std::string(campaign) == "nightly";
    constexpr std::size_t kStride = 211;
    constexpr std::size_t kEnds = 600;             // where the first and the last records are: every byte at any time
    std::map<std::string, std::size_t> cut_short;  // what, how often
    for (std::size_t length = 0; length < stream.size(); ++length) {
        const bool at_an_end = length < kEnds || length + kEnds > stream.size();
        const bool within_page = length > 0 && in_page[length - 1] && in_page[length + 1];
        if (!is_night && !at_an_end && (within_page || length % kStride != 0)) continue;
        PagesAt seen;
        PrefixSource source(std::string_view(stream).substr(0, length));
        const auto split = hypervisor::split_stream(source, seen, kExpected);
        ASSERT_FALSE(split.has_value()) << "cut to " << length << " of " << stream.size() << " bytes";
        const std::string reached = "after " + std::to_string(length) + " bytes, in ", told = split.error().detail;
        ASSERT_THAT(told, testing::StartsWith(reached));
        if (in_page[length]) { ASSERT_EQ(told, reached + "a page's content of memory block " + hypervisor::kMemoryBlock); }
        ++cut_short[told.substr(reached.size())];
    }
    std::size_t tried = 0;
    for (const auto& [what, count] : cut_short) {
        std::cout << count << " cut short " << what << "\n";
        tried += count;
    }
    std::cout << tried << " of " << stream.size() << " lengths\n";
    if (is_night) { EXPECT_EQ(tried, stream.size()); }
}

TEST_F(MemoryCapture, AQemuThatDiesMeanwhileIsAnErrorThatLeavesNoFiles) {
    const hypervisor::MemoryPlace place = vms_.memory_place();
    const hypervisor::OverlaySpec cut = overlay();
    std::jthread killer([this] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // wherever it is by then
        vms_.crash(source_.vm);
    });
    const auto facts = vms_.hypervisor().capture_memory(source_.vm, {cut}, place, {});
    killer.join();
    struct stat seen{};
    if (!facts.has_value()) { EXPECT_NE(::stat(place.directory.c_str(), &seen), 0); }
    EXPECT_EQ(vms_.hypervisor().state(source_.vm).value(), DomainState::shut_off);
    EXPECT_TRUE(vms_.hypervisor().remove_memory(place).has_value());
}

// QEMU is stopped, as by a host out of memory, at a point of the capture.
struct HungAt {
    static inline std::string point;
    static inline pid_t process = -1;
    HungAt(std::string where, pid_t pid) {
        point = std::move(where);
        process = pid;
        hook_crash_points([](const char* name) {
            if (point == name) ::kill(process, SIGSTOP);
        });
    }
    ~HungAt() {
        hook_crash_points(nullptr);
        ::kill(process, SIGCONT);
    }
};

TEST_F(MemoryCapture, ACancelWhileQemuHangsIsQuickAndTheGuestGoesOnWhenItAnswers) {
    for (const char* point : {"qemu.memory.stopped", "qemu.memory.cut", "qemu.memory.streaming"}) {
        SCOPED_TRACE(point);
        const hypervisor::MemoryPlace place = vms_.memory_place();
        const hypervisor::OverlaySpec cut = overlay();
        {
            const HungAt hung(point, vms_.process_of(source_.vm)->pid);
            std::stop_source cancel;
            std::jthread canceller([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(700));  // well within what a capture that works takes
                cancel.request_stop();
            });
            const auto begun = std::chrono::steady_clock::now();
            const auto facts = vms_.hypervisor().capture_memory(source_.vm, {cut}, place, cancel.get_token());
            ASSERT_FALSE(facts.has_value());
            EXPECT_EQ(facts.error().code, ErrorCode::cancelled) << facts.error().message << " | " << facts.error().detail;
            EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(2700));
        }
        EXPECT_TRUE(goes_on());
        const auto tops = vms_.hypervisor().disk_tops(source_.vm);
        ASSERT_TRUE(tops.has_value()) << tops.error().message;
        // Whether it was cut is what QEMU says, and then another capture stands on it.
        source_.disks[0].chain_top_first = tops->front().chain_top_first;
        std::string why;  // a moment is needed until it is done with the one that was called off
        EXPECT_TRUE(eventually([&] {
            const auto again = vms_.hypervisor().capture_memory(source_.vm, {overlay()}, vms_.memory_place(), {});
            if (!again.has_value()) why = again.error().message + " | " + again.error().detail;
            return again.has_value();
        })) << why;
        source_.disks[0].chain_top_first = vms_.hypervisor().disk_tops(source_.vm)->front().chain_top_first;
    }
}

TEST_F(MemoryCapture, AServerThatComesLaterLetsTheGuestGoOn) {
    {
        const HungAt hung("qemu.memory.stopped", vms_.process_of(source_.vm)->pid);
        std::stop_source cancel;
        std::jthread canceller([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
            cancel.request_stop();
        });
        ASSERT_FALSE(vms_.hypervisor().capture_memory(source_.vm, {overlay()}, vms_.memory_place(), cancel.get_token()).has_value());
        vms_.close_server();
    }
    vms_.restart_server();
    ASSERT_TRUE(vms_.hypervisor().reattach().has_value());
    EXPECT_TRUE(goes_on());
}

}  // namespace
}  // namespace ramet::test

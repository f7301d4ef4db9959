// Processes that are forked are like those that are executed; what cannot be forked is executed.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <array>
#include <climits>
#include <deque>
#include <future>
#include <set>
#include <sstream>
#include <thread>

#include "hypervisor/qemu/fork_server.hpp"
#include "hypervisor/qemu/fork_server_protocol.hpp"
#include "hypervisor/qemu/qmp.hpp"
#include "support/hypervisor_subject.hpp"
#include "support/storage_files.hpp"

namespace ramet::test {
namespace {

using hypervisor::Fd;
using hypervisor::ForkServer;
using hypervisor::Launch;
using hypervisor::Process;
using namespace std::chrono_literals;

constexpr const char* kProgram = "/usr/bin/python3";

bool is_fork(const Process& process) {
    const Fd file(::open(("/proc/" + std::to_string(process.pid) + "/environ").c_str(), O_RDONLY | O_CLOEXEC));
    std::string text(4096, '\0');
    const ssize_t count = ::read(file.get(), text.data(), text.size());
    return text.substr(0, count > 0 ? static_cast<std::size_t>(count) : 0).find("LD_PRELOAD=") != std::string::npos;
}

struct ForkServerTest : testing::Test {
    TempDir directory;
    Fd working{::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    std::vector<Fd> files;

    hypervisor::ForkServerOptions options(const std::string& library = hypervisor::beside_this_program("ramet-fork-server.so")) {
        return {kProgram, library, directory.file("fork-server.log"), std::nullopt, false};
    }
    Launch script(const std::string& text, const std::vector<std::string>& more = {}) {
        files.emplace_back(::open(directory.file("log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        Launch order;
        order.program = kProgram;
        order.arguments = {"-c", text};
        order.arguments.insert(order.arguments.end(), more.begin(), more.end());
        order.directory = working.get();
        order.log = files.back().get();
        return order;
    }
    int file_with(const std::string& text) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        files.emplace_back(ends[0]);
        const Fd writing(ends[1]);
        EXPECT_EQ(::write(writing.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
        return files.back().get();
    }
    static int code_of(const Process& process) {
        EXPECT_TRUE(hypervisor::wait_for_end(process, 20s));
        const std::optional<int> code = hypervisor::reap(process, false);
        EXPECT_TRUE(code.has_value()) << "it is no child of this process";
        return code.value_or(-1);
    }
    std::string log() { return read_file(directory.file("log")); }
};

// What a process can tell of itself, but for its pid.
constexpr const char* kTell = R"(
import os, signal, sys
print(sys.argv[1:], os.getcwd(), os.getppid(), os.getpid() == os.getsid(0), sorted(os.environ.items()), flush=True)
print(open("/proc/self/cmdline").read().split("\0")[3:], os.umask(0), sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1], flush=True)
print([line for line in open("/proc/self/status") if line.startswith("THP_enabled")], flush=True)
print([os.read(100 + n, 99) for n in range(3)], [s for s in range(1, 32) if signal.getsignal(s) == signal.SIG_IGN], file=sys.stderr, flush=True)
sys.exit(7)
)";

TEST_F(ForkServerTest, AForkIsLikeAProcessThatWasExecuted) {
    ForkServer server(options());
    std::vector<std::string> told;
    for (const bool forked : {true, false}) {
        Launch order = script(kTell, {"", "a b", "guest=x"});
        order.huge_pages = false;
        for (const char* text : {"first", "second", "third"}) order.inherited.push_back(file_with(text));
        const Result<Process> process = forked ? server.launch(order) : hypervisor::launch(order);
        ASSERT_TRUE(process.has_value()) << process.error().detail;
        EXPECT_EQ(process->start_time, hypervisor::start_time_of(process->pid).value_or(0));
        EXPECT_EQ(is_fork(*process), forked);
        EXPECT_EQ(code_of(*process), 7) << log();
        told.push_back(log());
        std::filesystem::remove(directory.file("log"));
    }
    EXPECT_EQ(told[0], told[1]);
    EXPECT_NE(told[0].find("['', 'a b', 'guest=x'] " + directory.path() + " " + std::to_string(::getpid()) + " True"), std::string::npos) << told[0];
    EXPECT_NE(told[0].find("THP_enabled:\\t0"), std::string::npos) << told[0];
    EXPECT_NE(told[0].find("[b'first', b'second', b'third']"), std::string::npos) << told[0];
}

TEST_F(ForkServerTest, ManyAtOnce) {
    ForkServer server(options());
    std::vector<Launch> orders;
    orders.reserve(40);
    for (int i = 0; i < 40; ++i) orders.push_back(script("import sys, time; time.sleep(1); sys.exit(int(sys.argv[1]))", {std::to_string(i)}));
    std::vector<std::future<int>> codes;
    codes.reserve(40);
    for (const Launch& order : orders) {
        codes.push_back(std::async(std::launch::async, [&] {
            const Result<Process> process = server.launch(order);
            return process.has_value() && is_fork(*process) ? code_of(*process) : -1;
        }));
    }
    for (int i = 0; i < 40; ++i) EXPECT_EQ(codes[static_cast<std::size_t>(i)].get(), i);
    EXPECT_EQ(log(), "");
}

TEST_F(ForkServerTest, ExecutesWhatCannotBeForked) {
    const auto runs = [&](ForkServer& server, const Launch& order, bool forked) {
        const Result<Process> process = server.launch(order);
        ASSERT_TRUE(process.has_value()) << process.error().detail;
        EXPECT_EQ(is_fork(*process), forked);
        EXPECT_EQ(code_of(*process), 0) << log();
    };
    const std::string waits = "import time; time.sleep(0.3)";
    ForkServer server(options());
    Launch many = script(waits);
    for (std::size_t i = 0; i < hypervisor::kForkFilesMax; ++i) many.inherited.push_back(file_with(""));
    runs(server, many, false);
    runs(server, script(waits, {std::string(hypervisor::kForkOrderBytesMax / 2, 'x'), std::string(hypervisor::kForkOrderBytesMax / 2, 'y')}), false);
    Launch other = script(waits);
    other.program = "/usr/bin/sleep";
    other.arguments = {"0.3"};
    runs(server, other, false);
    runs(server, script(waits), true);
    ForkServer none(options(""));
    runs(none, script(waits), false);
    ForkServer lost(options(directory.file("nowhere.so")));
    for (int i = 0; i < 5; ++i) runs(lost, script(waits), false);
    write_file(directory.file("empty.so"), "");  // the linker says so and goes on without it
    ForkServer broken(options(directory.file("empty.so")));
    for (int i = 0; i < 5; ++i) runs(broken, script(waits), false);
    EXPECT_NE(read_file(directory.file("fork-server.log")).find("Python 3"), std::string::npos) << "what it says when it is not held back";
}

pid_t server_of(const std::string& log) {
    for (const pid_t pid : hypervisor::all_processes()) {
        std::array<char, PATH_MAX> path;
        const ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/fd/2").c_str(), path.data(), path.size());
        if (size > 0 && std::string_view(path.data(), static_cast<std::size_t>(size)) == log) return pid;
    }
    return -1;
}

TEST_F(ForkServerTest, ComesBackAfterItsEndAndEndsWithoutItsProcesses) {
    auto server = std::make_unique<ForkServer>(options());
    const std::string waits = "import sys; sys.stdin.read(); import time; time.sleep(30)";
    std::vector<Process> processes;
    processes.push_back(server->launch(script(waits)).value());
    const pid_t first = server_of(directory.file("fork-server.log"));
    ASSERT_GT(first, 0);
    const Process killed = hypervisor::open_process(first, hypervisor::start_time_of(first).value_or(0)).value();
    hypervisor::kill_process(killed);
    ASSERT_TRUE(hypervisor::wait_for_end(killed, 20s));
    processes.push_back(server->launch(script(waits)).value());
    EXPECT_TRUE(is_fork(processes[1]));
    EXPECT_NE(server_of(directory.file("fork-server.log")), first);
    server.reset();
    EXPECT_EQ(server_of(directory.file("fork-server.log")), -1);
    for (const Process& process : processes) {
        EXPECT_FALSE(hypervisor::has_ended(process));
        hypervisor::kill_process(process);
        EXPECT_EQ(code_of(process), 128 + SIGKILL);
    }
}

TEST_F(ForkServerTest, IsMadeAnewWhenTheProgramsFileIsAnother) {
    const std::string program = directory.file("python");
    std::filesystem::copy_file(kProgram, program);
    hypervisor::ForkServerOptions of_copy = options();
    of_copy.program = program;
    ForkServer server(of_copy);
    const auto run = [&] {
        Launch order = script("import time; time.sleep(0.2)");
        order.program = program;
        const Process process = server.launch(order).value();
        EXPECT_TRUE(is_fork(process));
        const pid_t parent = server_of(directory.file("fork-server.log"));
        EXPECT_EQ(code_of(process), 0) << log();
        return parent;
    };
    const pid_t first = run();
    EXPECT_EQ(run(), first);
    std::filesystem::copy_file(kProgram, program + ".new");
    std::filesystem::rename(program + ".new", program);  // as a package manager does
    EXPECT_NE(run(), first);
}

struct MachineTest : ForkServerTest {
    static constexpr const char* kQemu = "/usr/bin/qemu-system-x86_64";
    struct Machine {
        Process process;
        std::unique_ptr<hypervisor::Qmp> qmp;
    };

    std::optional<ForkServer> server;
    std::deque<Machine> machines;

    void SetUp() override {
        hypervisor::ForkServerOptions of_qemu = options();
        of_qemu.program = kQemu;
        of_qemu.registers_types = true;
        server.emplace(of_qemu);
    }
    void TearDown() override {
        for (const Machine& machine : machines) {
            hypervisor::kill_process(machine.process);
            EXPECT_EQ(code_of(machine.process), 128 + SIGKILL);
        }
    }
    sockaddr_un address_of(const std::string& name) {
        sockaddr_un address{AF_UNIX, {}};
        directory.file(name).copy(address.sun_path, sizeof address.sun_path - 1);
        return address;
    }
    // With `state` it waits to be told to go on, with what is captured there.
    hypervisor::Qmp& start(const std::string& name, bool once = false, std::optional<int> state = std::nullopt) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        files.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address = address_of(name);
        EXPECT_EQ(::bind(files.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(files.back().get(), 1), 0);
        const int listener = files.back().get();
        Launch order = script("");
        order.program = kQemu;
        order.arguments = {"-nodefaults",
                           "-display",
                           "none",
                           "-machine",
                           "q35,usb=off,vmport=off",
                           "-accel",
                           "tcg,tb-size=16",
                           "-m",
                           "64",
                           "-smp",
                           "2",
                           "-device",
                           "VGA",
                           "-device",
                           "pcie-pci-bridge,id=bridge",
                           "-device",
                           "virtio-serial-pci,bus=bridge,addr=1",
                           "-device",
                           "virtio-rng-pci",
                           "-netdev",
                           "user,id=net,restrict=on",
                           "-device",
                           "virtio-net-pci,netdev=net,bus=bridge,addr=2",
                           "-netdev",
                           "user,id=other,restrict=on",
                           "-device",
                           "e1000,netdev=other,bus=bridge,addr=3",
                           "-blockdev",
                           "driver=null-co,node-name=disk,read-zeroes=on",
                           "-device",
                           "virtio-blk-pci,id=boot,drive=disk,bus=bridge,addr=4",
                           "-chardev",
                           "socket,id=qmp,server=on,wait=off,fd=" + std::to_string(hypervisor::kFirstInheritedFd),
                           "-mon",
                           "chardev=qmp,mode=control"};
        order.inherited = {listener};
        if (state) {
            order.arguments.insert(order.arguments.end(), {"-S", "-incoming", "fd:" + std::to_string(hypervisor::kFirstInheritedFd + 1)});
            order.inherited.push_back(*state);
        }
        order.laid_out_once = once;
        machines.push_back({server->launch(order).value(), nullptr});
        EXPECT_TRUE(is_fork(machines.back().process));
        machines.back().qmp = hypervisor::Qmp::open(hypervisor::connect_unix(working.get(), name, deadline).value(), deadline).value();
        return *machines.back().qmp;
    }
    static std::string said(hypervisor::Qmp& qmp, const std::string& text) {
        const auto answer = qmp.run("human-monitor-command", {{"command-line", text}});
        return answer.has_value() ? std::string(answer->as_string()) : answer.error().detail;
    }
};

// What QEMU says of where a machine's memory is: its layouts in no order, each with the address spaces that have it.
std::multiset<std::string> layouts_in(const std::string& text) {
    std::istringstream lines(text);
    std::multiset<std::string> layouts;
    std::string layout;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("FlatView #")) {
            layout += line + '\n';
        } else if (!layout.empty()) {
            layouts.insert(std::exchange(layout, ""));
        }
    }
    layouts.insert(layout);
    return layouts;
}

// The firmware of the source has given each device its place, and let some reach the memory: its boot disk has a queue there.
TEST_F(MachineTest, WhoseMemoryIsLaidOutOnceHasTheLayoutThatWasCaptured) {
    hypervisor::Qmp& source = start("source");
    const std::string boot_queue = "info virtio-queue-status /machine/peripheral/boot/virtio-backend 0";
    const auto disk_was_read = [&] {
        const std::string queue = said(source, boot_queue);
        return queue.find(" used_idx: ") != std::string::npos && queue.find(" used_idx:             0\r\n") == std::string::npos;
    };
    ASSERT_TRUE(eventually(disk_was_read));
    ASSERT_TRUE(source.run("stop").has_value());
    const std::string captured = said(source, "info mtree -f"), queue = said(source, boot_queue);
    const std::string state = directory.file("state");
    const auto open_state = [&](int flags) { return files.emplace_back(::open(state.c_str(), flags | O_CLOEXEC, 0600)).get(); };
    ASSERT_TRUE(source.run("getfd", {{"fdname", "state"}}, open_state(O_WRONLY | O_CREAT)).has_value());
    ASSERT_TRUE(source.run("migrate", {{"uri", "fd:state"}}).has_value());
    ASSERT_TRUE(eventually([&] { return said(source, "info migrate").find("Migration status: completed") != std::string::npos; }));
    for (const bool once : {true, false}) {
        const std::string name = once ? "once" : "often";
        hypervisor::Qmp& loaded = start(name, once, open_state(O_RDONLY));
        ASSERT_TRUE(eventually([&] { return said(loaded, "info status").find("inmigrate") == std::string::npos; })) << log();
        EXPECT_EQ(layouts_in(said(loaded, "info mtree -f")), layouts_in(captured)) << name;
        EXPECT_EQ(said(loaded, "info pci"), said(source, "info pci")) << name;
        EXPECT_EQ(said(loaded, boot_queue), queue) << name;  // QEMU asks the guest's memory for some of it
    }
    EXPECT_GT(layouts_in(captured).size(), 2U);
}

// QEMU left to itself reads a byte at a time, and none while it carries out an order.
TEST_F(MachineTest, TakesItsOrdersAtOnce) {
    for (const bool is_clone : {true, false}) {
        const std::string name = is_clone ? "clone" : "other";
        start(name, is_clone);
        machines.back().qmp.reset();  // QEMU speaks with one
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        const Fd socket = hypervisor::connect_unix(working.get(), name, deadline).value();
        hypervisor::LineReader answers(socket.get(), 1 << 20);
        const auto say = [&](const std::string& orders) { ASSERT_TRUE(hypervisor::send_all(socket.get(), orders, -1, deadline).has_value()); };
        const auto unread = [&] {
            int bytes = -1;
            EXPECT_EQ(::ioctl(socket.get(), SIOCOUTQ, &bytes), 0);
            return bytes;
        };
        EXPECT_NE(answers.read_line(deadline).value_or("").find("QMP"), std::string::npos);
        say(R"({"execute":"qmp_capabilities"})");
        EXPECT_NE(answers.read_line(deadline).value_or("").find("return"), std::string::npos);
        // The first keeps it busy: it adds up the guest's memory. Some end within what is read at once, one goes on in what is read next.
        std::string orders = R"({"execute":"human-monitor-command","id":0,"arguments":{"command-line":"sum 0 33554432"}})";
        for (int id = 1; id <= 3; ++id) orders += R"({"execute":"stop","id":)" + std::to_string(id) + "}";
        orders += R"({"execute":"query-name","id":4})" + std::string(200, ' ') + R"({"execute":"no-such-order","id":5})";
        say(orders.substr(0, 120));
        const auto ends = std::chrono::steady_clock::now() + 100ms;
        while (unread() > 0 && std::chrono::steady_clock::now() < ends) std::this_thread::sleep_for(1ms);
        EXPECT_EQ(unread(), 0);
        say(orders.substr(120));
        std::vector<std::string> said;
        while (said.size() < 6) {
            const std::string line = answers.read_line(deadline).value_or("");
            ASSERT_FALSE(line.empty()) << said.size();
            if (line.find("\"event\"") == std::string::npos) said.push_back(line);
        }
        for (int id = 0; id < 6; ++id) EXPECT_NE(said[id].find("\"id\": " + std::to_string(id)), std::string::npos) << said[id];
        EXPECT_NE(said[0].find("\"return\": \""), std::string::npos) << said[0];
        EXPECT_NE(said[5].find("CommandNotFound"), std::string::npos) << said[5];
    }
}

}  // namespace
}  // namespace ramet::test

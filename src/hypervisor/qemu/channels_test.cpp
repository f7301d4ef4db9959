// QMP and the guest agent against a peer that the test plays itself.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <boost/json/serialize.hpp>
#include <thread>

#include "hypervisor/qemu/agent.hpp"
#include "hypervisor/qemu/qmp.hpp"

namespace ramet::hypervisor {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return std::chrono::steady_clock::now() + 5s; }

struct Pair {
    Fd ours, theirs;
    Pair() {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
            ours = Fd(ends[0]);
            theirs = Fd(ends[1]);
        }
    }
};

// The other end: reads lines, answers what the test says.
class Peer {
public:
    explicit Peer(Fd socket) : socket_(std::move(socket)), reader_(socket_.get(), 1 << 20) {}
    std::string line() {
        Result<std::string> text = reader_.read_line(soon());
        return text.has_value() ? *text : std::string();
    }
    std::string line_until(char end) {
        Result<std::string> text = reader_.read_line(soon(), end);
        return text.has_value() ? *text : std::string();
    }
    void say(const std::string& text) { EXPECT_TRUE(send_all(socket_.get(), text, -1, soon()).has_value()); }
    void answer(const std::string& request, const std::string& body) {
        const Result<boost::json::value> asked = parse_bounded(request);
        ASSERT_TRUE(asked.has_value()) << request;
        say("{\"id\": " + boost::json::serialize(asked->at("id")) + ", " + body + "}\r\n");
    }
    void greet() {
        say("{\"QMP\": {}}\r\n");
        answer(line(), "\"return\": {}");
    }
    void synchronise() {
        line_until('\xff');
        const Result<boost::json::value> asked = parse_bounded(line());
        ASSERT_TRUE(asked.has_value());
        say("\xff{\"return\": " + boost::json::serialize(asked->at("arguments").at("id")) + "}\n");
    }
    int fd() const { return socket_.get(); }

private:
    Fd socket_;
    LineReader reader_;
};

TEST(Qmp, MatchesAnswersAndKeepsEvents) {
    Pair pair;
    std::jthread peer([&] {
        Peer qemu(std::move(pair.theirs));
        qemu.greet();
        const std::string request = qemu.line();
        qemu.say(R"({"event": "STOP", "timestamp": {"seconds": 12, "microseconds": 34}})"
                 "\r\n");
        qemu.answer(request, R"("return": {"status": "paused"})");
        qemu.answer(qemu.line(), R"("error": {"class": "GenericError", "desc": "no such thing"})");
    });
    Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
    ASSERT_TRUE(qmp.has_value());
    const Result<boost::json::value> status = (*qmp)->run("query-status");
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(status->at("status").as_string(), "paused");
    const std::optional<QmpEvent> event = (*qmp)->take_event("STOP");
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->at.count(), 12'000'034);
    EXPECT_FALSE((*qmp)->take_event("STOP").has_value());
    const Result<boost::json::value> refused = (*qmp)->run("cont");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
    EXPECT_EQ(refused.error().detail, "cont: no such thing");
    EXPECT_FALSE((*qmp)->broken());
}

TEST(Qmp, GoesOnWithTheEventAndSkipsTheAnswer) {
    Pair pair;
    std::jthread peer([&] {
        Peer qemu(std::move(pair.theirs));
        qemu.greet();
        const std::string refused = qemu.line();
        qemu.answer(refused, R"("error": {"class": "GenericError", "desc": "no such thing"})");
        const std::string carried_out = qemu.line();
        qemu.say(R"({"event": "STOP"})"
                 "\r\n");
        qemu.say(R"({"event": "RESUME"})"
                 "\r\n");
        const std::string next = qemu.line();  // before the answer
        qemu.answer(carried_out, R"("return": {})");
        qemu.answer(next, R"("return": {"status": "running"})");
    });
    Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
    ASSERT_TRUE(qmp.has_value());
    EXPECT_EQ((*qmp)->run_until("cont", "RESUME").error().detail, "cont: no such thing");
    EXPECT_TRUE((*qmp)->run_until("cont", "RESUME").has_value());
    EXPECT_TRUE((*qmp)->take_event("RESUME").has_value()) << "it is kept as any other";
    const Result<boost::json::value> status = (*qmp)->run("query-status");
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(status->at("status").as_string(), "running");
    EXPECT_FALSE((*qmp)->broken());
}

TEST(Qmp, SendsManyAtOnceAndTellsTheFirstThatFailed) {
    Pair pair;
    std::jthread peer([&] {
        Peer qemu(std::move(pair.theirs));
        qemu.greet();
        for (const bool refuses : {false, true}) {
            const std::string first = qemu.line(), second = qemu.line(), third = qemu.line();  // all, before any answer
            qemu.answer(first, R"("return": {})");
            qemu.answer(second, refuses ? R"("error": {"class": "GenericError", "desc": "the second"})" : R"("return": {})");
            qemu.answer(third, refuses ? R"("error": {"class": "GenericError", "desc": "the third"})" : R"("return": {})");
        }
    });
    Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
    ASSERT_TRUE(qmp.has_value());
    EXPECT_TRUE((*qmp)->run_all({{"a", {}}, {"b", {}}, {"c", {}}}).has_value());
    EXPECT_EQ((*qmp)->run_all({{"a", {}}, {"b", {}}, {"c", {}}}).error().detail, "b: the second");
    EXPECT_FALSE((*qmp)->broken());
}

TEST(Qmp, IsBrokenAfterATimeoutAsTheAnswerMayStillCome) {
    Pair pair;
    std::jthread peer([&] {
        Peer qemu(std::move(pair.theirs));
        qemu.greet();
        qemu.line();
        qemu.line();  // until the connection closes
    });
    Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
    ASSERT_TRUE(qmp.has_value());
    const Result<boost::json::value> late = (*qmp)->run("stop", {}, -1, 30ms);
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, ErrorCode::timeout);
    EXPECT_TRUE((*qmp)->broken());
    EXPECT_FALSE((*qmp)->run("cont").has_value());
    qmp->reset();
}

TEST(Qmp, RefusesAnAnswerToAnotherQuestionAndWhatIsNoJson) {
    for (const std::string reply : {"{\"id\": 999, \"return\": {}}\r\n", "]]]\r\n", "7\r\n", "{\"return\": {}}\r\n"}) {
        Pair pair;
        std::jthread peer([&] {
            Peer qemu(std::move(pair.theirs));
            qemu.greet();
            qemu.line();
            qemu.say(reply);
        });
        Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
        ASSERT_TRUE(qmp.has_value());
        EXPECT_FALSE((*qmp)->run("stop").has_value()) << reply;
        EXPECT_TRUE((*qmp)->broken()) << reply;
    }
}

TEST(Qmp, PassesADescriptor) {
    Pair pair;
    struct stat sent{}, received{};
    std::jthread peer([&] {
        Peer qemu(std::move(pair.theirs));
        qemu.greet();
        char byte = 0;
        iovec part{&byte, 1};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        ASSERT_EQ(::recvmsg(qemu.fd(), &message, MSG_CMSG_CLOEXEC), 1);
        ASSERT_NE(CMSG_FIRSTHDR(&message), nullptr);
        int number = -1;
        std::memcpy(&number, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof number);
        const Fd file(number);
        ::fstat(file.get(), &received);
        qemu.answer(std::string(1, byte) + qemu.line(), "\"return\": {}");
    });
    Result<std::unique_ptr<Qmp>> qmp = Qmp::open(std::move(pair.ours), soon());
    ASSERT_TRUE(qmp.has_value());
    const Fd handle(::open("/tmp", O_PATH | O_CLOEXEC));
    ASSERT_EQ(::fstat(handle.get(), &sent), 0);
    ASSERT_TRUE((*qmp)->run("add-fd", {}, handle.get()).has_value());
    peer.join();
    EXPECT_EQ(received.st_ino, sent.st_ino);
}

TEST(LineReader, EndsALineThatHasNoEnd) {
    Pair pair;
    LineReader reader(pair.ours.get(), 1000);
    ASSERT_TRUE(send_all(pair.theirs.get(), std::string(5000, 'x'), -1, soon()).has_value());
    const Result<std::string> line = reader.read_line(soon());
    ASSERT_FALSE(line.has_value());
    EXPECT_EQ(line.error().code, ErrorCode::internal);
}

TEST(Agent, SkipsWhatAnEarlierConversationLeftBehind) {
    Pair pair;
    std::jthread peer([&] {
        Peer guest(std::move(pair.theirs));
        guest.line_until('\xff');
        const Result<boost::json::value> asked = parse_bounded(guest.line());
        ASSERT_TRUE(asked.has_value());
        guest.say("half an ans\xff{\"return\": 4711}\n{\"return\": {}}\n");
        guest.say("\xff{\"return\": " + boost::json::serialize(asked->at("arguments").at("id")) + "}\n");
        guest.line();
        guest.say("{\"return\": {}}\n");
    });
    Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), soon());
    ASSERT_TRUE(agent.has_value()) << agent.error().message;
    EXPECT_TRUE((*agent)->run("guest-ping", {}, soon()).has_value());
}

TEST(Agent, SaysThatASilentGuestHasNoAgent) {
    Pair pair;
    const Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), std::chrono::steady_clock::now() + 30ms);
    ASSERT_FALSE(agent.has_value());
    EXPECT_EQ(agent.error().code, ErrorCode::timeout);
    EXPECT_NE(agent.error().message.find("qemu-guest-agent"), std::string::npos);
}

TEST(Agent, RunsACommandAndGivesBackItsOutput) {
    Pair pair;
    std::string started;
    std::jthread peer([&] {
        Peer guest(std::move(pair.theirs));
        guest.synchronise();
        started = guest.line();
        guest.say("{\"return\": {\"pid\": 77}}\n");
        guest.line();
        guest.say("{\"return\": {\"exited\": false}}\n");
        guest.line();
        guest.say("{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \"" + base64("hello\n") + "\", \"err-data\": \"" + base64("oh") +
                  "\"}}\n");
    });
    Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), soon());
    ASSERT_TRUE(agent.has_value());
    const Result<ExecResult> result = (*agent)->exec("/bin/cat", {"-"}, "in\0put", soon());
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(result->exit_code, 3);
    EXPECT_EQ(result->out, "hello\n");
    EXPECT_EQ(result->err, "oh");
    peer.join();
    EXPECT_EQ(started,
              R"({"execute":"guest-exec","arguments":{"path":"/bin/cat","capture-output":true,"arg":["-"],"input-data":")" + base64("in") + "\"}}");
}

TEST(Agent, DoesNotBelieveALyingGuest) {
    const std::vector<std::string> replies{"{\"return\": {\"pid\": \"x\"}}\n", "[]\n", "{\"return\": 5}\n", "{}\n", "{\"error\": 7}\n",
                                           std::string(300, '[') + "\n"};
    for (const std::string& reply : replies) {
        Pair pair;
        std::jthread peer([&] {
            Peer guest(std::move(pair.theirs));
            guest.synchronise();
            guest.line();
            guest.say(reply);
        });
        Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), soon());
        ASSERT_TRUE(agent.has_value());
        const Result<ExecResult> result = (*agent)->exec("/bin/true", {}, "", soon());
        ASSERT_FALSE(result.has_value()) << reply;
        EXPECT_EQ(result.error().code, ErrorCode::operation_failed) << reply;
    }
}

// A guest whose clock is late by what is said after each time it is set; `complaint`: what it answers to being set.
Result<void> set_clock_of(std::vector<std::chrono::milliseconds> late, const std::string& complaint, int& times_set) {
    Pair pair;
    std::jthread peer([&] {
        Peer guest(std::move(pair.theirs));
        guest.synchronise();
        for (const std::chrono::milliseconds behind : late) {
            if (guest.line().find("guest-set-time") == std::string::npos) return;
            ++times_set;
            guest.say(complaint.empty() ? "{\"return\": {}}\n" : complaint + "\n");
            if (guest.line().find("guest-get-time") == std::string::npos) return;
            const std::chrono::nanoseconds time = std::chrono::system_clock::now().time_since_epoch() - behind;
            guest.say("{\"return\": " + std::to_string(time.count()) + "}\n");
        }
    });
    Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), soon());
    if (!agent.has_value()) return std::unexpected(agent.error());
    return (*agent)->set_clock(soon());
}

TEST(Agent, SetsAClockAgainUntilItIsRight) {
    int times = 0;
    const Result<void> slow = set_clock_of({4500ms, -700ms, 20ms}, {}, times);
    EXPECT_TRUE(slow.has_value()) << slow.error().message;
    EXPECT_EQ(times, 3);
    times = 0;
    const Result<void> without_hwclock = set_clock_of({0ms}, R"({"error": {"class": "GenericError", "desc": "hwclock failed"}})", times);
    EXPECT_TRUE(without_hwclock.has_value()) << without_hwclock.error().message;
    times = 0;
    EXPECT_FALSE(set_clock_of(std::vector<std::chrono::milliseconds>(20, 1h), {}, times).has_value());
    EXPECT_EQ(times, 5) << "a guest that lies is not asked for ever";
    EXPECT_FALSE(set_clock_of({1h}, R"({"error": {"class": "CommandNotFound", "desc": "disabled"}})", times).has_value());
}

TEST(Agent, StopsReadingAFileThatIsLongerThanAllowed) {
    Pair pair;
    std::jthread peer([&] {
        Peer guest(std::move(pair.theirs));
        guest.synchronise();
        guest.line();
        guest.say("{\"return\": 1000}\n");
        guest.line();
        guest.say("{\"return\": {\"count\": 6, \"buf-b64\": \"" + base64("abcdef") + "\", \"eof\": false}}\n");
        EXPECT_NE(guest.line().find("guest-file-close"), std::string::npos);
        guest.say("{\"return\": {}}\n");
    });
    Result<std::unique_ptr<Agent>> agent = Agent::open(std::move(pair.ours), soon());
    ASSERT_TRUE(agent.has_value());
    const Result<std::string> content = (*agent)->read_file("/etc/machine-id", 5, soon());
    ASSERT_FALSE(content.has_value());
    EXPECT_EQ(content.error().code, ErrorCode::operation_failed);
}

TEST(Base64, ComesBackAsItWas) {
    for (const std::string& raw : {std::string(), std::string("a"), std::string("ab"), std::string("abc"), std::string("\0\xff\x80", 3)}) {
        const Result<std::string> back = from_base64(base64(raw));
        ASSERT_TRUE(back.has_value());
        EXPECT_EQ(*back, raw);
    }
    EXPECT_FALSE(from_base64("!!!").has_value());
}

}  // namespace
}  // namespace ramet::hypervisor

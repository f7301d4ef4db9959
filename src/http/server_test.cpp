#include "http/server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "http/test_client.hpp"

namespace ramet::http::server_test {

using namespace std::chrono_literals;

ServerOptions quick_options() {
    ServerOptions options;
    options.port = 0;
    options.handler_threads = 2;
    options.read_timeout = 300ms;
    options.keep_alive_timeout = 300ms;
    options.stop_timeout = 5s;
    return options;
}

Reply echo(const Request& request) { return text_response(200, request.method + " " + request.target + " " + std::to_string(request.body.size())); }

class Running {
public:
    explicit Running(RequestHandler handler = echo, ServerOptions options = quick_options()) : server(std::move(options), std::move(handler)) {
        const Result<void> started = server.start();
        EXPECT_TRUE(started.has_value()) << started.error().message;
    }
    Server server;
};

std::string get(std::string_view path, std::string_view headers = "") {
    return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}

TEST(Server, AnswersAndKeepsTheConnection) {
    Running running;
    TestClient client(running.server.port());
    EXPECT_EQ(client.ask(get("/one?a=%20b")).body, "GET /one?a=%20b 0\n");
    const Response second = client.ask("PUT /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_EQ(second.body, "PUT /two 3\n");
    EXPECT_EQ(second.content_type, "text/plain;charset=UTF-8");
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    Running running;
    TestClient client(running.server.port());
    ASSERT_TRUE(client.send(get("/1") + "PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxx" + get("/3")));
    EXPECT_EQ(client.receive().body, "GET /1 0\n");
    EXPECT_EQ(client.receive().body, "PUT /2 2\n");
    EXPECT_EQ(client.receive().body, "GET /3 0\n");
}

TEST(Server, TakesChunkedBodies) {
    Running running;
    TestClient client(running.server.port());
    EXPECT_EQ(client.ask("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").body, "POST /c 7\n");
}

TEST(Server, AHeadAnswerHasTheLengthAndNoBody) {
    Running running;
    TestClient client(running.server.port());
    ASSERT_TRUE(client.send("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next")));
    const Response head = client.receive(true);
    ASSERT_NE(header_of(head, "Content-Length"), nullptr);
    EXPECT_EQ(*header_of(head, "Content-Length"), "10");
    EXPECT_EQ(client.receive().body, "GET /next 0\n");
}

TEST(Server, RefusesWhatIsMalformedAndCloses) {
    struct Probe {
        const char* what;
        std::string bytes;
        int status;
    };
    const std::string big_head = get("/", "X-Large: " + std::string(20'000, 'x') + "\r\n");
    std::string many;
    for (int i = 0; i < 5000; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
    Running running;
    for (const Probe& probe : {
             Probe{"length and chunks", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
             Probe{"chunks and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
             Probe{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400},
             Probe{"a length that is none", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4x\r\n\r\nabcd", 400},
             Probe{"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
             Probe{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400},
             Probe{"NUL in a header", std::string("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 35), 400},
             Probe{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
             Probe{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
             Probe{"another version", "GET / HTTP/3.7\r\nHost: a\r\n\r\n", 400},
             Probe{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
             Probe{"no HTTP", "hello there\r\n\r\n", 400},
             Probe{"a broken chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
             Probe{"a large head", big_head, 431},
             Probe{"many headers", get("/", many), 431},
             Probe{"another expectation", get("/", "Expect: wonders\r\n"), 417},
         }) {
        TestClient client(running.server.port());
        client.send(probe.bytes);
        EXPECT_EQ(client.receive().status, probe.status) << probe.what;
        EXPECT_TRUE(client.closes()) << probe.what;
    }
}

TEST(Server, RefusesALargeBodyNamingTheLimitThoughItsSenderWritesOn) {
    Running running;
    const std::string ten_mebibytes(10 << 20, 'x');
    TestClient client(running.server.port());
    client.send("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(ten_mebibytes.size()) + "\r\n\r\n");
    EXPECT_TRUE(client.send(ten_mebibytes));
    const Response response = client.receive();
    EXPECT_EQ(response.status, 413);
    EXPECT_NE(response.body.find(std::to_string(limits::kBodyBytesMax)), std::string::npos) << response.body;
    ASSERT_NE(header_of(response, "Connection"), nullptr);
    EXPECT_EQ(*header_of(response, "Connection"), "close");
}

TEST(Server, RefusesALargeChunkedBody) {
    ServerOptions options = quick_options();
    options.body_bytes_max = 1000;
    Running running(echo, options);
    TestClient client(running.server.port());
    client.send("PUT /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + std::string(0x800, 'x') + "\r\n0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 413);
}

TEST(Server, ABodyOfTheLimitIsTaken) {
    ServerOptions options = quick_options();
    options.read_timeout = 10s;
    Running running(echo, options);
    TestClient client(running.server.port());
    const std::string body(limits::kBodyBytesMax, 'x');
    EXPECT_EQ(client.ask("PUT /l HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body).body,
              "PUT /l " + std::to_string(body.size()) + "\n");
}

TEST(Server, InvitesABodyThatWaitsToBeInvited) {
    Running running;
    TestClient client(running.server.port());
    ASSERT_TRUE(client.send("PUT /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    EXPECT_EQ(client.receive().status, 100);
    EXPECT_EQ(client.ask("ab").body, "PUT /e 2\n");
    TestClient large(running.server.port());
    EXPECT_EQ(large.ask("PUT /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n").status, 413);
}

TEST(Server, CutsOffSlowSendersAndIdleConnections) {
    Running running;
    TestClient idle(running.server.port());
    TestClient half_head(running.server.port());
    TestClient half_body(running.server.port());
    TestClient after_one(running.server.port());
    half_head.send("GET / HT");
    half_body.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    EXPECT_EQ(after_one.ask(get("/")).status, 200);
    for (TestClient* client : {&idle, &half_head, &half_body, &after_one}) EXPECT_TRUE(client->closes(5s));
}

TEST(Server, OneByteAtATimeDoesNotProlongTheDeadline) {
    Running running;
    TestClient client(running.server.port());
    const auto begun = std::chrono::steady_clock::now();
    bool open = true;
    for (const char c : get("/slow", "X: " + std::string(2000, 'y') + "\r\n")) {
        open = client.send(std::string_view(&c, 1));
        if (!open) break;
        open = !client.closes(10ms);
        if (!open || std::chrono::steady_clock::now() - begun > 5s) break;
    }
    EXPECT_FALSE(open);
}

TEST(Server, AnOldClientIsServedAndItsConnectionClosed) {
    Running running;
    TestClient client(running.server.port());
    EXPECT_EQ(client.ask("GET /old HTTP/1.0\r\n\r\n").body, "GET /old 0\n");
    EXPECT_TRUE(client.closes());
}

TEST(Server, AHandlerThatThrowsIsAnInternalError) {
    Running running([](const Request&) -> Reply { throw std::runtime_error("secret"); });
    TestClient client(running.server.port());
    const Response response = client.ask(get("/"));
    EXPECT_EQ(response.status, 503);
    EXPECT_NE(response.body.find("SYS.1000"), std::string::npos);
    EXPECT_EQ(response.body.find("secret"), std::string::npos);
    EXPECT_EQ(client.ask(get("/")).status, 503);
}

TEST(Server, AFullQueueIsToldToRetry) {
    std::latch go(1);
    ServerOptions options = quick_options();
    options.handler_threads = 1;
    options.queue_max = 1;
    std::atomic<int> running_now{0};
    Running running(
        [&](const Request&) -> Reply {
            ++running_now;
            go.wait();
            return text_response(200, "done");
        },
        options);
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(std::make_unique<TestClient>(running.server.port()));
        clients.back()->send(get("/"));
        while (i == 0 && running_now == 0) std::this_thread::yield();
    }
    int refused = 0;
    for (auto& client : clients) {
        const Response response = client->receive(false, 200ms);
        if (response.status != 503) continue;
        ++refused;
        ASSERT_NE(header_of(response, "Retry-After"), nullptr);
    }
    EXPECT_EQ(refused, 2);
    go.count_down();
}

TEST(Server, RefusesConnectionsBeyondTheCap) {
    ServerOptions options = quick_options();
    options.connections_max = 2;
    options.keep_alive_timeout = 10s;
    Running running(echo, options);
    TestClient first(running.server.port());
    TestClient second(running.server.port());
    EXPECT_EQ(first.ask(get("/")).status, 200);
    EXPECT_EQ(second.ask(get("/")).status, 200);
    TestClient third(running.server.port());
    EXPECT_EQ(third.receive().status, 503);
}

TEST(Server, FiveHundredHeldRequestsNeedNoThreads) {
    allow_many_descriptors();
    std::vector<std::shared_ptr<Signal>> signals;
    std::mutex mutex;
    Running running([&](const Request& request) -> Reply {
        if (request.target == "/now") return text_response(200, "now");
        Held held{std::make_shared<Signal>(), std::chrono::steady_clock::now() + 60s, [] { return text_response(200, "held"); }};
        const std::lock_guard lock(mutex);
        signals.push_back(held.signal);
        return held;
    });
    constexpr std::size_t kHeld = 500;
    std::vector<std::unique_ptr<TestClient>> clients;
    for (std::size_t i = 0; i < kHeld; ++i) {
        clients.push_back(std::make_unique<TestClient>(running.server.port()));
        ASSERT_TRUE(clients.back()->connected());
        ASSERT_TRUE(clients.back()->send(get("/held")));
    }
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    for (std::size_t held = 0; held < kHeld && std::chrono::steady_clock::now() < deadline; std::this_thread::yield()) {
        const std::lock_guard lock(mutex);
        held = signals.size();
    }
    TestClient quick(running.server.port());
    EXPECT_EQ(quick.ask(get("/now")).body, "now\n");
    for (const auto& held : signals) held->fire();
    for (auto& client : clients) ASSERT_EQ(client->receive().body, "held\n");
}

TEST(Server, AHeldRequestIsAnsweredAtItsDeadline) {
    Running running([](const Request&) -> Reply {
        return Held{std::make_shared<Signal>(), std::chrono::steady_clock::now() + 50ms, [] { return text_response(202, "later"); }};
    });
    TestClient client(running.server.port());
    EXPECT_EQ(client.ask(get("/")).status, 202);
    EXPECT_EQ(client.ask(get("/")).status, 202);
}

TEST(Server, ASignalThatFiredBeforeIsNotMissed) {
    Running running([](const Request&) -> Reply {
        Held held{std::make_shared<Signal>(), std::chrono::steady_clock::now() + 60s, [] { return text_response(200, "early"); }};
        held.signal->fire();
        return held;
    });
    TestClient client(running.server.port());
    EXPECT_EQ(client.ask(get("/")).body, "early\n");
}

TEST(Server, StoppingAnswersWhatIsInFlightAndHeld) {
    std::atomic<int> begun{0};
    std::latch go(1);
    std::shared_ptr<Signal> never = std::make_shared<Signal>();
    Running running([&](const Request& request) -> Reply {
        ++begun;
        if (request.target == "/held") return Held{never, std::chrono::steady_clock::now() + 60s, [] { return text_response(202, "later"); }};
        go.wait();
        return text_response(200, "finished");
    });
    TestClient busy(running.server.port());
    TestClient held(running.server.port());
    TestClient idle(running.server.port());
    ASSERT_TRUE(held.send(get("/held")));
    ASSERT_TRUE(busy.send(get("/busy")));
    while (begun < 2) std::this_thread::yield();
    std::jthread stopper([&] { running.server.stop(); });
    EXPECT_EQ(held.receive().status, 202);
    EXPECT_TRUE(idle.closes());
    go.count_down();
    EXPECT_EQ(busy.receive().body, "finished\n");
    stopper.join();
    never->fire();
    EXPECT_FALSE(TestClient(running.server.port()).connected());
}

TEST(Server, ASignalMayOutliveTheServer) {
    std::shared_ptr<Signal> signal = std::make_shared<Signal>();
    std::atomic<bool> held{false};
    ServerOptions options = quick_options();
    options.stop_timeout = 0ms;
    {
        Running running(
            [&](const Request&) -> Reply {
                held = true;
                return Held{signal, std::chrono::steady_clock::now() + 60s, [] { return text_response(200, ""); }};
            },
            options);
        TestClient client(running.server.port());
        client.send(get("/"));
        while (!held) std::this_thread::yield();
    }
    signal->fire();
    SUCCEED();
}

TEST(Server, SaysWhyItCannotListen) {
    Running running;
    ServerOptions options = quick_options();
    options.port = running.server.port();
    Server second(options, echo);
    const Result<void> started = second.start();
    ASSERT_FALSE(started.has_value());
    EXPECT_NE(started.error().message.find("cannot listen on 127.0.0.1:"), std::string::npos);
    options.address = "nonsense";
    EXPECT_FALSE(Server(options, echo).start().has_value());
}

}  // namespace ramet::http::server_test

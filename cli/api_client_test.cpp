#include "api_client.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace ramet::cli {
namespace {

const std::string kAway;  // the connection ends without a word
const std::string kUuid = "0123456789abcdef0123456789abcdef";

std::string answer(int status, const std::string& body) {
    return fmt::format("HTTP/1.1 {} Text\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status, body.size(), body);
}

const std::string kLoggedIn = answer(200, R"({"inventory":{"uuid":"session"}})");
const std::string kAccepted = answer(202, R"({"location":"http://elsewhere/zstack/v1/api-jobs/77"})");

// Gives the next of its answers to each connection.
class ScriptedServer {
public:
    explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
        sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
        socklen_t length = sizeof address;
        auto* const plain = reinterpret_cast<sockaddr*>(&address);
        if (::bind(socket_, plain, length) != 0 || ::listen(socket_, 8) != 0 || ::getsockname(socket_, plain, &length) != 0) std::abort();
        url_ = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
        thread_ = std::thread([this] { serve(); });
    }
    ~ScriptedServer() { end(); }
    const std::string& url() const { return url_; }
    // First lines of the requests, in their order.
    const std::vector<std::string>& asked() {
        end();
        return asked_;
    }
    // Their Idempotency-Keys; empty where there was none.
    const std::vector<std::string>& keys() {
        end();
        return keys_;
    }

private:
    void serve() {
        for (const std::string& text : answers_) {
            const int connection = ::accept(socket_, nullptr, nullptr);
            if (connection < 0) return;  // end() was called
            const std::string request = read_request(connection);
            asked_.push_back(request.substr(0, request.find(" HTTP/")));
            constexpr std::string_view kHeader = "Idempotency-Key: ";
            const std::size_t key = request.find(kHeader);
            keys_.push_back(key == std::string::npos ? "" : request.substr(key + kHeader.size(), request.find('\r', key) - key - kHeader.size()));
            EXPECT_EQ(::send(connection, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
            ::close(connection);
        }
    }
    static std::string read_request(int connection) {
        std::string request;
        char piece[4096];
        for (;;) {
            const std::size_t head = request.find("\r\n\r\n");
            const std::size_t length = request.find("Content-Length: ");
            const std::size_t body = length < head ? std::stoul(request.substr(length + 16)) : 0;
            if (head != std::string::npos && request.size() >= head + 4 + body) return request;
            const ssize_t got = ::recv(connection, piece, sizeof piece, 0);
            if (got <= 0) return request;
            request.append(piece, static_cast<std::size_t>(got));
        }
    }
    void end() {
        if (!thread_.joinable()) return;
        ::shutdown(socket_, SHUT_RDWR);  // wakes accept()
        thread_.join();
        ::close(socket_);
    }

    std::vector<std::string> answers_, asked_, keys_;
    int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string url_;
    std::thread thread_;
};

ApiClient client_of(const ScriptedServer& server, std::chrono::seconds patience) {
    ::setenv("XDG_CONFIG_HOME", "/dev/null", 1);  // no place for a login: it is used all the same
    return ApiClient(Connection{server.url(), "admin", "password", patience});
}

}  // namespace

TEST(ApiClient, WaitsForAJobOverARestartOfTheServer) {
    ScriptedServer server({kLoggedIn, kAccepted, answer(202, "{}"), kAway, answer(503, "too many connections\n"), answer(200, R"({"made":1})")});
    ApiClient api = client_of(server, std::chrono::seconds(60));
    std::string told;
    api.when_accepted([&](const std::string& job) { told = job; });
    const Result<boost::json::object> done = api.call("PUT", "/boxes/1/actions", {{"fillBox", boost::json::object{}}});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    EXPECT_TRUE(done->contains("made"));
    EXPECT_EQ(told, "77");
    const std::string poll = "GET /zstack/v1/api-jobs/77";
    EXPECT_EQ(server.asked(), (std::vector<std::string>{"PUT /zstack/v1/accounts/login", "PUT /zstack/v1/boxes/1/actions", poll, poll, poll, poll}));
}

TEST(ApiClient, LogsInAgainWhileItWaitsAndSendsTheCallOnce) {
    ScriptedServer server({kLoggedIn, kAccepted, answer(503, R"({"error":{"code":"ID.1001","details":"expired"}})"), kLoggedIn, answer(200, "{}")});
    ApiClient api = client_of(server, std::chrono::seconds(60));
    EXPECT_TRUE(api.call("PUT", "/boxes/1/actions", {}).has_value());
    EXPECT_EQ(std::ranges::count(server.asked(), "PUT /zstack/v1/boxes/1/actions"), 1);
}

TEST(ApiClient, SendsACallWhoseAnswerIsLostAgainWithItsKey) {
    ScriptedServer server(
        {kLoggedIn, kAway, answer(503, "too many connections\n"), kAccepted, answer(200, R"({"made":1})"), kAccepted, answer(200, "{}")});
    ApiClient api = client_of(server, std::chrono::seconds(60));
    const Result<boost::json::object> done = api.call("PUT", "/boxes/1/actions", {{"fillBox", boost::json::object{}}});
    ASSERT_TRUE(done.has_value()) << done.error().message;
    EXPECT_TRUE(done->contains("made"));
    ASSERT_TRUE(api.call("PUT", "/boxes/1/actions", {{"fillBox", boost::json::object{}}}).has_value());
    const std::vector<std::string>& keys = server.keys();
    ASSERT_EQ(keys.size(), 7U);
    EXPECT_EQ(keys[1].size(), 32U);
    EXPECT_EQ(keys[2], keys[1]);
    EXPECT_EQ(keys[3], keys[1]);
    EXPECT_EQ(keys[5].size(), 32U);
    EXPECT_NE(keys[5], keys[1]);  // of another call
    EXPECT_EQ(keys[0] + keys[4] + keys[6], "");
}

TEST(ApiClient, SaysThatALostCallMayHaveBeenDone) {
    ScriptedServer server({kLoggedIn, kAway});
    ApiClient api = client_of(server, std::chrono::seconds(0));
    const Result<boost::json::object> done = api.call("PUT", "/boxes/1/actions", {});
    ASSERT_FALSE(done.has_value());
    EXPECT_NE(done.error().message.find("whether the server has got the call is not known"), std::string::npos) << done.error().message;
}

TEST(ApiClient, SaysHowToGoOnWhenTheServerStaysAway) {
    ScriptedServer server({kLoggedIn, kAccepted, kAway});
    ApiClient api = client_of(server, std::chrono::seconds(0));
    const Result<boost::json::object> done = api.call("PUT", "/boxes/1/actions", {});
    ASSERT_FALSE(done.has_value());
    EXPECT_NE(done.error().message.find("the job 77 goes on: `ramet job watch 77`"), std::string::npos) << done.error().message;
}

TEST(ApiClient, FindsNoResourceOfAnUnknownUuid) {
    ScriptedServer server({kLoggedIn, answer(200, R"({"inventories":[]})"), answer(200, R"({"inventories":[]})")});
    ApiClient api = client_of(server, std::chrono::seconds(60));
    EXPECT_EQ(api.resolve("/vm-instances", "vm", kUuid).error().message, "there is no vm with uuid '" + kUuid + "'; see `ramet vm list`");
    EXPECT_EQ(api.resolve("/volume-snapshots/group", "snapshot", "nope").error().message,
              "there is no snapshot named 'nope'; see `ramet snapshot list --groups`");
}

}  // namespace ramet::cli

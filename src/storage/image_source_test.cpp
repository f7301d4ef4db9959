#include "storage/image_source.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <atomic>
#include <thread>

#include "storage/address_policy.hpp"
#include "support/storage_files.hpp"

namespace ramet::storage {
namespace {

// One connection at a time; `answer` gets the path and the socket, writes what it likes, and the socket is closed after it.
class SmallServer {
public:
    using Answer = std::function<void(const std::string& path, int socket, const std::stop_token& stop)>;
    explicit SmallServer(Answer answer) : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 8) != 0 ||
            ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
            throw std::runtime_error("no server");
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
    }
    ~SmallServer() {
        thread_.request_stop();
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
    int requests() const { return requests_; }

    static void say(int socket, const std::string& text) { (void)::send(socket, text.data(), text.size(), MSG_NOSIGNAL); }
    static void reply(int socket, const std::string& body) {
        say(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    static void redirect(int socket, const std::string& to) {
        say(socket, "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: " + to + "\r\n\r\n");
    }

private:
    void serve(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (socket < 0) return;
            std::string request;
            std::array<char, 1024> buffer{};
            while (request.find("\r\n\r\n") == std::string::npos) {
                const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), 0);
                if (got <= 0) break;
                request.append(buffer.data(), static_cast<std::size_t>(got));
            }
            ++requests_;
            const std::size_t begin = request.find(' ') + 1;
            answer_(request.substr(begin, request.find(' ', begin) - begin), socket, stop);
            ::close(socket);
        }
    }
    Answer answer_;
    int listener_;
    int port_ = 0;
    std::atomic<int> requests_{0};
    std::jthread thread_;
};

const std::string kBody(300'000, 'r');

class ImageSource : public testing::Test {
protected:
    Result<Fetched> fetch(const std::string& url, const FetchLimits& bounds = {}, std::stop_token stop = {}, const CopyObserver& observer = {}) {
        FetchRequest request;
        request.url = url;
        request.destination = directory_.file("image");
        request.expected_checksum = checksum_;
        request.allow_private_addresses = allow_private_;
        return fetch_image(request, observer, stop, bounds);
    }
    // Every failure must leave the directory as it was.
    Error refused(const Result<Fetched>& fetched) {
        EXPECT_FALSE(fetched.has_value());
        EXPECT_FALSE(std::filesystem::exists(directory_.file("image")));
        EXPECT_FALSE(std::filesystem::exists(directory_.file("image.partial")));
        return fetched.has_value() ? Error{} : fetched.error();
    }
    std::string digest_of(const std::string& tool, const std::string& file) {
        const std::string output = test::run_command({tool, file}).output;
        return output.substr(0, output.find(' '));
    }
    test::TempDir directory_;
    std::optional<std::string> checksum_;
    bool allow_private_ = true;
};

TEST_F(ImageSource, FetchesOverHttpAndCountsAndDigestsTheBytes) {
    SmallServer server([](const std::string&, int socket, const std::stop_token&) { SmallServer::reply(socket, kBody); });
    CopyProgress last{0, 0};
    const auto fetched = fetch(server.url("/image.qcow2"), {}, {}, [&last](CopyProgress progress) { last = progress; });
    ASSERT_TRUE(fetched.has_value()) << fetched.error().message << fetched.error().detail;
    EXPECT_EQ(test::read_file(directory_.file("image")), kBody);
    EXPECT_EQ(fetched->bytes, 300'000);
    EXPECT_EQ(fetched->md5_hex, digest_of("md5sum", directory_.file("image")));
    EXPECT_EQ(fetched->sha256_hex, digest_of("sha256sum", directory_.file("image")));
    EXPECT_EQ(last.done_bytes, 300'000);
    EXPECT_EQ(last.total_bytes, 300'000);
}

TEST_F(ImageSource, FetchesAFileOfTheServerAndKeepsItsHoles) {
    test::write_file(directory_.file("a b"), "head");
    ASSERT_EQ(::truncate(directory_.file("a b").c_str(), 32 << 20), 0);
    std::ofstream(directory_.file("a b"), std::ios::in | std::ios::out | std::ios::ate) << "tail";
    const auto fetched = fetch("file://" + directory_.file("a%20b"));
    ASSERT_TRUE(fetched.has_value()) << fetched.error().message;
    EXPECT_EQ(test::run_command({"cmp", directory_.file("a b"), directory_.file("image")}).exit_status, 0);
    EXPECT_EQ(fetched->sha256_hex, digest_of("sha256sum", directory_.file("a b")));
    struct stat status{};
    ASSERT_EQ(::stat(directory_.file("image").c_str(), &status), 0);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
}

TEST_F(ImageSource, TheExpectedChecksumDecides) {
    test::write_file(directory_.file("source"), kBody);
    for (const std::string& kind : {std::string("md5"), std::string("sha256"), std::string("sha512")}) {
        std::string hex = digest_of(kind + "sum", directory_.file("source"));
        checksum_ = kind + ":" + hex;
        EXPECT_TRUE(fetch("file://" + directory_.file("source")).has_value()) << kind;
        std::filesystem::remove(directory_.file("image"));
        hex[0] = hex[0] == '0' ? '1' : '0';
        checksum_ = kind + ":" + hex;
        EXPECT_EQ(refused(fetch("file://" + directory_.file("source"))).code, ErrorCode::image_failed) << kind;
    }
    for (const char* bad : {"", "sha256", "sha256:", "sha256:12", "crc32:12345678", "md5:zz71f8a4fa9c8c7c4b7c5a9f2d5b5b05"}) {
        checksum_ = bad;
        EXPECT_EQ(refused(fetch("file://" + directory_.file("source"))).code, ErrorCode::invalid_argument) << bad;
    }
}

TEST_F(ImageSource, FollowsFiveRedirectsAndNoMore) {
    SmallServer server([](const std::string& path, int socket, const std::stop_token&) {
        const int left = std::stoi(path.substr(1));
        if (left == 0)
            SmallServer::reply(socket, kBody);
        else
            SmallServer::redirect(socket, left == 99 ? "/99" : "/" + std::to_string(left - 1));
    });
    EXPECT_TRUE(fetch(server.url("/5")).has_value());
    std::filesystem::remove(directory_.file("image"));
    EXPECT_NE(refused(fetch(server.url("/6"))).message.find("redirects too often"), std::string::npos);
    const int before = server.requests();
    EXPECT_EQ(refused(fetch(server.url("/99"))).code, ErrorCode::image_failed);
    EXPECT_LE(server.requests() - before, 6);
}

TEST_F(ImageSource, ARedirectToAnotherSchemeIsNotFollowed) {
    test::write_file(directory_.file("secret"), kBody);
    std::string target;
    SmallServer server([&target](const std::string&, int socket, const std::stop_token&) { SmallServer::redirect(socket, target); });
    for (const std::string& to : {"file://" + directory_.file("secret"), std::string("ftp://127.0.0.1/x"), std::string("gopher://127.0.0.1/x")}) {
        target = to;
        EXPECT_EQ(refused(fetch(server.url("/"))).code, ErrorCode::image_failed) << to;
    }
}

TEST_F(ImageSource, AnErrorStatusATruncatedAndAnEmptyBodyAreFailures) {
    SmallServer server([](const std::string& path, int socket, const std::stop_token&) {
        if (path == "/404") SmallServer::say(socket, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 5\r\n\r\nsorry");
        if (path == "/short") SmallServer::say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + kBody.substr(0, 1000));
        if (path == "/chunk") SmallServer::say(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + kBody.substr(0, 500));
        if (path == "/empty") SmallServer::reply(socket, "");
        if (path == "/noise") SmallServer::say(socket, "this is no HTTP\r\n\r\n");
    });
    EXPECT_NE(refused(fetch(server.url("/404"))).message.find("404"), std::string::npos);
    EXPECT_NE(refused(fetch(server.url("/short"))).message.find("before the end"), std::string::npos);
    for (const char* path : {"/chunk", "/empty", "/noise", "/silent"})
        EXPECT_EQ(refused(fetch(server.url(path))).code, ErrorCode::image_failed) << path;
}

TEST_F(ImageSource, TheSizeIsBoundedWhetherAnnouncedOrNot) {
    SmallServer server([](const std::string& path, int socket, const std::stop_token&) {
        if (path == "/announced") SmallServer::reply(socket, kBody);
        if (path == "/silent") SmallServer::say(socket, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + kBody);
        if (path == "/huge") SmallServer::say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n" + kBody);
    });
    FetchLimits bounds;
    bounds.bytes_max = 299'999;
    EXPECT_NE(refused(fetch(server.url("/announced"), bounds)).message.find("larger"), std::string::npos);
    EXPECT_NE(refused(fetch(server.url("/silent"), bounds)).message.find("larger"), std::string::npos);
    bounds.bytes_max = 300'000;
    EXPECT_TRUE(fetch(server.url("/silent"), bounds).has_value());
    std::filesystem::remove(directory_.file("image"));
    bounds.bytes_max = std::int64_t{1} << 62;
    EXPECT_EQ(refused(fetch(server.url("/huge"), bounds)).code, ErrorCode::storage_full);
}

TEST_F(ImageSource, AStalledDownloadIsGivenUpAndCanBeCancelledAtOnce) {
    SmallServer server([](const std::string&, int socket, const std::stop_token& stop) {
        SmallServer::say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + kBody.substr(0, 1000));
        pollfd gone{socket, POLLIN, 0};
        while (!stop.stop_requested() && ::poll(&gone, 1, 20) == 0) {}  // until the other side gives up
    });
    FetchLimits bounds;
    bounds.stall = std::chrono::seconds(1);
    EXPECT_NE(refused(fetch(server.url("/"), bounds)).message.find("sends nothing"), std::string::npos);
    std::stop_source stop;
    std::chrono::steady_clock::time_point asked;
    const auto fetched = fetch(server.url("/"), {}, stop.get_token(), [&](CopyProgress) {
        asked = std::chrono::steady_clock::now();
        stop.request_stop();
    });
    EXPECT_EQ(refused(fetched).code, ErrorCode::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1));
}

TEST_F(ImageSource, PrivateAddressesAreRefusedWhenTheyAreNotAllowed) {
    SmallServer server([](const std::string&, int socket, const std::stop_token&) { SmallServer::reply(socket, kBody); });
    allow_private_ = false;
    const std::string port = server.url("/").substr(std::string("http://127.0.0.1").size());
    for (const char* host : {"127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
        EXPECT_EQ(refused(fetch("http://" + std::string(host) + port)).code, ErrorCode::image_failed) << host;
    }
    EXPECT_EQ(server.requests(), 0);
    test::write_file(directory_.file("source"), kBody);
    EXPECT_EQ(refused(fetch("file://" + directory_.file("source"))).code, ErrorCode::invalid_argument);
}

TEST_F(ImageSource, UrlsAreCheckedBeforeAnythingIsWritten) {
    test::write_file(directory_.file("image.raw"), "x");
    std::filesystem::create_symlink(directory_.file("image.raw"), directory_.file("link"));
    ASSERT_EQ(::mkfifo(directory_.file("fifo").c_str(), 0600), 0);
    for (const std::string& good :
         {std::string("http://example.com/a.qcow2"), std::string("https://example.com:8443/a?b=c"), "file://" + directory_.file("image.raw")}) {
        EXPECT_TRUE(check_image_url(good, true).has_value()) << good;
    }
    for (const std::string& bad :
         {std::string(""), std::string("image.raw"), std::string("/etc/passwd"), std::string("ftp://example.com/a"), std::string("http://"),
          std::string("http://exa mple.com/"), std::string("http://example.com/\r\nX: y"), std::string("gopher://x/"),
          std::string("file:///proc/version"), std::string("file:///sys/kernel/uevent_seqnum"), std::string("file:///dev/zero"),
          std::string("file://elsewhere/etc/passwd"), "file://" + directory_.file("link"), "file://" + directory_.file("fifo"),
          "file://" + directory_.path(), "file://" + directory_.file("absent"), "http://example.com/" + std::string(3000, 'x')}) {
        const auto checked = check_image_url(bad, true);
        ASSERT_FALSE(checked.has_value()) << bad;
        EXPECT_EQ(checked.error().code, ErrorCode::invalid_argument) << bad;
        EXPECT_TRUE(checked.error().message.starts_with("url: ")) << bad;
    }
}

bool is_public(const char* text) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) return is_public_address(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    EXPECT_EQ(::inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
    return is_public_address(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

TEST(AddressPolicy, KnowsThePublicInternet) {
    for (const char* address :
         {"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "11.0.0.0", "100.63.255.255", "100.128.0.0",
          "169.253.0.1", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"}) {
        EXPECT_TRUE(is_public(address)) << address;
    }
    for (const char* address : {"0.0.0.0",
                                "0.1.2.3",
                                "10.0.0.1",
                                "10.255.255.255",
                                "100.64.0.1",
                                "100.127.255.255",
                                "127.0.0.1",
                                "127.255.255.255",
                                "169.254.169.254",
                                "172.16.0.1",
                                "172.31.255.255",
                                "192.168.0.1",
                                "192.0.0.1",
                                "192.0.2.1",
                                "198.18.0.1",
                                "198.19.255.255",
                                "224.0.0.1",
                                "240.0.0.1",
                                "255.255.255.255",
                                "::",
                                "::1",
                                "fe80::1",
                                "fc00::1",
                                "fd00:ec2::254",
                                "ff02::1",
                                "::ffff:127.0.0.1",
                                "::ffff:169.254.169.254",
                                "::127.0.0.1",
                                "64:ff9b::7f00:1",
                                "64:ff9b:1::1",
                                "2002:7f00:1::1",
                                "2002:a9fe:a9fe::1",
                                "2001::1",
                                "2001:db8::1",
                                "3fff::1"}) {
        EXPECT_FALSE(is_public(address)) << address;
    }
    sockaddr unix_address{};
    unix_address.sa_family = AF_UNIX;
    EXPECT_FALSE(is_public_address(&unix_address, sizeof unix_address));
}

}  // namespace
}  // namespace ramet::storage

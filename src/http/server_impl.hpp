// What the listener and its connections share. Only server.cpp and connection.cpp include it: they are the only coroutine code.
//
// Rules for coroutines here (g++ 12 miscompiles temporaries in a co_await statement): co_await stands on a call with named
// arguments, and that statement has no lambda, brace, `?:` or `&&`.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <condition_variable>
#include <optional>
#include <set>
#include <thread>

#include "base/task_group.hpp"
#include "http/server.hpp"

namespace ramet::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;

struct Connection;

// The way from a Signal to its connection, which may end first: disarm() makes later calls harmless.
class Waker {
public:
    explicit Waker(Connection& connection) : connection_(&connection) {}
    void wake();
    void disarm();

private:
    std::mutex mutex_;
    Connection* connection_;
};

// One connection. Every member is touched on its strand alone.
struct Connection : std::enable_shared_from_this<Connection> {
    Connection(tcp::socket socket, std::string client) : stream(std::move(socket)), event(stream.get_executor()), client_address(std::move(client)) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    asio::steady_timer event;  // cancelled to wake the coroutine
    std::string client_address;
    bool idle = true;   // no request has begun
    bool held = false;  // waits for Held::signal
    bool woken = false;
    bool stopping = false;
    std::optional<Reply> reply;    // set by the handler thread's post
    std::shared_ptr<Waker> waker;  // while held
};

class Server::Impl {
public:
    Impl(ServerOptions options, RequestHandler handle);
    Result<void> start();
    void stop();
    std::uint16_t port() const { return port_; }

private:
    asio::awaitable<void> accept_loop();
    void accepted(tcp::socket socket);
    void ask_to_stop(const std::shared_ptr<Connection>& connection);

    // connection.cpp
    asio::awaitable<void> serve(std::shared_ptr<Connection> connection);
    asio::awaitable<bool> serve_one(std::shared_ptr<Connection> connection, bool first);
    asio::awaitable<bool> refuse(std::shared_ptr<Connection> connection, Response response);
    asio::awaitable<void> drain(std::shared_ptr<Connection> connection);
    asio::awaitable<bool> write(std::shared_ptr<Connection> connection, Response response, unsigned version, bool keep_alive, bool head_only);
    asio::awaitable<void> send_events(std::shared_ptr<Connection> connection, std::shared_ptr<EventStream> stream);
    asio::awaitable<bool> write_text(std::shared_ptr<Connection> connection, std::shared_ptr<const std::string> text);
    asio::awaitable<void> wait_for_reply(std::shared_ptr<Connection> connection);
    asio::awaitable<Reply> respond(std::shared_ptr<Connection> connection, std::shared_ptr<const Request> request);
    asio::awaitable<void> wait_until_woken(std::shared_ptr<Connection> connection, std::chrono::steady_clock::time_point deadline);
    bool run_on_pool(const std::shared_ptr<Connection>& connection, std::function<Reply()> work);

    ServerOptions options_;
    RequestHandler handle_;
    asio::io_context io_{1};
    std::optional<tcp::acceptor> acceptor_;
    std::uint16_t port_ = 0;
    std::optional<ThreadPool> pool_;
    std::jthread io_thread_;  // one is enough: it parses and copies, handlers run elsewhere
    std::mutex mutex_;
    std::condition_variable closed_;
    std::set<std::shared_ptr<Connection>> connections_;
    std::atomic<bool> stopping_{false};
};

}  // namespace ramet::http

#include "http/server.hpp"

#include <pthread.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <tuple>

#include "http/server_impl.hpp"
#include "telemetry/log.hpp"

namespace ramet::http {

namespace {

constexpr auto kAcceptPause = std::chrono::milliseconds(50);  // after a failed accept, such as out of descriptors
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 22\r\nRetry-After: 1\r\nConnection: close\r\n\r\ntoo many "
    "connections.\n";

}  // namespace

Server::Impl::Impl(ServerOptions options, RequestHandler handle) : options_(std::move(options)), handle_(std::move(handle)) {}

Result<void> Server::Impl::start() {
    boost::system::error_code error;
    const auto address = asio::ip::make_address(options_.address, error);
    if (error) return fail(ErrorCode::invalid_argument, "'" + options_.address + "' is not an IP address to listen on");
    const tcp::endpoint endpoint(address, options_.port);
    tcp::acceptor acceptor(io_);
    std::ignore = acceptor.open(endpoint.protocol(), error);
    if (!error) std::ignore = acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) std::ignore = acceptor.bind(endpoint, error);
    if (!error) std::ignore = acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        return fail(ErrorCode::operation_failed, "cannot listen on " + options_.address + ":" + std::to_string(options_.port) + ": " +
                                                     error.message() + "; is another server running there?");
    }
    port_ = acceptor.local_endpoint().port();
    acceptor_.emplace(std::move(acceptor));
    pool_.emplace(options_.handler_threads, options_.queue_max);
    asio::co_spawn(io_, accept_loop(), asio::detached);
    io_thread_ = std::jthread([this] {
        pthread_setname_np(pthread_self(), "http-io");
        io_.run();
    });
    return {};
}

asio::awaitable<void> Server::Impl::accept_loop() {
    asio::steady_timer pause(io_);
    while (!stopping_) {
        const auto strand = asio::make_strand(io_);
        tcp::socket socket(strand);
        auto [error] = co_await acceptor_->async_accept(socket, kTuple);
        if (stopping_) break;
        if (error) {
            telemetry::log_warning("cannot accept a connection: {}", error.message());
            pause.expires_after(kAcceptPause);
            co_await pause.async_wait(kTuple);
            continue;
        }
        accepted(std::move(socket));
    }
}

void Server::Impl::accepted(tcp::socket socket) {
    boost::system::error_code ignored;
    std::ignore = socket.set_option(tcp::no_delay(true), ignored);
    const tcp::endpoint peer = socket.remote_endpoint(ignored);
    const auto connection = std::make_shared<Connection>(std::move(socket), peer.address().to_string());
    {
        const std::lock_guard lock(mutex_);
        if (connections_.size() >= options_.connections_max) {
            std::ignore = connection->stream.socket().non_blocking(true, ignored);
            connection->stream.socket().send(asio::buffer(kTooManyConnections), 0, ignored);  // fits into an empty socket buffer
            return;
        }
        connections_.insert(connection);
    }
    asio::co_spawn(connection->stream.get_executor(), serve(connection), [this, connection](const std::exception_ptr& thrown) {
        if (thrown) telemetry::log_error("a connection ended by an exception");
        const std::lock_guard lock(mutex_);
        connections_.erase(connection);
        closed_.notify_all();
    });
}

void Server::Impl::ask_to_stop(const std::shared_ptr<Connection>& connection) {
    asio::post(connection->stream.get_executor(), [connection] {
        connection->stopping = true;
        if (connection->idle) connection->stream.close();
        if (connection->held) {
            connection->woken = true;
            connection->event.cancel();
        }
    });
}

void Server::Impl::stop() {
    if (!acceptor_ || stopping_.exchange(true)) return;
    asio::post(io_, [this] {
        boost::system::error_code ignored;
        std::ignore = acceptor_->close(ignored);
    });
    {
        std::unique_lock lock(mutex_);
        for (const auto& connection : connections_) ask_to_stop(connection);
        const bool all_closed = closed_.wait_for(lock, options_.stop_timeout, [this] { return connections_.empty(); });
        if (!all_closed) telemetry::log_warning("{} connections were cut off at the end", connections_.size());
    }
    io_.stop();
    if (io_thread_.joinable()) io_thread_.join();
    pool_.reset();  // handlers that still run end first: they use what the caller owns
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_)
        if (connection->waker) connection->waker->disarm();
    connections_.clear();
}

Server::Server(ServerOptions options, RequestHandler handle) : impl_(std::make_unique<Impl>(std::move(options), std::move(handle))) {}
Server::~Server() { impl_->stop(); }
Result<void> Server::start() { return impl_->start(); }
void Server::stop() { impl_->stop(); }
std::uint16_t Server::port() const { return impl_->port(); }

}  // namespace ramet::http

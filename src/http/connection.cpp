// What one connection does: read a request, hand it to the pool, wait, write the answer, again. See the rules in server_impl.hpp.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <ctime>
#include <tuple>

#include "api/json.hpp"
#include "http/server_impl.hpp"
#include "telemetry/log.hpp"

namespace ramet::http {

namespace {

namespace wire = beast::http;
using Parser = wire::request_parser<wire::string_body>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadChunk = 8 * 1024;
constexpr std::size_t kDrainBytesMax = 64 << 20;  // of a refused request, so that its sender reads the answer
constexpr auto kDrainTimeout = std::chrono::seconds(5);
constexpr auto kRetryPause = std::chrono::milliseconds(20);  // until the pool's queue has room
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string http_date() {
    std::array<char, 40> text{};
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    const std::size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    return {text.data(), length};
}

bool is_http_error(const beast::error_code& error) { return error.category() == wire::make_error_code(wire::error::end_of_stream).category(); }

// What to tell a sender whose request cannot be read; nothing when the connection is simply over.
std::optional<Response> refusal(const beast::error_code& error, const ServerOptions& options) {
    if (!is_http_error(error) || error == wire::error::end_of_stream || error == wire::error::partial_message) return std::nullopt;
    if (error == wire::error::header_limit)
        return text_response(431, "the request's head is larger than " + std::to_string(options.header_bytes_max) + " bytes");
    if (error == wire::error::body_limit) {
        return text_response(413, "the request's body is larger than " + std::to_string(options.body_bytes_max) + " bytes, the limit of this server");
    }
    return text_response(400, "the request is not valid HTTP/1.1: " + error.message());
}

std::optional<Response> refusal_of_head(const Parser& parser) {
    const auto& head = parser.get();
    const auto hosts = head.count(wire::field::host);
    if (head.version() == 11 && hosts == 0) return text_response(400, "the Host header is missing");
    if (hosts > 1) return text_response(400, "there is more than one Host header");
    const beast::string_view expect = head[wire::field::expect];
    if (!expect.empty() && !beast::iequals(expect, "100-continue")) return text_response(417, "only 'Expect: 100-continue' is understood");
    return std::nullopt;
}

std::shared_ptr<const Request> take_request(Parser& parser, const std::string& client_address) {
    auto message = parser.release();
    auto request = std::make_shared<Request>();
    request->method = std::string(message.method_string());
    request->target = std::string(message.target());
    for (const auto& header : message) request->headers.emplace_back(std::string(header.name_string()), std::string(header.value()));
    request->body = std::move(message.body());
    request->client_address = client_address;
    return request;
}

Response busy() {
    const Error error{ErrorCode::overloaded, "the server has too many requests waiting; try again in a moment", {}, nullptr, {}};
    Response response = json_response(503, api::error_body(error));
    response.headers.emplace_back("Retry-After", "1");
    return response;
}

Response fault() {
    return json_response(503, api::error_body(Error{ErrorCode::internal, "the server met a fault of its own; its log says more", {}, nullptr, {}}));
}

std::string head_of(const EventStream& stream) {
    std::string head =
        "HTTP/1.1 200 OK\r\nServer: ramet\r\nDate: " + http_date() +
        "\r\nContent-Type: text/event-stream;charset=UTF-8\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n";
    for (const auto& [name, value] : stream.headers) {
        if (!beast::iequals(name, "Cache-Control")) head.append(name).append(": ").append(value).append("\r\n");
    }
    return head + "\r\n";
}

}  // namespace

void Waker::wake() {
    const std::lock_guard lock(mutex_);
    if (connection_ == nullptr) return;
    asio::post(connection_->stream.get_executor(), [connection = connection_->shared_from_this()] {
        connection->woken = true;
        connection->event.cancel();
    });
}

void Waker::disarm() {
    const std::lock_guard lock(mutex_);
    connection_ = nullptr;
}

// Runs `work` on a handler thread; its value arrives in connection->reply. False: the pool is full.
bool Server::Impl::run_on_pool(const std::shared_ptr<Connection>& connection, std::function<Reply()> work) {
    connection->woken = false;
    connection->reply.reset();
    return pool_->post([connection, work = std::move(work)]() mutable {
        std::optional<Reply> reply;
        try {
            reply = work();
        } catch (const std::exception& thrown) {
            telemetry::log_error("a request handler threw: {}", thrown.what());
            reply = fault();
        }
        work = nullptr;
        const auto executor = connection->stream.get_executor();
        asio::post(executor, [connection, reply = std::move(reply)]() mutable {
            connection->reply = std::move(reply);
            connection->woken = true;
            connection->event.cancel();
        });
    });
}

asio::awaitable<void> Server::Impl::wait_until_woken(std::shared_ptr<Connection> connection, std::chrono::steady_clock::time_point deadline) {
    while (!connection->woken) {
        if (std::chrono::steady_clock::now() >= deadline) break;
        connection->event.expires_at(deadline);
        auto [ignored] = co_await connection->event.async_wait(kTuple);
        static_cast<void>(ignored);
    }
}

// Until the pool has answered; a wake-up that was meant for an earlier wait is no answer.
asio::awaitable<void> Server::Impl::wait_for_reply(std::shared_ptr<Connection> connection) {
    constexpr auto kForEver = std::chrono::steady_clock::time_point::max();
    while (!connection->reply) {
        co_await wait_until_woken(connection, kForEver);
        connection->woken = false;
    }
}

// The answer: a Response, or an EventStream to be sent.
asio::awaitable<Reply> Server::Impl::respond(std::shared_ptr<Connection> connection, std::shared_ptr<const Request> request) {
    std::function<Reply()> work = [this, request] { return handle_(*request); };
    bool was_held = false;
    for (;;) {
        bool taken = run_on_pool(connection, work);
        if (!taken && !was_held) {
            Reply reply = busy();
            co_return reply;
        }
        while (!taken) {  // its job may have ended well: "busy" would be a lie
            connection->event.expires_after(kRetryPause);
            auto [ignored] = co_await connection->event.async_wait(kTuple);
            static_cast<void>(ignored);
            taken = run_on_pool(connection, work);
        }
        co_await wait_for_reply(connection);
        if (!std::holds_alternative<Held>(*connection->reply)) break;
        const auto held = std::make_shared<Held>(std::move(std::get<Held>(*connection->reply)));
        connection->woken = connection->stopping;
        connection->held = true;
        connection->waker = std::make_shared<Waker>(*connection);
        held->signal->on_fire([waker = connection->waker] { waker->wake(); });
        co_await wait_until_woken(connection, held->deadline);
        connection->held = false;
        was_held = true;
        connection->waker->disarm();
        connection->waker.reset();
        work = [held]() -> Reply { return held->answer(); };
    }
    Reply reply = std::move(*connection->reply);
    connection->reply.reset();
    co_return reply;
}

asio::awaitable<bool> Server::Impl::write(std::shared_ptr<Connection> connection, Response response, unsigned version, bool keep_alive,
                                          bool head_only) {
    wire::response<wire::string_body> message;
    message.version(version);
    message.result(static_cast<unsigned>(response.status));
    message.set(wire::field::server, "ramet");
    message.set(wire::field::date, http_date());
    message.set(wire::field::content_type, response.content_type);
    for (const auto& [name, value] : response.headers) message.insert(name, value);
    message.content_length(response.body.size());
    message.keep_alive(keep_alive);
    if (!head_only) message.body() = std::move(response.body);
    connection->stream.expires_after(options_.write_timeout);
    auto [error, written] = co_await wire::async_write(connection->stream, message, kTuple);
    static_cast<void>(written);
    co_return !error;
}

asio::awaitable<bool> Server::Impl::write_text(std::shared_ptr<Connection> connection, std::shared_ptr<const std::string> text) {
    connection->stream.expires_after(options_.write_timeout);
    const asio::const_buffer bytes = asio::buffer(*text);
    auto [error, written] = co_await asio::async_write(connection->stream, bytes, kTuple);
    static_cast<void>(written);
    connection->stream.expires_never();
    co_return !error;
}

// The end of the connection is the end of the stream.
asio::awaitable<void> Server::Impl::send_events(std::shared_ptr<Connection> connection, std::shared_ptr<EventStream> stream) {
    const auto head = std::make_shared<const std::string>(head_of(*stream));
    bool open = co_await write_text(connection, head);
    while (open) {
        const auto piece = std::make_shared<EventStream::Piece>();
        std::function<Reply()> work = [piece, stream]() -> Reply {
            *piece = stream->next();
            return Response{};
        };
        const bool taken = run_on_pool(connection, work);
        if (taken) {
            co_await wait_for_reply(connection);
            const auto text = std::make_shared<const std::string>(std::move(piece->text));
            if (!text->empty()) open = co_await write_text(connection, text);
            if (!open || piece->last || connection->stopping) co_return;
        }
        connection->woken = connection->stopping;
        connection->held = true;
        connection->waker = std::make_shared<Waker>(*connection);
        stream->signal->on_fire([waker = connection->waker] { waker->wake(); });
        const auto next_look = std::chrono::steady_clock::now() + stream->pause;
        co_await wait_until_woken(connection, next_look);
        connection->held = false;
        connection->waker->disarm();
        connection->waker.reset();
        if (connection->stopping) co_return;
    }
}

// Reads on for a little while, so that the answer is not lost to a reset while the sender still sends.
asio::awaitable<void> Server::Impl::drain(std::shared_ptr<Connection> connection) {
    beast::error_code ignored;
    std::ignore = connection->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    connection->stream.expires_after(kDrainTimeout);
    std::array<char, kReadChunk> scratch{};
    const asio::mutable_buffer into = asio::buffer(scratch);
    std::size_t drained = 0;
    while (drained < kDrainBytesMax) {
        auto [error, length] = co_await connection->stream.async_read_some(into, kTuple);
        if (error) break;
        drained += length;
    }
}

asio::awaitable<bool> Server::Impl::refuse(std::shared_ptr<Connection> connection, Response response) {
    const bool written = co_await write(connection, std::move(response), 11, false, false);
    if (written) co_await drain(connection);
    co_return false;
}

// Reads and answers one request. False: the connection is over.
asio::awaitable<bool> Server::Impl::serve_one(std::shared_ptr<Connection> connection, bool first) {
    beast::tcp_stream& stream = connection->stream;
    if (connection->buffer.size() == 0) {
        connection->idle = true;
        stream.expires_after(first ? options_.read_timeout : options_.keep_alive_timeout);
        const auto space = connection->buffer.prepare(kReadChunk);
        auto [error, length] = co_await stream.async_read_some(space, kTuple);
        if (error) co_return false;
        connection->buffer.commit(length);
    }
    connection->idle = false;
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(options_.header_bytes_max));
    parser.body_limit(options_.body_bytes_max);
    stream.expires_after(options_.read_timeout);
    auto [head_error, head_length] = co_await wire::async_read_header(stream, connection->buffer, parser, kTuple);
    static_cast<void>(head_length);
    std::optional<Response> no = head_error ? refusal(head_error, options_) : refusal_of_head(parser);
    if (no) {
        const bool more = co_await refuse(connection, std::move(*no));
        co_return more;
    }
    if (head_error) co_return false;
    if (!parser.is_done()) {
        if (!parser.get()[wire::field::expect].empty()) {
            const asio::const_buffer go_on = asio::buffer(kContinue);
            auto [write_error, written] = co_await asio::async_write(stream, go_on, kTuple);
            static_cast<void>(written);
            if (write_error) co_return false;
        }
        stream.expires_after(options_.read_timeout);
        auto [body_error, body_length] = co_await wire::async_read(stream, connection->buffer, parser, kTuple);
        static_cast<void>(body_length);
        if (body_error) {
            std::optional<Response> too_much = refusal(body_error, options_);
            if (!too_much) co_return false;
            const bool more = co_await refuse(connection, std::move(*too_much));
            co_return more;
        }
    }
    stream.expires_never();
    const unsigned version = parser.get().version();
    const bool wants_more = parser.get().keep_alive();
    const bool head_only = parser.get().method() == wire::verb::head;
    const std::shared_ptr<const Request> request = take_request(parser, connection->client_address);
    Reply reply = co_await respond(connection, request);
    if (std::holds_alternative<EventStream>(reply)) {
        const auto stream_of_events = std::make_shared<EventStream>(std::move(std::get<EventStream>(reply)));
        co_await send_events(connection, stream_of_events);
        co_return false;
    }
    Response response = std::move(std::get<Response>(reply));
    const bool keep_alive = wants_more && !connection->stopping && !stopping_;
    const bool written = co_await write(connection, std::move(response), version, keep_alive, head_only);
    co_return written&& keep_alive;
}

asio::awaitable<void> Server::Impl::serve(std::shared_ptr<Connection> connection) {
    bool first = true;
    bool more = true;
    while (more && !stopping_) {
        more = co_await serve_one(connection, first);
        first = false;
    }
    beast::error_code ignored;
    std::ignore = connection->stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
    connection->stream.close();
}

}  // namespace ramet::http

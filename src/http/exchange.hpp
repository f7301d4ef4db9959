// One HTTP exchange as the edge sees it: no sockets, no library types.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ramet::http {

using Header = std::pair<std::string, std::string>;

struct Request {
    std::string method;           // "GET", as sent
    std::string target;           // path and query, percent-encoded
    std::vector<Header> headers;  // in the order sent
    std::string body;
    std::string client_address;

    // The first header of this name (any case), or null.
    const std::string* header(std::string_view name) const;
};

struct Response {
    int status = 200;
    std::string content_type = "application/json;charset=UTF-8";
    std::string body = "{}";
    std::vector<Header> headers = {};
};

// Fires once; who listens, the last to ask for it, is told, also when it fired before. Thread-safe; the listener runs on the thread that fires.
class Signal {
public:
    void fire();
    void on_fire(std::function<void()> listener);  // instead of an earlier one

private:
    std::mutex mutex_;
    bool fired_ = false;
    std::function<void()> listener_;
};

struct Held;
struct EventStream;
using Reply = std::variant<Response, Held, EventStream>;

// A request that is answered later. No thread waits for it: `answer` is called once on a handler thread, after `signal` fired,
// at the deadline, or when the server stops.
struct Held {
    std::shared_ptr<Signal> signal;
    std::chrono::steady_clock::time_point deadline;
    std::function<Reply()> answer;
};

// An answer of text/event-stream in pieces. `next` is called on a handler thread for each piece: at once, then after each `pause`, and when
// `signal` fired; never twice at a time. After the last piece, or when the client has gone or the server stops, the connection ends.
struct EventStream {
    struct Piece {
        std::string text;
        bool last = true;
    };
    std::shared_ptr<Signal> signal;
    std::chrono::milliseconds pause;
    std::function<Piece()> next;
    std::vector<Header> headers = {};
};

Response text_response(int status, std::string_view text);  // text/plain
Response json_response(int status, std::string body);

}  // namespace ramet::http

#include "http/exchange.hpp"
#include "base/text.hpp"

#include <algorithm>

namespace ramet::http {

const std::string* Request::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (equal_ignoring_case(key, name)) return &value;
    return nullptr;
}

Response text_response(int status, std::string_view text) { return Response{status, "text/plain;charset=UTF-8", std::string(text) + "\n", {}}; }

Response json_response(int status, std::string body) {
    Response response;
    response.status = status;
    response.body = std::move(body);
    return response;
}

void Signal::fire() {
    std::function<void()> listener;
    {
        const std::lock_guard lock(mutex_);
        if (fired_) return;
        fired_ = true;
        listener = std::move(listener_);
    }
    if (listener) listener();
}

void Signal::on_fire(std::function<void()> listener) {
    {
        const std::lock_guard lock(mutex_);
        if (!fired_) {
            listener_ = std::move(listener);
            return;
        }
    }
    listener();
}

}  // namespace ramet::http

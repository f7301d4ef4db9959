#include "http/exchange.hpp"

#include <algorithm>

namespace ramet::http {

bool equal_ignoring_case(std::string_view left, std::string_view right) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::equal(left.begin(), left.end(), right.begin(), right.end(), [&](char a, char b) { return lower(a) == lower(b); });
}

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

// Server-sent events as they arrive: bytes in, whole events out.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace ramet::cli {

class EventReader {
public:
    using Listener = std::function<void(const std::string& name, const std::string& data)>;
    explicit EventReader(Listener listener) : listener_(std::move(listener)) {}
    // False: a line is longer than any of the server's; the stream is given up.
    bool take(std::string_view bytes);

private:
    void line(std::string_view text);
    Listener listener_;
    std::string pending_, name_, data_;
};

}  // namespace ramet::cli

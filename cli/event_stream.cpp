#include "event_stream.hpp"

namespace ramet::cli {
namespace {

constexpr std::size_t kLineBytesMax = 64U << 20U;  // the result of a thousand clones

}  // namespace

bool EventReader::take(std::string_view bytes) {
    pending_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n', begin)) {
        line(std::string_view(pending_).substr(begin, end - begin));
        begin = end + 1;
    }
    pending_.erase(0, begin);
    return pending_.size() <= kLineBytesMax;
}

void EventReader::line(std::string_view text) {
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) {
        if (!data_.empty()) listener_(name_, data_);
        name_.clear();
        data_.clear();
        return;
    }
    const auto value_of = [&](std::string_view field) -> const char* {
        if (!text.starts_with(field) || text.size() <= field.size() || text[field.size()] != ':') return nullptr;
        text.remove_prefix(field.size() + 1);
        if (text.starts_with(' ')) text.remove_prefix(1);
        return text.data();
    };
    if (value_of("event") != nullptr)
        name_ = text;
    else if (value_of("data") != nullptr)
        data_ += (data_.empty() ? "" : "\n") + std::string(text);
}

}  // namespace ramet::cli

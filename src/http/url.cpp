#include "http/url.hpp"

namespace ramet::http {

namespace {

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string_view without_origin(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        const std::size_t slash = target.find('/', scheme.size());
        return slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    return target;
}

// Calls `part` with each piece of `text` between `separator`s.
template <class Function>
Result<void> split(std::string_view text, char separator, const Function& part) {
    for (;;) {
        const std::size_t end = text.find(separator);
        TRY(part(text.substr(0, end)));
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
}

std::unexpected<Error> broken_escape(std::string_view text) {
    return fail(ErrorCode::malformed, "the URL holds a broken percent-escape in '" + std::string(text.substr(0, 64)) + "'");
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            out += ' ';
        } else if (text[i] == '%') {
            const int high = i + 1 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) return std::nullopt;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

Result<Target> parse_target(std::string_view target) {
    Target out;
    target = without_origin(target);
    target = target.substr(0, target.find('#'));
    const std::size_t question = target.find('?');
    std::string_view path = target.substr(0, question);
    out.path = std::string(path);
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.ends_with('/')) path.remove_suffix(1);
    if (!path.empty()) {
        TRY(split(path, '/', [&](std::string_view segment) -> Result<void> {
            std::optional<std::string> decoded = percent_decode(segment, false);
            if (!decoded) return broken_escape(segment);
            out.segments.push_back(std::move(*decoded));
            return {};
        }));
    }
    if (question == std::string_view::npos) return out;
    TRY(split(target.substr(question + 1), '&', [&](std::string_view pair) -> Result<void> {
        if (pair.empty()) return {};
        const std::size_t equals = pair.find('=');
        std::optional<std::string> name = percent_decode(pair.substr(0, equals), true);
        std::optional<std::string> value = percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
        if (!name || !value) return broken_escape(pair);
        out.parameters.emplace_back(std::move(*name), std::move(*value));
        return {};
    }));
    return out;
}

}  // namespace ramet::http

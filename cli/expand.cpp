#include "expand.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace ramet::cli {
namespace {

constexpr int kNumberDigitsMax = 9;

struct Number {
    long value;
    std::size_t width;
};

std::optional<Number> read_number(std::string_view text) {
    if (text.empty() || text.size() > kNumberDigitsMax) return std::nullopt;
    long value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || rest != text.data() + text.size() || value < 0) return std::nullopt;
    return Number{value, text.front() == '0' ? text.size() : 1};
}

Result<std::vector<std::string>> alternatives(const std::string& inside, std::size_t names_max) {
    const std::size_t dots = inside.find("..");
    std::vector<std::string> found;
    if (dots == std::string::npos) {
        std::size_t start = 0;
        for (std::size_t comma = inside.find(','); comma != std::string::npos; comma = inside.find(',', start)) {
            found.push_back(inside.substr(start, comma - start));
            start = comma + 1;
        }
        found.push_back(inside.substr(start));
        return found;
    }
    const auto first = read_number(std::string_view(inside).substr(0, dots));
    const auto last = read_number(std::string_view(inside).substr(dots + 2));
    if (!first || !last) return fail(ErrorCode::invalid_argument, "'{" + inside + "}' is no range; write it as {1..10} or {01..10}");
    if (static_cast<std::size_t>(std::abs(last->value - first->value)) >= names_max) {
        return fail(ErrorCode::invalid_argument, "'{" + inside + "}' makes more than " + std::to_string(names_max) + " names");
    }
    const std::size_t width = std::max(first->width, last->width);
    const long step = first->value <= last->value ? 1 : -1;
    for (long value = first->value; value != last->value + step; value += step) {
        std::string digits = std::to_string(value);
        if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
        found.push_back(std::move(digits));
    }
    return found;
}

}  // namespace

Result<std::vector<std::string>> expand_names(const std::string& pattern, std::size_t names_max) {
    const std::size_t open = pattern.find('{');
    if (open == std::string::npos) return std::vector<std::string>{pattern};
    const std::size_t close = pattern.find('}', open);
    if (close == std::string::npos) return fail(ErrorCode::invalid_argument, "'" + pattern + "' has a '{' without '}'");
    TRY_ASSIGN(const std::vector<std::string> middles, alternatives(pattern.substr(open + 1, close - open - 1), names_max));
    TRY_ASSIGN(const std::vector<std::string> tails, expand_names(pattern.substr(close + 1), names_max));
    if (middles.size() * tails.size() > names_max)
        return fail(ErrorCode::invalid_argument, "'" + pattern + "' makes more than " + std::to_string(names_max) + " names");
    std::vector<std::string> names;
    const std::string head = pattern.substr(0, open);
    for (const std::string& middle : middles) {
        for (const std::string& tail : tails) names.emplace_back(head).append(middle).append(tail);
    }
    return names;
}

}  // namespace ramet::cli

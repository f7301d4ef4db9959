#include "query/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace ramet::query {
namespace {

constexpr std::size_t kValueBytesMax = 16384;  // LIKE patterns have a bound of their own in SQLite (50 000); nobody writes longer ones
constexpr std::size_t kListItemsMax = 5000;    // SQLite takes 32 766 parameters in one statement

std::unexpected<Error> bad(const std::string& shown, const std::string& what) {
    return fail(ErrorCode::bad_query, "the condition on field '" + shown + "' cannot be: " + what);
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::int64_t number = 0;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const auto [stopped, error] = std::from_chars(begin, end, number);
    if (text.empty() || error != std::errc{} || stopped != end) return std::nullopt;
    return number;
}

std::optional<std::int64_t> parse_boolean(std::string_view text) {
    if (equal_ignoring_case(text, "true") || text == "1") return 1;
    if (equal_ignoring_case(text, "false") || text == "0") return 0;
    return std::nullopt;
}

bool takes_number(const FieldInfo& field) {
    return field.scalar == Scalar::integer || field.scalar == Scalar::boolean || field.scalar == Scalar::timestamp;
}

Result<store::Value> typed_value(const FieldInfo& field, const std::string& value, const std::string& shown) {
    switch (field.scalar) {
    case Scalar::integer: {
        const std::optional<std::int64_t> number = parse_integer(value);
        if (!number) return bad(shown, "'" + value.substr(0, 64) + "' is not an integer");
        return store::Value{*number};
    }
    case Scalar::boolean: {
        const std::optional<std::int64_t> flag = parse_boolean(value);
        if (!flag) return bad(shown, "'" + value.substr(0, 64) + "' is neither true nor false");
        return store::Value{*flag};
    }
    case Scalar::timestamp: {
        const std::optional<std::int64_t> number = parse_integer(value);
        if (!number) return bad(shown, "'" + value.substr(0, 64) + "' is not a number of milliseconds; for a date use =, !=, >=, <=, > or <");
        return store::Value{*number};
    }
    case Scalar::enumeration:  // an unknown name matches nothing: clients ask for states that we do not have
        for (const std::string_view name : field.values) {
            if (equal_ignoring_case(name, value)) return store::Value{std::string(name)};
        }
        return store::Value{value};
    case Scalar::text:
    case Scalar::id:
    case Scalar::object: break;
    }
    return store::Value{value};
}

std::vector<std::string> split_list(const std::string& value) {
    std::vector<std::string> items;
    std::size_t begin = 0;
    while (true) {
        const std::size_t comma = value.find(',', begin);
        items.push_back(value.substr(begin, comma == std::string::npos ? comma : comma - begin));
        if (comma == std::string::npos) return items;
        begin = comma + 1;
    }
}

// A wire date says no milliseconds: it stands for its whole second.
std::string second_condition(const std::string& column, Operator op, std::int64_t begin, Binder& binder) {
    const std::int64_t end = begin + kMillisecondsPerSecond;
    switch (op) {
    case Operator::equal: {
        const std::string first = binder.bind(begin);
        return "(" + column + " >= " + first + " AND " + column + " < " + binder.bind(end) + ")";
    }
    case Operator::not_equal: {
        const std::string first = binder.bind(begin);
        return "(" + column + " < " + first + " OR " + column + " >= " + binder.bind(end) + ")";
    }
    case Operator::greater: return column + " >= " + binder.bind(end);
    case Operator::at_most: return column + " < " + binder.bind(end);
    case Operator::at_least: return column + " >= " + binder.bind(begin);
    default: return column + " < " + binder.bind(begin);
    }
}

Result<std::string> list_condition(const FieldInfo& field, const std::string& column, Operator op, const std::string& value, const std::string& shown,
                                   Binder& binder) {
    const std::vector<std::string> items = split_list(value);
    if (items.size() > kListItemsMax || binder.count() + items.size() > kListItemsMax * 2) {
        return bad(shown, "the list has too many items; ask for at most " + std::to_string(kListItemsMax) + " at once");
    }
    std::string out = column + (op == Operator::in ? " IN (" : " NOT IN (");
    for (std::size_t i = 0; i < items.size(); ++i) {
        TRY_ASSIGN(store::Value typed, typed_value(field, items[i], shown));
        out += (i == 0 ? "" : ", ") + binder.bind(std::move(typed));
    }
    return out + ")";
}

Result<std::string> like_condition(const FieldInfo& field, const std::string& column, Operator op, std::string pattern, const std::string& shown,
                                   Binder& binder) {
    if (takes_number(field)) return bad(shown, "a pattern works on texts only; use =, !=, >=, <=, > or <");
    std::size_t backslashes = 0;
    while (backslashes < pattern.size() && pattern[pattern.size() - 1 - backslashes] == '\\') ++backslashes;
    if (backslashes % 2 == 1) pattern += '\\';  // a lone escape at the end means itself; some databases refuse it
    return column + (op == Operator::like ? " LIKE " : " NOT LIKE ") + binder.bind(std::move(pattern)) + " ESCAPE '\\'";
}

std::string_view comparison(Operator op) {
    switch (op) {
    case Operator::equal: return " = ";
    case Operator::not_equal: return " <> ";
    case Operator::at_least: return " >= ";
    case Operator::at_most: return " <= ";
    case Operator::greater: return " > ";
    default: return " < ";
    }
}

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads numbers and fixed texts from the left; ok() tells whether all of them were there.
class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_(text) {}
    int number(std::size_t digits_max) {
        std::size_t digits = 0;
        int value = 0;
        while (digits < digits_max && digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9')
            value = value * 10 + (rest_[digits++] - '0');
        if (digits == 0) ok_ = false;
        rest_.remove_prefix(digits);
        return value;
    }
    void expect(std::string_view text) {
        if (rest_.substr(0, text.size()) == text)
            rest_.remove_prefix(text.size());
        else
            ok_ = false;
    }
    int one_of(std::span<const std::string_view> words) {
        for (std::size_t i = 0; i < words.size(); ++i) {
            if (rest_.substr(0, words[i].size()) != words[i]) continue;
            rest_.remove_prefix(words[i].size());
            return static_cast<int>(i);
        }
        ok_ = false;
        return 0;
    }
    bool ok() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

std::optional<std::int64_t> to_milliseconds(std::tm local) {
    if (local.tm_mday < 1 || local.tm_mday > 31 || local.tm_hour > 23 || local.tm_min > 59 || local.tm_sec > 60 || local.tm_mon > 11 ||
        local.tm_mon < 0)
        return std::nullopt;
    local.tm_isdst = -1;
    return static_cast<std::int64_t>(std::mktime(&local)) * kMillisecondsPerSecond;
}

}  // namespace

std::optional<std::int64_t> parse_date(std::string_view text) {
    constexpr std::array<std::string_view, 2> kHalves{"AM", "PM"};
    std::tm date{};
    Scanner wire(text);
    date.tm_mon = wire.one_of(kMonths);
    wire.expect(" ");
    date.tm_mday = wire.number(2);
    wire.expect(", ");
    date.tm_year = wire.number(4) - 1900;
    wire.expect(" ");
    const int hour = wire.number(2);
    wire.expect(":");
    date.tm_min = wire.number(2);
    wire.expect(":");
    date.tm_sec = wire.number(2);
    wire.expect(" ");
    const int half = wire.one_of(kHalves);
    if (wire.ok()) {
        if (hour < 1 || hour > 12) return std::nullopt;
        date.tm_hour = hour % 12 + (half == 1 ? 12 : 0);
        return to_milliseconds(date);
    }
    Scanner plain(text);
    date = {};
    date.tm_year = plain.number(4) - 1900;
    plain.expect("-");
    date.tm_mon = plain.number(2) - 1;
    plain.expect("-");
    date.tm_mday = plain.number(2);
    plain.expect(" ");
    date.tm_hour = plain.number(2);
    plain.expect(":");
    date.tm_min = plain.number(2);
    plain.expect(":");
    date.tm_sec = plain.number(2);
    if (!plain.ok()) return std::nullopt;
    return to_milliseconds(date);
}

Positive positive_form(Operator op) {
    switch (op) {
    case Operator::not_equal: return {Operator::equal, true};
    case Operator::not_in: return {Operator::in, true};
    case Operator::not_like: return {Operator::like, true};
    case Operator::is_null: return {Operator::not_null, true};
    default: return {op, false};
    }
}

Result<std::string> column_condition(const FieldInfo& field, const std::string& column, Operator op, const std::string& value,
                                     const std::string& shown, Binder& binder) {
    if (op == Operator::is_null) return column + " IS NULL";
    if (op == Operator::not_null) return column + " IS NOT NULL";
    if (value.size() > kValueBytesMax && op != Operator::in && op != Operator::not_in)
        return bad(shown, "the value is longer than " + std::to_string(kValueBytesMax) + " bytes");
    if (op == Operator::in || op == Operator::not_in) return list_condition(field, column, op, value, shown, binder);
    if (op == Operator::like || op == Operator::not_like) return like_condition(field, column, op, value, shown, binder);
    if (field.scalar == Scalar::timestamp) {
        if (const std::optional<std::int64_t> second = parse_date(value)) return second_condition(column, op, *second, binder);
        if (!parse_integer(value)) {
            return bad(shown, "'" + value.substr(0, 64) +
                                  "' is not a date; write it as \"Nov 14, 2017 10:20:57 PM\", \"2017-11-14 22:20:57\" or milliseconds since 1970");
        }
    }
    TRY_ASSIGN(store::Value typed, typed_value(field, value, shown));
    return column + std::string(comparison(op)) + binder.bind(std::move(typed));
}

}  // namespace ramet::query

#include <array>

#include "query/query.hpp"

namespace ramet::query {
namespace {

struct Spelling {
    std::string_view text;
    Operator op;
};

// The first of this list that is anywhere in the condition wins, wherever another one stands: `name=a>=b` asks for "name=a" >= "b".
// A quirk of the wire that clients rely on.
constexpr std::array<Spelling, 12> kSpellings{{{"!=", Operator::not_equal},
                                               {">=", Operator::at_least},
                                               {"<=", Operator::at_most},
                                               {"!?=", Operator::not_in},
                                               {"!~=", Operator::not_like},
                                               {"~=", Operator::like},
                                               {"?=", Operator::in},
                                               {"=", Operator::equal},
                                               {">", Operator::greater},
                                               {"<", Operator::less},
                                               {"is null", Operator::is_null},
                                               {"not null", Operator::not_null}}};

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

Result<Condition> parse_condition(std::string_view text) {
    const std::string shown(text.substr(0, 128));
    for (const Spelling& spelling : kSpellings) {
        const std::size_t at = text.find(spelling.text);
        if (at == std::string_view::npos) continue;
        const std::string_view name = trimmed(text.substr(0, at));
        if (name.empty())
            return fail(ErrorCode::malformed, "the condition '" + shown + "' names no field before the operator; write it as FIELD OPERATOR VALUE");
        return Condition{std::string(name), spelling.op, std::string(text.substr(at + spelling.text.size()))};
    }
    return fail(ErrorCode::malformed,
                "the condition '" + shown + "' has no operator; use one of: !=, >=, <=, !?=, !~=, ~=, ?=, =, >, <, is null, not null");
}

}  // namespace ramet::query

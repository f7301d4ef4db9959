#include <array>
#include <charconv>

#include "api/json.hpp"

namespace ramet::api {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// How many bytes the well-formed UTF-8 character at the start of `text` has; 0 when there is none.
std::size_t character_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return follows(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (!follows(1) || !follows(2)) return 0;
        const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (!follows(1) || !follows(2) || !follows(3)) return 0;
        const bool overlong = lead == 0xF0 && byte(1) < 0x90;
        const bool too_large = lead == 0xF4 && byte(1) >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

bool must_be_escaped(unsigned char byte) {
    return byte < 0x20 || byte == '"' || byte == '\\' || byte == '<' || byte == '>' || byte == '&' || byte == '=' || byte == '\'';
}

void append_escape(std::string& out, unsigned char byte) {
    switch (byte) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
    }
    out += "\\u00";
    out += kHexDigits[byte >> 4U];
    out += kHexDigits[byte & 0xFU];
}

void append_number(std::string& out, std::int64_t number) {
    std::array<char, 24> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end);
}

void append_item(std::string& out, const FieldInfo& field, const void* item, Audience audience) {
    switch (field.scalar) {
    case Scalar::text:
    case Scalar::id:
    case Scalar::enumeration: append_json_string(out, field.text(item)); return;
    case Scalar::integer: append_number(out, field.number(item)); return;
    case Scalar::boolean: out += field.number(item) != 0 ? "true" : "false"; return;
    case Scalar::timestamp:
        if (audience == Audience::storage)
            append_number(out, field.number(item));
        else
            append_json_string(out, to_wire_date(Timestamp{field.number(item)}));
        return;
    case Scalar::object: write_json(out, field.object(), item, audience); return;
    }
}

// An empty id names nothing, and an instant of 0 never happened: on the wire both are absent, as null is.
bool is_null_on_the_wire(const FieldInfo& field, const void* item) {
    if (field.scalar == Scalar::id) return field.text(item).empty();
    if (field.scalar == Scalar::timestamp) return field.number(item) == 0;
    return false;
}

bool is_shown(const FieldInfo& field, Audience audience, std::span<const std::string> only_fields) {
    if (audience == Audience::wire && field.rules.internal) return false;
    if (audience == Audience::storage && field.rules.secret) return false;
    if (only_fields.empty()) return true;
    for (const std::string& wanted : only_fields)
        if (wanted == field.name) return true;
    return false;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    std::size_t plain = 0;  // start of what can be copied as it is
    std::size_t at = 0;
    const auto flush = [&] { out.append(text.substr(plain, at - plain)); };
    while (at < text.size()) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte < 0x80) {
            if (must_be_escaped(byte)) {
                flush();
                append_escape(out, byte);
                plain = at + 1;
            }
            ++at;
            continue;
        }
        const std::size_t length = character_length(text.substr(at));
        const std::string_view character = text.substr(at, length);
        const bool line_separator = character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9";  // end a line in old JavaScript
        if (length == 0 || line_separator) {
            flush();
            if (length == 0)
                out += kReplacement;
            else
                out += character.back() == '\xA8' ? "\\u2028" : "\\u2029";
            plain = at + (length == 0 ? 1 : length);
        }
        at += length == 0 ? 1 : length;
    }
    flush();
    out += '"';
}

void write_json(std::string& out, const TypeInfo& type, const void* value, Audience audience, std::span<const std::string> only_fields) {
    out += '{';
    bool first = true;
    void* const owner = const_cast<void*>(value);  // the description's accessors serve readers and writers; nothing is changed here
    for (const FieldInfo& field : type.fields) {
        if (!is_shown(field, audience, only_fields)) continue;
        void* const member = field.member(owner);
        const std::size_t count = field.count(member);
        if (field.shape == Shape::optional && count == 0) continue;
        if (field.shape != Shape::list && audience == Audience::wire && is_null_on_the_wire(field, field.item(member, 0))) continue;
        if (!first) out += ',';
        first = false;
        append_json_string(out, field.name);
        out += ':';
        if (field.shape != Shape::list) {
            append_item(out, field, field.item(member, 0), audience);
            continue;
        }
        out += '[';
        for (std::size_t i = 0; i < count; ++i) {
            if (i != 0) out += ',';
            append_item(out, field, field.item(member, i), audience);
        }
        out += ']';
    }
    out += '}';
}

}  // namespace ramet::api

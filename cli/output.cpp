#include "output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ramet::cli {

namespace json = boost::json;

namespace {

const json::value* child(const json::value& value, std::string_view key) {
    if (value.is_object()) return value.as_object().if_contains(key);
    if (!value.is_array()) return nullptr;
    std::size_t index = 0;
    const auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc{} || rest != key.data() + key.size() || index >= value.as_array().size()) return nullptr;
    return &value.as_array()[index];
}

// A terminal must not be steered by names.
std::string printable(std::string_view text) {
    std::string out;
    for (const char character : text) out += static_cast<unsigned char>(character) < 0x20 || character == 0x7F ? '?' : character;
    return out;
}

}  // namespace

std::string field_text(const json::value& row, std::string_view field) {
    const json::value* value = &row;
    while (value != nullptr && !field.empty()) {
        const std::size_t dot = field.find('.');
        value = child(*value, field.substr(0, dot));
        field = dot == std::string_view::npos ? std::string_view{} : field.substr(dot + 1);
    }
    if (value == nullptr || value->is_null()) return {};
    if (value->is_string()) return printable(std::string_view(value->as_string()));
    return json::serialize(*value);
}

std::int64_t number_field(const json::value& row, const char* field) {
    const json::value* value = child(row, field);
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

const json::array& list_field(const json::object& row, const char* field) {
    static const json::array kNone;
    const json::value* value = row.if_contains(field);
    return value != nullptr && value->is_array() ? value->as_array() : kNone;
}

std::string human_bytes(std::int64_t bytes) {
    constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string capture_text(const json::value& row, const std::string& field) {
    const auto part = [&](const char* name) { return field_text(row, field + "." + name); };
    const std::string level = part("consistency");
    if (level.empty() || !part("consistencyReason").empty()) return level.empty() ? level : fmt::format("{} ({})", level, part("consistencyReason"));
    if (level != "filesystem") return level;
    double microseconds = 0;
    const std::string frozen = part("frozenMicroseconds");
    std::from_chars(frozen.data(), frozen.data() + frozen.size(), microseconds);
    return fmt::format("{} ({} file systems frozen for {:.0f} ms)", level, part("frozenFileSystems"), microseconds / 1000);
}

std::string pretty(const json::value& value, int indent) {
    const std::string inner(static_cast<std::size_t>(indent) + 2, ' ');
    const std::string outer(static_cast<std::size_t>(indent), ' ');
    std::string out;
    if (value.is_object() && !value.as_object().empty()) {
        for (const auto& member : value.as_object())
            out += (out.empty() ? "{\n" : ",\n") + inner + json::serialize(json::value(member.key())) + ": " + pretty(member.value(), indent + 2);
        return out + "\n" + outer + "}";
    }
    if (value.is_array() && !value.as_array().empty()) {
        for (const json::value& item : value.as_array()) out += (out.empty() ? "[\n" : ",\n") + inner + pretty(item, indent + 2);
        return out + "\n" + outer + "]";
    }
    return json::serialize(value);
}

void print_rows(const json::array& rows, const std::vector<Column>& columns, Format format) {
    if (format == Format::json) {
        fmt::print("{}\n", pretty(rows));
        return;
    }
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    widths.reserve(columns.size());
    for (const Column& column : columns) widths.push_back(column.title.size());
    for (const json::value& row : rows) {
        std::vector<std::string> line;
        for (std::size_t i = 0; i < columns.size(); ++i) {
            line.push_back(field_text(row, columns[i].field));
            widths[i] = std::max(widths[i], line.back().size());
        }
        cells.push_back(std::move(line));
    }
    const auto print_line = [&](const auto& text_of) {
        std::string line;
        for (std::size_t i = 0; i < columns.size(); ++i) line += fmt::format("{:<{}}", text_of(i), i + 1 < columns.size() ? widths[i] + 2 : 0);
        fmt::print("{}\n", line);
    };
    print_line([&](std::size_t i) { return columns[i].title; });
    for (const auto& line : cells) print_line([&](std::size_t i) { return line[i]; });
}

void print_done(Format format) {
    if (format == Format::json) fmt::print("{{}}\n");
}

void print_object(const json::value& object, Format format) {
    if (format == Format::json || !object.is_object()) {
        fmt::print("{}\n", pretty(object));
        return;
    }
    for (const auto& member : object.as_object()) {
        fmt::print("{:<24} {}\n", std::string_view(member.key()),
                   member.value().is_structured() ? pretty(member.value()) : field_text(object, member.key()));
    }
}

}  // namespace ramet::cli

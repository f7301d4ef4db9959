// What commands print: aligned tables or the server's JSON.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ramet::cli {

enum class Format : unsigned char { table, json };

struct Column {
    std::string title;
    std::string field;
};  // `field`: dotted; "vmNics.0.ip" reads into lists

std::string field_text(const boost::json::value& row, std::string_view field);            // empty when absent
std::int64_t number_field(const boost::json::value& row, const char* field);              // 0 when absent
const boost::json::array& list_field(const boost::json::object& row, const char* field);  // empty when absent
std::string human_bytes(std::int64_t bytes);                                              // "64.0 KiB"
void print_rows(const boost::json::array& rows, const std::vector<Column>& columns, Format format);
void print_object(const boost::json::value& object, Format format);  // "field: value" lines or JSON
void print_done(Format format);                                      // of a command that has nothing to show: an empty object where JSON is read
// What a capture of a VM's disks is worth, from the object `field` of `row`: "filesystem (2 file systems frozen for 41 ms)", "crash (why)".
// Empty when there is no such object.
std::string capture_text(const boost::json::value& row, const std::string& field);
std::string pretty(const boost::json::value& value, int indent = 0);

}  // namespace ramet::cli

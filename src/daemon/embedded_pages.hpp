// The web pages inside the binary; the table is generated (web/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace ramet::daemon {

struct EmbeddedPage {
    std::string_view path;  // "/index.html"
    std::string_view content_type;
    const char* begin;
    const char* end;
    bool immutable;  // its name changes with its content
    bool gzip;
};

// Never empty; sorted by path. Lives as long as the program.
std::span<const EmbeddedPage> embedded_pages();

}  // namespace ramet::daemon

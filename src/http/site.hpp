// What the server shows beside the API: console, explorer, /openapi.json, /healthz, /metrics.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.hpp"
#include "http/url.hpp"

namespace ramet::http {

struct Asset {
    std::string bytes;
    std::string content_type;
    bool immutable = false;             // its name changes with its content
    std::string content_encoding = {};  // "gzip" when the bytes are
};
using Assets = std::function<std::optional<Asset>(std::string_view path)>;  // "/index.html", "/assets/app-1f3a.js"; called from many threads

struct Site {
    std::string version;
    std::string openapi;                   // the document
    std::function<std::string()> metrics;  // Prometheus text
    Assets assets;

    Response answer(const Request& request, const Target& target) const;
};

// What every answer carries: no sniffing, no framing, nothing from elsewhere.
void add_security_headers(Response& response);

}  // namespace ramet::http

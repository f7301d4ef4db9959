#include "http/site.hpp"

#include <vector>

#include "api/json.hpp"

namespace ramet::http {

namespace {

constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; style-src 'self'; script-src 'self'; connect-src 'self'";

// Where a page may lie: "/" is the console, "/explorer/<Api>" is the explorer whatever the call's name.
std::vector<std::string> places_of(const std::string& path) {
    std::vector<std::string> places{path.empty() ? "/" : path};
    const bool is_file = path.find('.', path.rfind('/') + 1) != std::string::npos;
    if (is_file) return places;
    if (path == "/") return {"/index.html"};
    const bool explorer = path == "/explorer" || path.starts_with("/explorer/");
    const bool console = path == "/console" || path.starts_with("/console/");
    if (explorer) places.insert(places.end(), {"/explorer/index.html", "/explorer.html"});
    if (explorer || console) places.emplace_back("/index.html");
    return places;
}

bool is_safe(const std::vector<std::string>& segments) {
    for (const std::string& segment : segments) {
        if (segment.empty() || segment == "." || segment == ".." || segment.find('/') != std::string::npos || segment.find('\0') != std::string::npos)
            return false;
    }
    return true;
}

Response page(Asset asset) {
    Response response;
    response.content_type = std::move(asset.content_type);
    response.body = std::move(asset.bytes);
    response.headers.emplace_back("Cache-Control", asset.immutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (!asset.content_encoding.empty()) response.headers.emplace_back("Content-Encoding", asset.content_encoding);
    return response;
}

}  // namespace

Response Site::answer(const Request& request, const Target& target) const {
    std::string path;
    for (const std::string& segment : target.segments) path += "/" + segment;
    if (path.empty()) path = "/";
    if (request.method != "GET" && request.method != "HEAD") {
        Response response = text_response(405, "only GET is allowed here");
        response.headers.emplace_back("Allow", "GET, HEAD");
        return response;
    }
    if (path == "/healthz") {
        std::string body = "{\"status\":\"ok\",\"version\":";
        api::append_json_string(body, version);
        return json_response(200, body + "}");
    }
    if (path == "/openapi.json") return json_response(200, openapi);
    if (path == "/metrics" && metrics) return Response{200, "text/plain; version=0.0.4; charset=utf-8", metrics(), {}};
    if (assets && is_safe(target.segments)) {
        for (const std::string& place : places_of(path)) {
            if (std::optional<Asset> asset = assets(place)) return page(std::move(*asset));
        }
    }
    return text_response(404, "there is nothing here; the API is below /zstack/v1");
}

void add_security_headers(Response& response) {
    response.headers.emplace_back("Content-Security-Policy", kContentSecurityPolicy);
    response.headers.emplace_back("X-Content-Type-Options", "nosniff");
    response.headers.emplace_back("Referrer-Policy", "no-referrer");
}

}  // namespace ramet::http

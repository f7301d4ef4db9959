// The web pages: built into the binary, or read from a directory while they are being developed.
#pragma once

#include <string>

#include "http/site.hpp"

namespace ramet::daemon {

// `console_dir` empty: the built-in pages.
http::Assets make_assets(const std::string& console_dir);

}  // namespace ramet::daemon

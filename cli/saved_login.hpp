// Sessions kept between commands, one per server and account: ramet/login.json below XDG_CONFIG_HOME, else HOME/.config.
#pragma once

#include <string>

#include "base/result.hpp"

namespace ramet::cli {

std::string saved_session(const std::string& server, const std::string& account);  // empty: none
// Fails when there is no place for it: neither variable is set, or the directory cannot be written.
Result<void> save_session(const std::string& server, const std::string& account, const std::string& session);

}  // namespace ramet::cli

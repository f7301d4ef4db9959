// The data directory: made, locked against a second server, and the initial password.
#pragma once

#include <string>

#include "base/result.hpp"

namespace ramet::daemon {

// Holds the lock until the process ends.
Result<void> open_data_dir(const std::string& data_dir);

// RAMET_ADMIN_PASSWORD, else the content of DIR/admin-password, else a new one that is written there (mode 0600).
Result<std::string> initial_admin_password(const std::string& data_dir);

}  // namespace ramet::daemon

#include "daemon/assets.hpp"

namespace ramet::daemon {

http::Assets make_assets(const std::string&) { return {}; }

}  // namespace ramet::daemon

// From SQLite's result codes to ours.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet::store::sqlite {

// `code` is an extended result code, `text` is SQLite's message for it. A broken constraint is ErrorCode::conflict with the
// columns as detail ("used_ip.l3NetworkUuid,used_ip.ip"); a deferred foreign key has none and the caller finds it out.
Error to_error(int code, const std::string& text, std::string_view sql);

}  // namespace ramet::store::sqlite

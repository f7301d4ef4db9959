// Errors as they are kept in step rows: a JSON object that gives the whole Error back after a restart, causes and operator's detail
// included. Not for the wire; that form is EngineOptions::error_to_json.
//   {"code":"storage_full","message":"...","detail":"...","subject":"...","cause":{...}}
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ramet::workflow {

std::string error_to_text(const Error& error);
std::optional<Error> error_from_text(std::string_view text);  // nothing: not such a text

}  // namespace ramet::workflow

// The schema's history. A migration that has been released is never edited: a new one is added behind it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "store/sqlite/connection.hpp"

namespace ramet::store::sqlite {

struct Migration {
    std::int64_t number;   // 1, 2, 3, ... without a gap
    std::string_view sql;  // statements separated by ';'
};

std::span<const Migration> migrations();
std::string checksum_of(std::string_view sql);

// Brings the schema up to date, all in one transaction. Refuses, and changes nothing, when a migration that was applied
// differs from ours or when the database has one that we do not know.
Result<void> migrate(Connection& connection, std::span<const Migration> list);

}  // namespace ramet::store::sqlite

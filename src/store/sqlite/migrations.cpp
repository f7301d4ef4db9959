#include "store/sqlite/migrations.hpp"

#include <sodium.h>
#include <array>
#include <map>

#include "base/clock.hpp"
#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {
namespace {

constexpr std::size_t kChecksumBytes = 16;

Result<std::map<std::int64_t, std::string>> applied_migrations(Connection& connection) {
    TRY(
        connection.run_script("CREATE TABLE IF NOT EXISTS schema_migration ("
                              "number INTEGER NOT NULL PRIMARY KEY, checksum TEXT NOT NULL, applied INTEGER NOT NULL) STRICT"));
    TRY_ASSIGN(const std::vector<Values> rows, connection.query("SELECT number, checksum FROM schema_migration"));
    std::map<std::int64_t, std::string> applied;
    for (const Values& row : rows) applied.emplace(std::get<std::int64_t>(row.at(0)), std::get<std::string>(row.at(1)));
    return applied;
}

Result<void> check_history(const std::map<std::int64_t, std::string>& applied, std::span<const Migration> list) {
    for (const auto& [number, checksum] : applied) {
        const Migration* known = nullptr;
        for (const Migration& candidate : list) {
            if (candidate.number == number) known = &candidate;
        }
        if (known == nullptr) {
            return fail(ErrorCode::internal, "the database was made by a newer version (schema " + std::to_string(number) + ", this program knows " +
                                                 std::to_string(list.empty() ? 0 : list.back().number) +
                                                 "); start the newer version, or restore a backup made before it");
        }
        if (checksum_of(known->sql) != checksum) {
            return fail(ErrorCode::internal, "schema migration " + std::to_string(number) +
                                                 " in the database differs from this program's; start the version that made the database");
        }
    }
    return {};
}

Result<void> apply_missing(Connection& connection, std::span<const Migration> list) {
    TRY_ASSIGN(const auto applied, applied_migrations(connection));
    TRY(check_history(applied, list));
    for (const Migration& migration : list) {
        if (applied.contains(migration.number)) continue;
        const Result<void> done = connection.run_script(migration.sql);
        if (!done.has_value()) return failed("schema migration " + std::to_string(migration.number), done.error());
        TRY(connection.execute("INSERT INTO schema_migration (number, checksum, applied) VALUES ($1, $2, $3)",
                               {migration.number, checksum_of(migration.sql), SystemClock().now().milliseconds}));
    }
    return {};
}

}  // namespace

std::span<const Migration> migrations() {
    static const std::array list{Migration{1, kSchema1Places},     Migration{2, kSchema1Pool},        Migration{3, kSchema1Machines},
                                 Migration{4, kSchemaJobs},        Migration{5, kSchemaSnapshots},    Migration{6, kSchemaIdentity},
                                 Migration{7, kSchemaMemory},      Migration{8, kSchemaEvent},        Migration{9, kSchemaAttach},
                                 Migration{10, kSchemaHookSchema}, Migration{11, kSchemaGroupMemory}, Migration{12, kSchemaRevert}};
    return list;
}

std::string checksum_of(std::string_view sql) {
    std::array<unsigned char, kChecksumBytes> bytes{};
    crypto_generichash(bytes.data(), bytes.size(), reinterpret_cast<const unsigned char*>(sql.data()), sql.size(), nullptr, 0);
    std::string text(kChecksumBytes * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();
    return text;
}

Result<void> migrate(Connection& connection, std::span<const Migration> list) {
    TRY(connection.run_script("BEGIN IMMEDIATE"));
    Result<void> applied = apply_missing(connection, list);
    if (!applied.has_value()) {
        static_cast<void>(connection.run_script("ROLLBACK"));  // may have rolled back already; the first error is the one that tells
        return applied;
    }
    return connection.run_script("COMMIT");
}

}  // namespace ramet::store::sqlite

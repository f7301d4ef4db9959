#include "store/sqlite/errors.hpp"

#include <sqlite3.h>
#include <algorithm>

namespace ramet::store::sqlite {
namespace {

constexpr std::string_view kConstraintMark = "constraint failed: ";

// "UNIQUE constraint failed: used_ip.l3NetworkUuid, used_ip.ip" names the columns; a foreign key's text names nothing.
std::string constraint_columns(const std::string& text) {
    const std::size_t mark = text.find(kConstraintMark);
    if (mark == std::string::npos) return text;
    std::string columns = text.substr(mark + kConstraintMark.size());
    columns.erase(std::remove(columns.begin(), columns.end(), ' '), columns.end());
    return columns;
}

Error with(ErrorCode code, std::string message, std::string detail) { return Error{code, std::move(message), std::move(detail), nullptr, {}}; }

}  // namespace

Error to_error(int code, const std::string& text, std::string_view sql) {
    const std::string detail = "sqlite " + std::to_string(code) + ": " + text + (sql.empty() ? "" : " in: " + std::string(sql.substr(0, 400)));
    switch (code & 0xFF) {
    case SQLITE_CONSTRAINT:
        if (code == SQLITE_CONSTRAINT_DATATYPE) break;
        if (code == SQLITE_CONSTRAINT_FOREIGNKEY) {
            return with(ErrorCode::conflict, "a resource named here does not exist or is still in use; look at what refers to it", text);
        }
        return with(ErrorCode::conflict, "a value that must be unique is taken; choose another", constraint_columns(text));
    case SQLITE_FULL:
        return with(ErrorCode::storage_full, "the disk that holds the server's database is full; free space on it and try again", detail);
    case SQLITE_IOERR: return with(ErrorCode::internal, "the server's database cannot be read or written; check its disk, then try again", detail);
    case SQLITE_CORRUPT:  // it says so too when several reads in a row fail with EIO, and the next one finds nothing wrong
        return with(ErrorCode::internal,
                    "the server's database could not be understood; check its disk and then the database (PRAGMA integrity_check); restore it from a "
                    "backup only if that finds damage",
                    detail);
    case SQLITE_NOTADB:
        return with(ErrorCode::internal, "the server's database is damaged; stop the server and restore the database from a backup", detail);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return with(ErrorCode::internal, "the server's database cannot be opened; check that its folder exists and may be written to", detail);
    case SQLITE_READONLY:
        return with(ErrorCode::internal, "the server's database cannot be written; check its permissions and its file system", detail);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return with(ErrorCode::internal, "the server's database is in use by another program; stop that program and try again", detail);
    case SQLITE_NOMEM: return with(ErrorCode::internal, "the server is out of memory; free memory and try again", detail);
    default: break;
    }
    return with(ErrorCode::internal, "the server's database refused a statement; this is a fault of the server, see its log", detail);
}

}  // namespace ramet::store::sqlite

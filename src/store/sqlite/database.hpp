// The store's port on SQLite: one file, write-ahead log, every commit synced.
//
// Writes are queued to one thread. It takes all that wait, runs each in a savepoint of its own, and commits them together:
// callers share the cost of the sync, and a failing one is rolled back alone. Callers return after that commit.
// Reads run on the caller's thread, on one of a few connections, and see the last commit as of their start.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "store/database.hpp"

namespace ramet::store {

// Opens or creates the file and brings its schema up to date. Refuses a database that a newer or altered program made.
// The path must name a file: there is no in-memory database. Destroying the database ends the writes that wait, then closes.
// `on_lost_sync` is called once, on any thread, when the file cannot be brought to disk. A second sync would succeed without having
// written what the first one lost, so that no write is taken from then on: the process should end and open the file anew.
// `readers`: connections for reads. Reads are short: more than a few only share the same processors, and each costs some 0.7 ms here.
Result<std::unique_ptr<Database>> open_sqlite(const std::string& path, std::function<void()> on_lost_sync = nullptr, std::size_t readers = 8);

}  // namespace ramet::store

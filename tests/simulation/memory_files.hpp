// SQLite's files in the memory of the process: the system has no part in them, and what a power cut would leave of them is known.
#pragma once

#include <string>

namespace ramet::sim {

// From here on all databases of the process are there, under the names of files. A name that is not known is an empty file when it is created.
void keep_databases_in_memory();
// The connections of a dead server stay open and keep their locks: whoever opens the database now gets its contents in a file of its own.
void let_go_of_database(const std::string& file);
// Its log is what was last synced of it.
void lose_unsynced_log(const std::string& file);

}  // namespace ramet::sim

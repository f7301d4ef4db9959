// Source of the methods and of their rules: SQLite's "The OS Backend (VFS)", https://www.sqlite.org/vfs.html, and its "WAL-mode File Format",
// https://www.sqlite.org/walformat.html, for the shared memory of a log.
#include "simulation/memory_files.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "simulation/scheduler.hpp"

namespace ramet::sim {

namespace {

constexpr int kLookasideSize = 1200, kLookasides = 400;  // ten times SQLite's own: they are what compiling a statement needs most of
constexpr int kSlots = SQLITE_SHM_NLOCK;
constexpr std::size_t kLogRoom = 6 << 20;  // bytes: more than it has when it begins anew, so that it is not moved as it grows
constexpr const char* kLog = "-wal";       // behind the database's name

// What all that have opened one file share.
struct Contents {
    std::string bytes;
    // Of a log: what a power cut leaves. As bytes are seldom written anew that have been synced, they are copied only then.
    bool is_log = false;
    std::size_t synced_size = 0;
    std::optional<std::string> synced;  // none: the first `synced_size` of the bytes

    void keep_synced(std::size_t before_a_write_at) {
        if (is_log && before_a_write_at < synced_size && !synced) synced = bytes.substr(0, synced_size);
    }
    // Of the file's locks: how many have SHARED, and who has more.
    int readers = 0;
    const void* writer = nullptr;   // RESERVED and beyond
    const void* pending = nullptr;  // PENDING and EXCLUSIVE: no new readers
    // Of the shared memory of its log.
    std::vector<std::unique_ptr<char[]>> regions;
    int users_of_regions = 0;
    std::array<int, kSlots> shared{};
    std::array<const void*, kSlots> exclusive{};
};

std::map<std::string, std::shared_ptr<Contents>>& files() {
    static auto* const all = new std::map<std::string, std::shared_ptr<Contents>>;
    return *all;
}

// The memory of a removed log, for the next one: it would have to be got from the system page by page.
std::string& spare_log() {
    static auto* const one = new std::string;
    one->clear();
    return *one;
}

struct OpenFile {
    sqlite3_file base;  // SQLite sees no more than this
    std::shared_ptr<Contents> contents;
    int level;
    bool uses_regions;
    std::array<bool, kSlots> shared, exclusive;
};

OpenFile& of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }

// --- bytes

int read(sqlite3_file* file, void* to, int wanted, sqlite3_int64 offset) {
    const std::string& bytes = of(file).contents->bytes;
    const auto at = static_cast<std::size_t>(offset), size = static_cast<std::size_t>(wanted);
    const std::size_t there = at < bytes.size() ? std::min(size, bytes.size() - at) : 0;
    std::memcpy(to, bytes.data() + std::min(at, bytes.size()), there);
    std::memset(static_cast<char*>(to) + there, 0, size - there);
    return there == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int write(sqlite3_file* file, const void* from, int wanted, sqlite3_int64 offset) {
    Contents& contents = *of(file).contents;
    const auto at = static_cast<std::size_t>(offset), size = static_cast<std::size_t>(wanted);
    contents.keep_synced(at);
    if (contents.bytes.size() < at) contents.bytes.resize(at);
    contents.bytes.replace(at, size, static_cast<const char*>(from), size);
    return SQLITE_OK;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
    Contents& contents = *of(file).contents;
    contents.keep_synced(static_cast<std::size_t>(size));
    contents.bytes.resize(static_cast<std::size_t>(size));
    return SQLITE_OK;
}

int sync(sqlite3_file* file, int) {
    Contents& contents = *of(file).contents;
    contents.synced.reset();
    contents.synced_size = contents.bytes.size();
    return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(of(file).contents->bytes.size());
    return SQLITE_OK;
}

// --- locks of the file

int lock(sqlite3_file* file, int level) {
    OpenFile& self = of(file);
    Contents& contents = *self.contents;
    if (level <= self.level) return SQLITE_OK;
    if (contents.pending != nullptr && contents.pending != file) return SQLITE_BUSY;
    if (level == SQLITE_LOCK_SHARED) {
        ++contents.readers;
    } else {
        if (contents.writer != nullptr && contents.writer != file) return SQLITE_BUSY;
        contents.writer = file;
        if (level == SQLITE_LOCK_EXCLUSIVE) {
            contents.pending = file;
            if (contents.readers > 1) {
                self.level = SQLITE_LOCK_PENDING;
                return SQLITE_BUSY;
            }
        }
    }
    self.level = level;
    return SQLITE_OK;
}

int unlock(sqlite3_file* file, int level) {
    OpenFile& self = of(file);
    Contents& contents = *self.contents;
    if (level >= self.level) return SQLITE_OK;
    if (contents.writer == file) contents.writer = nullptr;
    if (contents.pending == file) contents.pending = nullptr;
    if (level == SQLITE_LOCK_NONE) --contents.readers;
    self.level = level;
    return SQLITE_OK;
}

int is_reserved(sqlite3_file* file, int* reserved) {
    *reserved = of(file).contents->writer != nullptr ? 1 : 0;
    return SQLITE_OK;
}

// --- shared memory of a log

int shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
    OpenFile& self = of(file);
    Contents& contents = *self.contents;
    if (!self.uses_regions) ++contents.users_of_regions;
    self.uses_regions = true;
    const auto index = static_cast<std::size_t>(region);
    *memory = nullptr;
    if (index >= contents.regions.size() && extend == 0) return SQLITE_OK;
    while (index >= contents.regions.size()) contents.regions.push_back(std::make_unique<char[]>(static_cast<std::size_t>(size)));
    *memory = contents.regions[index].get();
    return SQLITE_OK;
}

int shm_lock(sqlite3_file* file, int first, int count, int flags) {
    OpenFile& self = of(file);
    Contents& contents = *self.contents;
    const bool exclusively = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    const auto begin = static_cast<std::size_t>(first), end = begin + static_cast<std::size_t>(count);
    if ((flags & SQLITE_SHM_LOCK) != 0) {
        for (std::size_t slot = begin; slot < end; ++slot) {
            const bool others_write = contents.exclusive.at(slot) != nullptr && contents.exclusive.at(slot) != file;
            const bool others_read = contents.shared.at(slot) > (self.shared.at(slot) ? 1 : 0);
            if (others_write || (exclusively && others_read)) return SQLITE_BUSY;
        }
    }
    for (std::size_t slot = begin; slot < end; ++slot) {
        const bool wanted = (flags & SQLITE_SHM_LOCK) != 0;
        if (exclusively) {
            self.exclusive.at(slot) = wanted;
            contents.exclusive.at(slot) = wanted ? file : nullptr;
        } else if (std::exchange(self.shared.at(slot), wanted) != wanted) {
            contents.shared.at(slot) += wanted ? 1 : -1;
        }
    }
    return SQLITE_OK;
}

void shm_barrier(sqlite3_file*) {}

int shm_unmap(sqlite3_file* file, int) {
    OpenFile& self = of(file);
    if (std::exchange(self.uses_regions, false) && --self.contents->users_of_regions == 0) self.contents->regions.clear();
    return SQLITE_OK;
}

// --- the file and the file system

int close(sqlite3_file* file) {
    unlock(file, SQLITE_LOCK_NONE);
    shm_unmap(file, 0);
    of(file).~OpenFile();
    return SQLITE_OK;
}

int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }  // as the one for files has them

constexpr sqlite3_io_methods kMethods{2,          &close,       &read,    &write,       &truncate,        &sync,    &file_size, &lock,
                                      &unlock,    &is_reserved, &control, &sector_size, &characteristics, &shm_map, &shm_lock,  &shm_barrier,
                                      &shm_unmap, nullptr,      nullptr};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
    file->pMethods = nullptr;
    std::shared_ptr<Contents> contents;
    if (name == nullptr) {
        contents = std::make_shared<Contents>();
    } else if (const auto known = files().find(name); known != files().end()) {
        contents = known->second;
    } else {
        if ((flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_READWRITE)) == 0) return SQLITE_CANTOPEN;
        contents = files()[name] = std::make_shared<Contents>();
        contents->is_log = (flags & SQLITE_OPEN_WAL) != 0;
        if (contents->is_log) contents->bytes.swap(spare_log());
        if (contents->is_log) contents->bytes.reserve(kLogRoom);
    }
    new (file) OpenFile{{&kMethods}, std::move(contents), SQLITE_LOCK_NONE, false, {}, {}};
    if (flags_out != nullptr) *flags_out = flags;
    return SQLITE_OK;
}

int remove(sqlite3_vfs*, const char* name, int) {
    const auto known = files().find(name);
    if (known == files().end()) return SQLITE_IOERR_DELETE_NOENT;
    if (known->second->is_log) spare_log().swap(known->second->bytes);
    files().erase(known);
    return SQLITE_OK;
}

int exists(sqlite3_vfs*, const char* name, int, int* there) {
    const auto known = files().find(name);
    *there = known != files().end() && !known->second->bytes.empty() ? 1 : 0;  // as the one for files has it
    return SQLITE_OK;
}

int full_name(sqlite3_vfs*, const char* name, int room, char* to) {
    const std::size_t size = std::strlen(name) + 1;
    if (size > static_cast<std::size_t>(room)) return SQLITE_CANTOPEN;
    std::memcpy(to, name, size);
    return SQLITE_OK;
}

int randomness(sqlite3_vfs*, int size, char* to) {
    std::memset(to, 7, static_cast<std::size_t>(size));
    return size;
}

int sleep(sqlite3_vfs*, int microseconds) {
    if (scheduler().active()) scheduler().sleep(std::int64_t{1000} * microseconds);
    return microseconds;
}

int current_time(sqlite3_vfs*, sqlite3_int64* milliseconds) {
    constexpr sqlite3_int64 kEpoch = 210'866'760'000'000;  // of the C library, in the Julian day's milliseconds
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    *milliseconds = kEpoch + std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    return SQLITE_OK;
}

int last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

void keep_databases_in_memory() {
    static sqlite3_vfs system{};
    system.iVersion = 2;
    system.szOsFile = sizeof(OpenFile);
    system.mxPathname = 4096;
    system.zName = "memory of the simulation";
    system.xOpen = &open;
    system.xDelete = &remove;
    system.xAccess = &exists;
    system.xFullPathname = &full_name;
    system.xRandomness = &randomness;
    system.xSleep = &sleep;
    system.xGetLastError = &last_error;
    system.xCurrentTimeInt64 = &current_time;
    // Nothing of SQLite waits while another thread goes on, so it needs no mutexes.
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_LOOKASIDE, kLookasideSize, kLookasides);
    if (sqlite3_vfs_register(&system, 1) != SQLITE_OK) std::abort();
}

void let_go_of_database(const std::string& file) {
    for (const std::string& name : {file, file + kLog}) {
        const auto known = files().find(name);
        if (known == files().end()) continue;
        Contents& dead = *known->second;
        auto left = std::make_shared<Contents>();
        left->bytes = std::move(dead.bytes);
        left->is_log = dead.is_log;
        left->synced_size = dead.synced_size;
        left->synced = std::move(dead.synced);
        known->second = std::move(left);
    }
}

void lose_unsynced_log(const std::string& file) {
    const auto log = files().find(file + kLog);
    if (log == files().end()) return;
    Contents& contents = *log->second;
    if (contents.synced) contents.bytes = std::move(*std::exchange(contents.synced, std::nullopt));
    contents.bytes.resize(contents.synced_size);
}

}  // namespace ramet::sim

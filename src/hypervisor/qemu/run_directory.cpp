#include "hypervisor/qemu/run_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <cerrno>
#include <cstring>

#include "hypervisor/qemu/qmp.hpp"

namespace ramet::hypervisor {

namespace json = boost::json;

namespace {

constexpr std::size_t kRecordBytesMax = 4 * 1024 * 1024;
constexpr mode_t kPrivate = 0600;
constexpr const char* kFreezeNote = "frozen";

std::unexpected<Error> broken(const std::string& doing, const std::string& what) {
    return fail(ErrorCode::internal, "The server's run directory cannot be used; see the server's log",
                doing + " " + what + ": " + std::strerror(errno));
}

json::object place_json(const storage::Place& place) { return {{"root", place.root}, {"path", place.path}, {"format", name_of(place.format)}}; }

json::object disk_json(const DiskSpec& disk) {
    json::array chain;
    for (const storage::Place& place : disk.chain_top_first) chain.push_back(place_json(place));
    return {{"volume", disk.volume.text()}, {"deviceId", disk.device_id}, {"chain", std::move(chain)}};
}

json::object nic_json(const NicSpec& nic) {
    return {{"nic", nic.nic.text()}, {"deviceId", nic.device_id}, {"mac", nic.mac},         {"tap", nic.tap},
            {"ip", nic.ip},          {"netmask", nic.netmask},    {"gateway", nic.gateway}, {"hostName", nic.host_name},
            {"driver", nic.driver},  {"linkUp", nic.link_up},     {"queues", nic.queues},   {"port", nic.port}};
}

// Readers throw on what does not fit; read_record_text turns that into an error.
std::string text_of(const json::object& from, const char* name) { return std::string(from.at(name).as_string()); }

storage::Place read_place(const json::value& value) {
    const json::object& from = value.as_object();
    return {text_of(from, "root"), text_of(from, "path"), enum_from<DiskFormat>(text_of(from, "format")).value_or(DiskFormat::qcow2)};
}

DiskSpec read_disk(const json::value& value) {
    const json::object& from = value.as_object();
    DiskSpec disk{VolumeId::trusted(text_of(from, "volume")), from.at("deviceId").to_number<std::int64_t>(), {}};
    for (const json::value& place : from.at("chain").as_array()) disk.chain_top_first.push_back(read_place(place));
    return disk;
}

NicSpec read_nic(const json::value& value) {
    const json::object& from = value.as_object();
    NicSpec nic;
    nic.nic = NicId::trusted(text_of(from, "nic"));
    nic.device_id = from.at("deviceId").to_number<std::int64_t>();
    nic.mac = text_of(from, "mac");
    nic.tap = text_of(from, "tap");
    nic.ip = text_of(from, "ip");
    nic.netmask = text_of(from, "netmask");
    nic.gateway = text_of(from, "gateway");
    nic.host_name = text_of(from, "hostName");
    nic.driver = text_of(from, "driver");
    nic.link_up = from.at("linkUp").as_bool();
    nic.queues = from.at("queues").to_number<std::int64_t>();
    nic.port = from.at("port").to_number<std::int64_t>();
    return nic;
}

DomainRecord read_record_json(const json::object& from) {
    DomainRecord record;
    record.spec.vm = VmId::trusted(text_of(from, "vm"));
    record.spec.cpu_num = from.at("cpuNum").to_number<std::int64_t>();
    record.spec.memory_bytes = from.at("memoryBytes").to_number<std::int64_t>();
    record.spec.seed_image = text_of(from, "seedImage");
    record.spec.machine_serial = text_of(from, "machineSerial");
    if (from.contains("generation")) record.spec.generation = text_of(from, "generation");
    record.spec.uefi_vars = text_of(from, "uefiVars");
    record.spec.tpm_state = text_of(from, "tpmState");
    for (const json::value& disk : from.at("disks").as_array()) record.spec.disks.push_back(read_disk(disk));
    for (const json::value& nic : from.at("nics").as_array()) record.spec.nics.push_back(read_nic(nic));
    const json::value* const bridges = from.if_contains("bridges");
    record.spec.bridges = bridges != nullptr ? bridges->to_number<std::int64_t>() : 0;
    if (from.contains("machine")) record.machine = VmId::trusted(text_of(from, "machine"));
    record.resume_owed = from.at("resumeOwed").as_bool();
    const json::value* const pause = from.if_contains("pauseOwed");
    record.pause_owed = pause != nullptr && pause->as_bool();
    const json::value* const layout = from.if_contains("deviceLayout");
    record.device_layout = layout != nullptr ? layout->to_number<std::int64_t>() : 1;  // the first servers knew but one
    for (const auto& [volume, count] : from.at("writesAtOpening").as_object()) record.writes_at_opening[volume] = count.to_number<std::int64_t>();
    if (const json::value* levels = from.if_contains("levels")) {
        for (const auto& [volume, numbers] : levels->as_object()) {
            for (const json::value& number : numbers.as_array()) record.levels[volume].push_back(number.to_number<std::int64_t>());
        }
    }
    if (const json::value* streams = from.if_contains("streams")) {
        for (const auto& [volume, level] : streams->as_object()) record.streams[volume] = level.to_number<std::int64_t>();
    }
    if (const json::value* pending = from.if_contains("pending")) {
        record.pending.emplace();
        record.pending->resume = pending->as_object().at("resume").as_bool();
        for (const json::value& overlay : pending->as_object().at("overlays").as_array()) {
            record.pending->overlays.push_back(
                {VolumeId::trusted(text_of(overlay.as_object(), "volume")), read_place(overlay.as_object().at("place"))});
        }
    }
    return record;
}

}  // namespace

std::string record_text(const DomainRecord& record) {
    json::array disks, nics;
    for (const DiskSpec& disk : record.spec.disks) disks.push_back(disk_json(disk));
    for (const NicSpec& nic : record.spec.nics) nics.push_back(nic_json(nic));
    json::object writes;
    for (const auto& [volume, count] : record.writes_at_opening) writes[volume] = count;
    json::object out{{"vm", record.spec.vm.text()},
                     {"cpuNum", record.spec.cpu_num},
                     {"memoryBytes", record.spec.memory_bytes},
                     {"seedImage", record.spec.seed_image},
                     {"machineSerial", record.spec.machine_serial},
                     {"uefiVars", record.spec.uefi_vars},
                     {"tpmState", record.spec.tpm_state},
                     {"disks", std::move(disks)},
                     {"nics", std::move(nics)},
                     {"bridges", record.spec.bridges},
                     {"resumeOwed", record.resume_owed},
                     {"deviceLayout", record.device_layout},
                     {"writesAtOpening", std::move(writes)}};
    if (!record.spec.generation.empty()) out["generation"] = record.spec.generation;
    if (!record.machine.empty()) out["machine"] = record.machine.text();
    if (record.pause_owed) out["pauseOwed"] = true;
    if (!record.levels.empty()) {
        json::object levels;
        for (const auto& [volume, numbers] : record.levels) levels[volume] = json::value_from(numbers);
        out["levels"] = std::move(levels);
    }
    if (!record.streams.empty()) {
        json::object streams;
        for (const auto& [volume, level] : record.streams) streams[volume] = level;
        out["streams"] = std::move(streams);
    }
    if (record.pending) {
        json::array overlays;
        for (const OverlaySpec& overlay : record.pending->overlays) {
            overlays.push_back(json::object{{"volume", overlay.volume.text()}, {"place", place_json(overlay.overlay)}});
        }
        out["pending"] = json::object{{"resume", record.pending->resume}, {"overlays", std::move(overlays)}};
    }
    return json::serialize(out);
}

Result<DomainRecord> read_record_text(const std::string& text) {
    TRY_ASSIGN(const json::value value, parse_bounded(text));
    try {
        return read_record_json(value.as_object());
    } catch (const std::exception& error) {  // Boost.JSON's accessors throw; they go no further than here
        return fail(ErrorCode::internal, "The record of a running VM is not readable", error.what());
    }
}

Result<RunDirectory> RunDirectory::make(const std::string& root, const std::string& name, const std::optional<User>& user) {
    const std::string path = root + "/" + name;
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return broken("mkdir", path);
    Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return broken("open", path);
    if (user && ::fchown(fd.get(), user->uid, user->gid) < 0) return broken("fchown", path);
    if (::fchmod(fd.get(), 0700) < 0) return broken("fchmod", path);
    return RunDirectory(path, std::move(fd));
}

Result<std::optional<RunDirectory>> RunDirectory::find(const std::string& root, const VmId& vm) {
    const std::string path = root + "/" + vm.text();
    Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) return std::nullopt;
    if (!fd.valid()) return broken("open", path);
    return RunDirectory(path, std::move(fd));
}

Result<void> RunDirectory::write_file(const std::string& name, const std::string& text, bool durable) const {
    const std::string partial = name + ".partial";
    ::unlinkat(fd_.get(), partial.c_str(), 0);
    const Fd file(::openat(fd_.get(), partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kPrivate));
    if (!file.valid()) return broken("create", path_ + "/" + partial);
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t count = ::write(file.get(), text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR) return broken("write", path_ + "/" + partial);
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    if (durable && ::fdatasync(file.get()) < 0) return broken("fdatasync", path_ + "/" + partial);
    if (::renameat(fd_.get(), partial.c_str(), fd_.get(), name.c_str()) < 0) return broken("rename", path_ + "/" + partial);
    if (durable && ::fsync(fd_.get()) < 0) return broken("fsync", path_);
    return {};
}

Result<std::string> RunDirectory::read_file(const std::string& name, std::size_t bytes_max) const {
    const Fd file(::openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat facts{};
    if (!file.valid() || ::fstat(file.get(), &facts) < 0 || !S_ISREG(facts.st_mode)) return broken("open", path_ + "/" + name);
    std::string text;
    std::array<char, 16 * 1024> part;
    while (true) {
        const ssize_t count = ::read(file.get(), part.data(), part.size());
        if (count == 0) return text;
        if (count < 0) return broken("read", path_ + "/" + name);
        text.append(part.data(), static_cast<std::size_t>(count));
        if (text.size() > bytes_max) return fail(ErrorCode::internal, "A file of the run directory is too long", path_ + "/" + name);
    }
}

Result<void> RunDirectory::write_record(const DomainRecord& record, bool durable) const {
    return write_file("spec.json", record_text(record), durable);
}

Result<void> RunDirectory::become(const std::string& root, const VmId& vm) {
    TRY_ASSIGN(std::optional<RunDirectory> old, find(root, vm));
    if (old) TRY(old->remove());
    const std::string path = root + "/" + vm.text();
    if (::rename(path_.c_str(), path.c_str()) < 0) return broken("rename", path);
    path_ = path;
    return {};
}

Result<DomainRecord> RunDirectory::read_record() const {
    TRY_ASSIGN(const std::string text, read_file("spec.json", kRecordBytesMax));
    return read_record_text(text);
}

Result<void> RunDirectory::write_pid(const Process& process, const std::string& name) const {
    return write_file(name, std::to_string(process.pid) + " " + std::to_string(process.start_time) + "\n", false);
}

std::optional<std::pair<pid_t, std::uint64_t>> RunDirectory::read_pid(const std::string& name) const {
    const Result<std::string> text = read_file(name, 100);
    if (!text.has_value()) return std::nullopt;
    char* rest = nullptr;
    const long pid = std::strtol(text->c_str(), &rest, 10);
    const std::uint64_t start_time = std::strtoull(rest, nullptr, 10);
    if (pid <= 0) return std::nullopt;
    return std::pair{static_cast<pid_t>(pid), start_time};
}

Result<Fd> RunDirectory::lock() const {
    Fd file(::openat(fd_.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kPrivate));
    if (!file.valid()) return broken("open", path_ + "/lock");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) return fail(ErrorCode::conflict, "The VM has a process already", path_ + "/lock is held");
    return file;
}

Result<bool> RunDirectory::locked() const {
    const Fd file(::openat(fd_.get(), "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid() && errno == ENOENT) return false;
    if (!file.valid()) return broken("open", path_ + "/lock");
    return ::flock(file.get(), LOCK_SH | LOCK_NB) < 0;
}

Result<Fd> RunDirectory::listen(const std::string& name, const std::optional<User>& user) const {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string short_path = "/proc/self/fd/" + std::to_string(fd_.get()) + "/" + name;  // the real one may be too long
    std::memcpy(address.sun_path, short_path.c_str(), std::min(short_path.size(), sizeof address.sun_path - 1));
    if (!socket.valid() || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return broken("bind", path_ + "/" + name);
    if (::fchmodat(fd_.get(), name.c_str(), kPrivate, 0) < 0) return broken("chmod", path_ + "/" + name);
    if (user && ::fchownat(fd_.get(), name.c_str(), user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0) return broken("chown", path_ + "/" + name);
    if (::listen(socket.get(), 4) < 0) return broken("listen", path_ + "/" + name);
    return socket;
}

Result<Fd> RunDirectory::open_log(const std::string& name) const {
    Fd file(::openat(fd_.get(), name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, kPrivate));
    if (!file.valid()) return broken("open", path_ + "/" + name);
    return file;
}

std::string RunDirectory::log_tail() const {
    const Result<std::string> text = read_file("qemu.log", 1024 * 1024);
    if (!text.has_value()) return "no log";
    std::string tail = text->size() > 2000 ? text->substr(text->size() - 2000) : *text;
    while (!tail.empty() && tail.back() == '\n') tail.pop_back();
    return tail;
}

void RunDirectory::note_freeze(bool frozen) const {
    if (frozen) {
        const Fd note(::openat(fd_.get(), kFreezeNote, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    } else {
        ::unlinkat(fd_.get(), kFreezeNote, 0);
    }
}

bool RunDirectory::freeze_noted() const { return ::faccessat(fd_.get(), kFreezeNote, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

void RunDirectory::remove_leftovers() const {
    for (const char* name : {"qmp.sock", "guard.sock", "agent.sock", "vnc.sock", "tpm.sock", kFreezeNote, "pid", "tpm.pid"})
        ::unlinkat(fd_.get(), name, 0);
}

Result<void> RunDirectory::remove() {
    const int copy = ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3);
    DIR* entries = copy < 0 ? nullptr : ::fdopendir(copy);
    if (entries == nullptr) return broken("opendir", path_);
    ::rewinddir(entries);
    while (const dirent* entry = ::readdir(entries)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") ::unlinkat(fd_.get(), name.c_str(), 0);
    }
    ::closedir(entries);
    if (::rmdir(path_.c_str()) < 0 && errno != ENOENT) return broken("rmdir", path_);
    return {};
}

}  // namespace ramet::hypervisor

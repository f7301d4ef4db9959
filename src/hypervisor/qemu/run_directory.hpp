// A VM's run directory: its record, its lock, its log. See qemu.hpp for the layout.
// QEMU's user owns the directory, so nothing in it is trusted further than QEMU itself: no symlink is followed, no path out of the record is opened.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "hypervisor/hypervisor.hpp"
#include "hypervisor/qemu/command_line.hpp"
#include "hypervisor/qemu/fd.hpp"
#include "hypervisor/qemu/process.hpp"

namespace ramet::hypervisor {

// A snapshot that was begun. Kept in the record, so that a server that comes after a crash knows what to look for.
struct PendingSnapshot {
    std::vector<OverlaySpec> overlays;
    bool resume = false;  // the VM was running before
};

struct DomainRecord {
    DomainSpec spec;  // with the chains as they are now
    std::optional<PendingSnapshot> pending;
    std::map<std::string, std::int64_t> writes_at_opening;    // by volume uuid: QEMU's write counter when the top layer was made; -1 unknown
    std::map<std::string, std::vector<std::int64_t>> levels;  // by volume uuid, top first: the numbers in the nodes' names, where they have gaps
    std::map<std::string, std::int64_t> streams;              // by volume uuid: what is copied into the top goes down to this level; -1 to the end
    std::int64_t device_layout = kDeviceLayout;               // of the process
    VmId machine{};            // whose the process was before it was the VM's, and whose generation id it has; empty: nobody's
    bool resume_owed = false;  // the guest stands still for a memory capture: who finds it so without one going on lets it run
    bool pause_owed = false;   // it runs, or is about to, only so that QEMU takes its disks back: who finds it so stops it
};

std::string record_text(const DomainRecord& record);
Result<DomainRecord> read_record_text(const std::string& text);

class RunDirectory {
public:
    // Makes it if absent, gives it to `user`.
    static Result<RunDirectory> make(const std::string& root, const std::string& name, const std::optional<User>& user);
    // Nothing when there is none. One that cannot be opened is an error: its VM may run.
    static Result<std::optional<RunDirectory>> find(const std::string& root, const VmId& vm);

    const std::string& path() const { return path_; }
    int fd() const { return fd_.get(); }
    // A directory with another name becomes the VM's, whose own, of a process that has ended, is removed.
    Result<void> become(const std::string& root, const VmId& vm);
    Result<void> write_record(const DomainRecord& record, bool durable = true) const;
    Result<DomainRecord> read_record() const;
    Result<void> write_pid(const Process& process, const std::string& name = "pid") const;
    std::optional<std::pair<pid_t, std::uint64_t>> read_pid(const std::string& name = "pid") const;
    Result<Fd> lock() const;  // conflict when a process holds it
    Result<bool> locked() const;
    Result<Fd> listen(const std::string& name, const std::optional<User>& user) const;  // a new unix socket
    Result<Fd> open_log(const std::string& name = "qemu.log") const;                    // empties it, appends
    std::string log_tail() const;                                                       // the last lines QEMU wrote to standard error
    // A note that the guest may be frozen, for a server that finds neither its predecessor nor the freeze guard alive.
    void note_freeze(bool frozen) const;
    bool freeze_noted() const;
    void remove_leftovers() const;  // sockets and the pid of an earlier process
    Result<void> remove();          // all of it

private:
    RunDirectory(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<void> write_file(const std::string& name, const std::string& text, bool durable) const;
    Result<std::string> read_file(const std::string& name, std::size_t bytes_max) const;
    std::string path_;
    Fd fd_;
};

}  // namespace ramet::hypervisor

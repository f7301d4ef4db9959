// One simulated run from its seed to its judgement: a machine, the lives of its server, a client, and what is looked at in the end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lifecycle/rows.hpp"
#include "simulation/server.hpp"
#include "store/table.hpp"

namespace ramet::sim {

// Calls the use cases as the HTTP edge does, as the admin.
class Client {
public:
    explicit Client(Server& server) : server_(server) {}
    Server& server() { return server_; }
    lifecycle::Parts& parts() { return server_.parts(); }
    test::FakeHypervisor& vms() { return *server_.machine().hypervisor; }

    static lifecycle::Request request();
    std::optional<Job> wait(const Result<JobId>& job);
    std::optional<Job> wait(const Result<std::optional<JobId>>& job);

    // Past all faults.
    template <class Row>
    std::vector<Row> rows(const store::Matches& matches = {}) {
        std::vector<Row> found;
        (void)server_.quiet_database().read([&](store::Transaction& transaction) -> Result<void> {
            TRY_ASSIGN(found, store::list<Row>(transaction, matches));
            return {};
        });
        return found;
    }
    std::optional<VmInstance> vm(const std::string& name);
    VmInstance must_vm(const std::string& name);

    // The calls that more than one scenario makes.
    Result<JobId> create(const std::string& name, bool start, std::size_t data_disks = 1);
    Result<JobId> clone(const VmInstance& source, std::size_t count, const std::function<void(api::CloneVmInstance&)>& edit = {});
    Result<JobId> clone(const std::string& source, std::size_t count, const std::function<void(api::CloneVmInstance&)>& edit = {}) {
        return clone(must_vm(source), count, edit);
    }
    Result<JobId> snapshot_group(const VmInstance& vm, const std::string& name, bool memory = false);
    Result<JobId> snapshot_group(const std::string& vm, const std::string& name) { return snapshot_group(must_vm(vm), name); }
    void guest_writes(const std::string& vm);

private:
    Server& server_;
};

struct Script {
    std::function<void(Client&)> prepare;        // nothing goes wrong here
    std::function<void(Client&)> act;            // here it does
    std::function<bool()> power_cut{};           // does the machine go down with the server this time?
    std::function<void(Client&)> after_death{};  // what the next client goes on with, still with faults
    std::function<void(Client&)> afterwards{};   // what the last client asks for when nothing goes wrong any more
    Seam::Decide faults{};
    Seam::DecideCrash crash{};
    std::function<bool(std::string_view sql)> leaves_out{};  // a mutant's: statements that do nothing while it acts
    std::string step_without_locks{};                        // likewise: what this step holds, others may hold too
    std::function<void(Client&)> damage{};                   // a mutant's: done to a world that has settled, before it is judged
    std::function<void(Client&, Seam&)> mutate{};            // likewise: what it puts into the seam before it acts
    std::function<void(Client&)> look{};                     // at a world that was judged
    bool judge_at_once = false;                              // without the restart, which mends what it can
    bool stuck_is_no_violation = false;                      // faults that outlast every try of an undo
};

// The empty pool on a file system in memory that every run begins with.
class Slot {
public:
    Slot();
    ~Slot();
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    std::string data_dir() const { return root_ + "/data"; }
    void restore();

private:
    std::string root_;
    int lock_ = -1;
};

class World {
public:
    World(const Slot& slot, Tally& tally, std::uint64_t seed, Script script);
    [[noreturn]] void run();  // the process ends with it; the tally has the outcome
    static std::vector<std::string> violations(Client& client, bool stuck_is_no_violation);

private:
    [[noreturn]] void live();
    void serve();
    void settle();
    void wait_until_quiet(Client& client);
    [[noreturn]] void judge();
    Tally& tally_;
    std::uint64_t seed_;
    Script script_;
    Seam seam_;
    Machine machine_;
    std::unique_ptr<Server> server_;
    bool prepared_ = false;
    std::uint64_t lives_ = 0;
};

// Runs it in a process of its own and waits for the last of its lives.
void run_in_process(Slot& slot, Tally& tally, std::uint64_t seed, const Script& script);

}  // namespace ramet::sim

// One life of the server on the simulated machine: the use cases and keepers wired as daemon/service.cpp wires them, without HTTP.
#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "lifecycle/garbage.hpp"
#include "lifecycle/lease.hpp"
#include "lifecycle/merge.hpp"
#include "lifecycle/parts.hpp"
#include "simulation/faulty_hypervisor.hpp"
#include "simulation/faulty_ports.hpp"
#include "storage/dir/dir_storage.hpp"
#include "store/saga_log.hpp"
#include "support/fake_hypervisor.hpp"
#include "support/fake_plumbing.hpp"

namespace ramet::sim {

// What outlives a server: VMs, taps, and the data directory on a real file system in memory.
struct Machine {
    std::string data_dir;
    std::unique_ptr<test::FakeHypervisor> hypervisor = std::make_unique<test::FakeHypervisor>();
    std::unique_ptr<test::FakePlumbing> plumbing = std::make_unique<test::FakePlumbing>();

    // The file system in memory cannot let two files share blocks: reflinks are plain copies then, which say that they share.
    bool claims_to_share_blocks = false;

    void outlive_the_server();  // after its death
    // After that: the machine has gone down with it. No VM runs and no tap is left, and of the database there is what was synced.
    void lose_power();
};

class Server {
public:
    Server(Machine& machine, Seam& seam);
    ~Server();
    // As Service::start(): takes up what the last one left. With keepers: what runs beside the jobs.
    Result<void> start();
    Result<void> maintain();  // what Service does now and then
    // Every job that is not over is waited for.
    void wait_for_all_jobs();

    lifecycle::Parts& parts() { return *parts_; }
    workflow::Engine& engine() { return *engine_; }
    lifecycle::GarbageKeeper& garbage() { return *garbage_; }
    store::Database& quiet_database() { return *database_; }  // past all faults
    Machine& machine() { return machine_; }
    void note_refusal() { seam_.note_refusal(); }

private:
    void build();
    Machine& machine_;
    Seam& seam_;
    StepProofClock clock_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<store::Database> faulty_database_;
    storage::DirStorages dir_storages_;
    FaultyStorages storages_;
    FaultyHypervisor hypervisor_;
    FaultyPlumbing plumbing_;
    std::unique_ptr<store::DatabaseSagaLog> log_;
    std::unique_ptr<resources::Inventory> inventory_;
    std::unique_ptr<workflow::Engine> engine_;
    std::unique_ptr<resources::Parts> resources_;
    std::unique_ptr<guest::IdentityKeeper> identity_keeper_;
    std::unique_ptr<lifecycle::Parts> parts_;
    std::unique_ptr<lifecycle::Merger> merger_;
    std::unique_ptr<lifecycle::GarbageKeeper> garbage_;
    std::unique_ptr<lifecycle::LeaseKeeper> leases_;
};

}  // namespace ramet::sim

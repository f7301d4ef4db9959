// What the simulated machine looks like, and what a client sees of it, as texts that can be compared between two runs of one scenario.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "simulation/world.hpp"

namespace ramet::sim {

// The uuids of the pool are drawn anew for each slot: a name for each, so that two slots' texts can be compared.
class PoolNames {
public:
    explicit PoolNames(Client& client);
    std::string named(std::string text) const;

private:
    std::vector<std::pair<std::string, std::string>> names_;
};

// The machine: processes, taps, networks and files. The same text: whatever is done next finds the same.
std::string machine_picture(const Machine& machine);

// That, and every row of every table but times: when it is the same, nothing that lasts is different.
std::string whole_picture(Client& client);

// What the API shows of the VMs, disks, addresses, snapshots, images and jobs, without times and with names instead of uuids.
std::string clients_view(Client& client);

// Where a VM's process is not what its rows say it is: its disks and their chains, its NICs and their taps, its CPUs and its memory.
std::vector<std::string> processes_unlike_their_rows(Client& client);

}  // namespace ramet::sim

// A VM of the fake hypervisor: what it was told, and what a test makes of it.
#pragma once

#include <map>
#include <string>

#include "hypervisor/hypervisor.hpp"

namespace ramet::test {

struct FakeDomain {
    hypervisor::DomainSpec spec;  // with the chains as they are now
    hypervisor::DomainState state = hypervisor::DomainState::shut_off;
    bool written = false;                      // the guest wrote since the tops were opened
    bool write_failed = false;                 // it is paused for that
    bool agent = false;                        // a guest agent answers
    bool tpm_crashed = false;                  // the process behind its TPM has ended
    bool holds_disks = false;                  // the guest does not let go of a disk
    bool refuses_freeze = false;               // the agent answers, but freezes nothing
    int freezes = 0, thaws = 0;                // each freeze that was tried has its thaw
    bool holds_nics = false;                   // nor of a NIC
    bool background = false;                   // its guest gives way to everything else
    std::string from_memory;                   // the image's directory it goes on from
    std::map<std::string, std::string> files;  // what the agent wrote and reads

    // nullptr: it has none of that volume.
    hypervisor::DiskSpec* find(const VolumeId& volume) {
        for (hypervisor::DiskSpec& disk : spec.disks) {
            if (disk.volume == volume) return &disk;
        }
        return nullptr;
    }
};

}  // namespace ramet::test

// The texts of migrations.cpp that are too long to stand there.
#pragma once

#include <string_view>

namespace ramet::store::sqlite {

extern const std::string_view kSchema1Places;      // accounts, jobs, settings, tags, zones, clusters, hosts
extern const std::string_view kSchema1Pool;        // storages, images, offerings, networks
extern const std::string_view kSchema1Machines;    // VM instances with their NICs, addresses, volumes, layers
extern const std::string_view kSchemaSnapshots;    // volume snapshots, their trees and groups, checkpoints
extern const std::string_view kSchemaJobs;         // idempotency keys, web hooks that wait
extern const std::string_view kSchemaIdentity;     // what has been seen of each VM's identity
extern const std::string_view kSchemaAttach;       // which call attached a volume
extern const std::string_view kSchemaHookSchema;   // what a web hook is sent
extern const std::string_view kSchemaGroupMemory;  // what a group of snapshots keeps of the memory of its instant
extern const std::string_view kSchemaRevert;       // which call last took a VM instance back
extern const std::string_view kSchemaMemory;       // memory images and the VMs that map them
extern const std::string_view kSchemaEvent;        // events, garbage, leases

}  // namespace ramet::store::sqlite

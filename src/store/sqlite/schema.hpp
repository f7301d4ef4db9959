// The texts of migrations.cpp that are too long to stand there.
#pragma once

#include <string_view>

namespace ramet::store::sqlite {

extern const std::string_view kSchema1Places;    // accounts, jobs, settings, tags, zones, clusters, hosts
extern const std::string_view kSchema1Pool;      // storages, images, offerings, networks
extern const std::string_view kSchema1Machines;  // VM instances with their NICs, addresses, volumes, layers
extern const std::string_view kSchemaEvent;      // events, garbage, leases

}  // namespace ramet::store::sqlite

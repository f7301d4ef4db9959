// What the edge may do with jobs, made of the engine and its log.
#pragma once

#include "http/job_access.hpp"
#include "store/saga_log.hpp"
#include "workflow/engine.hpp"

namespace ramet::daemon {

http::JobAccess job_access(store::DatabaseSagaLog& log, workflow::Engine& engine, store::Database& database);

}  // namespace ramet::daemon

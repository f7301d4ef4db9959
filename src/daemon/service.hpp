// The parts of the server, built in order and taken down in the reverse. The only code that names concrete drivers.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/options.hpp"

namespace ramet::daemon {

class Service {
public:
    // Opens everything, finishes what an earlier server left undone, and listens.
    static Result<std::unique_ptr<Service>> start(const Options& options);
    ~Service();                          // answers requests in flight; VMs stay running
    const std::string& address() const;  // "http://127.0.0.1:8080"
    bool lost_sync() const;              // the database could not be brought to disk; the process was sent SIGTERM

    // Ends every VM of the data directory and removes its network objects; rows say Stopped.
    static Result<void> teardown(const Options& options);

private:
    struct Parts;
    explicit Service(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace ramet::daemon

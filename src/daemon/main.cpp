// rametd: reads its options, starts the service, waits for SIGTERM or SIGINT.
#include <curl/curl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sodium.h>
#include <csignal>

#include "base/crash_point.hpp"
#include "daemon/options.hpp"
#include "daemon/service.hpp"
#include "telemetry/log.hpp"

namespace {

// Every thread inherits the blocked mask, so that only await_end() sees the signals.
sigset_t block_end_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    return signals;
}

// What the allocator keeps of a busy time goes back to the kernel: each of its arenas, up to eight for a processor, would keep the most it ever had.
void await_end(const sigset_t& signals) {
    constexpr timespec kTrimPause{60, 0};
    while (sigtimedwait(&signals, nullptr, &kTrimPause) < 0) malloc_trim(0);
}

}  // namespace

int main(int argc, char** argv) {
    using namespace ramet;
    int exit_code = 0;
    const std::optional<daemon::Options> options = daemon::read_options(argc, argv, exit_code);
    if (!options) return exit_code;
    // Large buffers go back to the kernel and are faulted in again at every request otherwise: twice the time of a parse.
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    const sigset_t signals = block_end_signals();
    if (sodium_init() < 0) return 1;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    arm_crash_points_from_environment();
    telemetry::set_log_level(options->verbose ? telemetry::Level::debug : telemetry::Level::info);
    if (options->teardown) {
        const Result<void> done = daemon::Service::teardown(*options);
        if (!done.has_value()) fmt::print(stderr, "rametd: {} {}\n", done.error().message, done.error().detail);
        return done.has_value() ? 0 : 1;
    }
    const Result<std::unique_ptr<daemon::Service>> service = daemon::Service::start(*options);
    if (!service.has_value()) {
        fmt::print(stderr, "rametd: {} {}\n", service.error().message, service.error().detail);
        return 1;
    }
    fmt::print("rametd {} is ready at {}\n", RAMET_VERSION, (*service)->address());
    std::fflush(stdout);
    await_end(signals);
    if ((*service)->lost_sync()) {
        telemetry::log_error("ending: the database could not be brought to disk; check its disk, then start again; the VMs stay running");
        return 1;
    }
    telemetry::log_info("ending; the VMs stay running");
    return 0;
}

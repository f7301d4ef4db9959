// simulation random|kills|calls|mutants|generated|replay [--first-seed N] [--seeds N] [--nightly] [--workers N] [--only TEXT]
// The exit code is 1 when something was violated, or a mutant survived. docs/how-to/proof.md
#include <malloc.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>

#include "simulation/campaigns.hpp"
#include "simulation/generated.hpp"
#include "simulation/memory_files.hpp"
#include "telemetry/log.hpp"

namespace {

bool run(const ramet::sim::Options& options) {
    if (options.campaign == "kills") return ramet::sim::run_kills(options);
    if (options.campaign == "calls") return ramet::sim::run_calls(options);
    if (options.campaign == "mutants") return ramet::sim::run_mutants(options);
    if (options.campaign == "generated") return ramet::sim::run_generated_mutants(options);
    return ramet::sim::run_random(options);
}

}  // namespace

int main(int argc, char** argv) {
    ramet::sim::Options options;
    ramet::telemetry::set_log_level(ramet::telemetry::Level::error);
    // One thread of a run goes at a time: an arena for each, and memory in small helpings, only cost system calls.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TOP_PAD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    ramet::sim::keep_databases_in_memory();
    options.workers = std::max(1U, std::thread::hardware_concurrency());
    CLI::App app("Proof campaigns on a simulated machine");
    app.add_option("campaign", options.campaign)->required()->check(CLI::IsMember({"random", "kills", "calls", "mutants", "generated", "replay"}));
    app.add_option("--first-seed", options.first_seed);
    app.add_option("--seeds", options.seeds);
    app.add_flag("--nightly", options.nightly);
    app.add_option("--workers", options.workers);
    app.add_option("--only", options.only);
    CLI11_PARSE(app, argc, argv);
    if (options.campaign == "replay" && options.seeds == 0) options.seeds = 1;
    const auto begun = std::chrono::steady_clock::now();
    try {
        const bool well = run(options);
        std::printf("  took %.1f s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
        return well ? 0 : 1;
    } catch (const std::exception& thrown) {
        std::fprintf(stderr, "simulation: %s\n", thrown.what());
        return 2;
    }
}

// Background merging: keeps chains short so that no clone has to wait for it, and folds layers that only one other needs. Each merge is an
// ordinary job on one volume, with a bounded rate, that gives way as soon as another job wants the VM. The rule is in
// docs/decisions/0010-chain-depth.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "lifecycle/parts.hpp"
#include "lifecycle/shorten.hpp"

namespace ramet::lifecycle {

void register_merge_saga(workflow::Engine& engine, Parts& parts);  // before Engine::recover()

// The volume whose chain most needs it, apart from those in `not_now`.
Result<std::optional<ShortenOrder>> find_chain_to_merge(Parts& parts, const std::map<VolumeId, std::chrono::steady_clock::time_point>& not_now);

// One thread, one merge at a time. The setting volume.backgroundMerge pauses it.
class Merger {
public:
    explicit Merger(Parts& parts) : parts_(parts) {}
    void start();
    void notice();  // a job has ended: chains may have grown
    void stop();    // a merge that is running goes on as the engine's job

private:
    void work(const std::stop_token& stop);
    void merge_what_needs_it(const std::stop_token& stop);
    void merge(const ShortenOrder& order, const std::stop_token& stop);
    Parts& parts_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    bool noticed_ = true;
    std::map<VolumeId, std::chrono::steady_clock::time_point> not_before_;  // of the thread alone
    std::jthread thread_;                                                   // last: it uses what stands above
};

}  // namespace ramet::lifecycle

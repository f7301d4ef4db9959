#include "simulation/seam.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace ramet::sim {

namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kHangLookMilliseconds = 50;  // a hung call sees its cancel this soon
constexpr int kHangLooks = 600;                     // and ends by itself after 30 s, as the adapters' own limits have it

}  // namespace

std::size_t Tally::site(std::string_view name) {
    const std::string_view key = name.substr(0, sizeof(Site::name) - 1);
    for (std::size_t i = 0; i < site_count; ++i)
        if (key == sites[i].name.data()) return i;
    if (site_count == kSites) std::abort();
    std::copy(key.begin(), key.end(), sites[site_count].name.begin());
    return site_count++;
}

void Tally::begin_run() {
    ended = false;
    digest = calls = calls_with_faults = jobs_succeeded = jobs_failed = jobs_cancelled = jobs_stuck = jobs_partly = refused = 0;
    violations[0] = '\0';
}

void Tally::violation(std::string_view line) {
    const std::size_t used = std::strlen(violations.data());
    const std::size_t room = violations.size() - used - 2;
    if (line.size() > room) return;
    std::copy(line.begin(), line.end(), violations.begin() + static_cast<std::ptrdiff_t>(used));
    violations[used + line.size()] = '\n';
    violations[used + line.size() + 1] = '\0';
}

Tally* make_shared_tally() {
    void* const memory = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return new (memory) Tally{};
}

Fault Seam::enter(const Call& call) {
    scheduler().point();
    const std::string name = std::string(kPortNames.at(static_cast<std::size_t>(call.port))) + "." + std::string(call.operation);
    const std::size_t index = tally_.site(name);
    Site& site = tally_.sites[index];
    ++site.seen;
    ++tally_.calls;
    ++calls_;
    if (open_) tally_.calls_with_faults = calls_;
    if (open_ && tally_.recording && calls_ <= Tally::kCalls) tally_.called[calls_ - 1] = static_cast<std::uint16_t>(index);
    Fault fault = decide_ ? decide_(call, calls_) : Fault::none;
    if (fault == Fault::twice && !call.repeatable) fault = Fault::none;
    if (fault == Fault::torn && !call.tear) fault = Fault::crash_before;
    ++site.fired[static_cast<std::size_t>(fault)];
    scheduler().note(name + " " + call.about + (fault == Fault::none ? "" : " <" + std::string(kFaultNames[static_cast<std::size_t>(fault)]) + ">"));
    return fault;
}

std::optional<Error> Seam::before(const Call& call, Fault fault) {
    const ErrorCode code = call.port == Port::database ? ErrorCode::internal : ErrorCode::operation_failed;  // as the adapters have it
    switch (fault) {
    case Fault::error: return Error{code, "this call was made to fail", std::string(call.operation), nullptr, {}};
    case Fault::broken: return Error{ErrorCode::internal, "this call was made to break", std::string(call.operation), nullptr, {}};
    case Fault::unsupported: return Error{ErrorCode::unsupported, "this cannot be done here", std::string(call.operation), nullptr, {}};
    case Fault::no_space: return Error{ErrorCode::storage_full, "no space is left", {}, nullptr, {}};
    case Fault::torn:
        call.tear();
        die();
        break;
    case Fault::crash_before: die(); break;
    case Fault::delay: scheduler().sleep(static_cast<std::int64_t>(1 + scheduler().random() % 3000) * kMillisecond); break;
    case Fault::hang:
        for (int look = 0; look < kHangLooks; ++look) {
            if (call.stop.stop_requested()) return Error{ErrorCode::cancelled, "cancelled", {}, nullptr, {}};
            scheduler().sleep(kHangLookMilliseconds * kMillisecond);
        }
        return Error{ErrorCode::timeout, "there was no answer", {}, nullptr, {}};
    default: break;
    }
    return std::nullopt;
}

void Seam::passage(const char* name) {
    if (scheduler().uninterrupted()) return;
    if (mutation.passage) mutation.passage(name);
    const std::size_t index = tally_.site("point " + std::string(name));
    ++tally_.sites[index].seen;
    ++passages_;
    if (open_ && tally_.recording && tally_.passage_count < Tally::kPassages)
        tally_.passages[tally_.passage_count++] = static_cast<std::uint16_t>(index);
    scheduler().note(name);
    if (!crash_ || !crash_(name, passages_)) return;
    ++tally_.sites[index].fired[static_cast<std::size_t>(Fault::crash_before)];
    die();
}

}  // namespace ramet::sim

// The invariants the server promises, as checks that can be run at any time: `ramet doctor`. Each has a number, a claim, and either a check or
// the reason why it cannot be judged from a single look at a running server.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "lifecycle/survey.hpp"

namespace ramet::lifecycle {

enum class Verdict : std::uint8_t { ok, violated, not_checkable };
inline constexpr std::array<std::string_view, 3> kVerdictNames{"ok", "violated", "not checkable here"};

using Findings = std::vector<std::string>;

struct Invariant {
    std::string_view number;  // "I1"
    std::string_view claim;
    Verdict verdict = Verdict::ok;
    std::string reason;  // why it is not checkable
    Findings findings;   // what violates it
};

// With one VM's QEMU, which answers in a few milliseconds if it does not hang.
inline constexpr std::chrono::milliseconds kDoctorPatience{600};

// `seen` is the first of two looks, a moment apart; tells what both saw: what a job is just doing is no violation.
Result<std::vector<Invariant>> check_invariants(Parts& parts, const Survey& seen);

// The checks by name; what each returns are the violations it found.
namespace checks {
Result<Findings> everything_is_owned(Parts& parts, const Survey& survey);                   // I1
Result<Findings> ready_volumes_are_whole(Parts& parts, const Survey& survey);               // I2
Result<Findings> no_partial_file_is_left(Parts& parts, const Survey& survey);               // I3
Result<Findings> headers_name_the_parents_of_the_rows(Parts& parts, const Survey& survey);  // I4
Result<Findings> layers_with_children_are_sealed(Parts& parts, const Survey& survey);       // I5
Result<Findings> chains_are_sound(Parts& parts, const Survey& survey);                      // I6
Result<Findings> nothing_stays_paused(Parts& parts, const Survey& survey);                  // I10
Result<Findings> reports_add_up(Parts& parts, const Survey& survey);                        // I13
Result<Findings> failed_names_leave_nothing(Parts& parts, const Survey& survey);            // I14
Result<Findings> clones_have_the_uuids_of_their_jobs(Parts& parts, const Survey& survey);   // I15
Result<Findings> no_job_is_stuck(Parts& parts, const Survey& survey);                       // I17
Result<Findings> ended_jobs_have_ended(Parts& parts, const Survey& survey);                 // I18
Result<Findings> macs_and_uuids_are_unique(Parts& parts, const Survey& survey);             // I19
Result<Findings> addresses_are_unique(Parts& parts, const Survey& survey);                  // I20
Result<Findings> hosts_hold_what_they_carry(Parts& parts, const Survey& survey);            // I23
Result<Findings> no_reservation_outlives_its_job(Parts& parts, const Survey& survey);       // I25
Result<Findings> disks_have_one_writer(Parts& parts, const Survey& survey);                 // I26
Result<Findings> rows_and_processes_agree(Parts& parts, const Survey& survey);              // I27
Result<Findings> logs_fit_their_jobs(Parts& parts, const Survey& survey);                   // I32
Result<Findings> leases_end_in_time(Parts& parts, const Survey& survey);                    // I33
Result<Findings> every_resource_has_an_owner(Parts& parts, const Survey& survey);           // I34
Result<Findings> the_database_is_sound(Parts& parts, const Survey& survey);                 // I39
}  // namespace checks

}  // namespace ramet::lifecycle

namespace ramet {
template <> inline constexpr std::span<const std::string_view> enum_names<lifecycle::Verdict>{lifecycle::kVerdictNames};
}  // namespace ramet

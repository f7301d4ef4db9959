#include "lifecycle/invariants.hpp"

#include <algorithm>
#include <thread>

namespace ramet::lifecycle {

namespace {

using Check = Result<Findings> (*)(Parts&, const Survey&);

struct Known {
    std::string_view number, claim;
    Check check = nullptr;
    std::string_view reason = {};  // without a check
};

constexpr std::chrono::milliseconds kSecondLook{300};

constexpr std::string_view kOneStorage = "there is no storage of this kind; directories are the only one";
constexpr std::string_view kAfterwards = "it cannot be seen afterwards; the crash tests stop the server at every step and look then";

const std::array kKnown{
    Known{"I1", "every file, process and device has an owner, and every row its object", &checks::everything_is_owned},
    Known{"I2", "a Ready volume's file is there, in its format and size (contents are compared in tests only)", &checks::ready_volumes_are_whole},
    Known{"I3", "a file has its final name only when it is whole; an unfinished one belongs to a job", &checks::no_partial_file_is_left},
    Known{"I4", "a layer's parent in the rows is the one its header names", &checks::headers_name_the_parents_of_the_rows},
    Known{"I5", "a layer with children is sealed", &checks::layers_with_children_are_sealed},
    Known{"I6", "chains are absolute, acyclic, of bounded depth, with explicit formats and no data file", &checks::chains_are_sound},
    Known{"I7", "no disk is probed", nullptr,
          "QEMU is given every layer with its format; the tests of its command line hold that, a process does not tell"},
    Known{"I8", "RBD parents and snapshots exist", nullptr, kOneStorage},
    Known{"I9", "a frozen guest is thawed in time", nullptr, "it cannot be seen afterwards; a clone's report says how long its source was frozen"},
    Known{"I10", "a source goes on as it was: nothing stays paused that should run", &checks::nothing_stays_paused},
    Known{"I11", "a source is the same after a clone", nullptr, "it needs the state before; end-to-end tests compare"},
    Known{"I12", "no block job or export is left on a source", nullptr, "the monitor is one client's at a time; the tests of the monitor look"},
    Known{"I13", "a clone job's numbers, entries and names add up", &checks::reports_add_up},
    Known{"I14", "a name that failed leaves nothing", &checks::failed_names_leave_nothing},
    Known{"I15", "one name of a job is one VM uuid for ever", &checks::clones_have_the_uuids_of_their_jobs},
    Known{"I16", "a repeated request gets the same job", nullptr, "it can only be judged when the repeat comes; tests send it"},
    Known{"I17", "every job ends; none is stuck", &checks::no_job_is_stuck},
    Known{"I18", "an ended job stays as it ended", &checks::ended_jobs_have_ended},
    Known{"I19", "uuids and MACs are unique, among rows and processes", &checks::macs_and_uuids_are_unique},
    Known{"I20", "an address is given once", &checks::addresses_are_unique},
    Known{"I21", "each clone has an identity of its own", nullptr, "it lies inside the guests; tests ask their agents"},
    Known{"I22", "a memory clone's link is down until its identity is new", nullptr, "it cannot be seen afterwards; tests watch the link"},
    Known{"I23", "a host carries no more than it has", &checks::hosts_hold_what_they_carry},
    Known{"I24", "quotas hold", nullptr, "this server has no quotas"},
    Known{"I25", "no reservation outlives its job", &checks::no_reservation_outlives_its_job},
    Known{"I26", "a disk has one writer, a VM one process", &checks::disks_have_one_writer},
    Known{"I27", "the VMs of the rows are the processes of the machine", &checks::rows_and_processes_agree},
    Known{"I28", "intent is committed before the effect", nullptr, kAfterwards},
    Known{"I29", "steps and undos may be repeated", nullptr, kAfterwards},
    Known{"I30", "no effect of an older server reaches a newer one's rows", nullptr,
          "one server has the data directory locked; there is no second one to fence off"},
    Known{"I31", "failed means not done", nullptr, kAfterwards},
    Known{"I32", "a job's log fits the job", &checks::logs_fit_their_jobs},
    Known{"I33", "leases end at their time, whatever the wall clock does", &checks::leases_end_in_time},
    Known{"I34", "every resource has an owner who alone sees it", &checks::every_resource_has_an_owner},
    Known{"I35", "one slow resource slows no other", nullptr, "it is a figure, not a state; `./dev bench concurrency` measures it"},
    Known{"I36", "secrets appear nowhere", nullptr, "it needs a known secret to look for; tests plant one"},
    Known{"I37", "every change has its audit record", nullptr, "this server keeps no audit records beside its jobs"},
    Known{"I38", "errors for users name no path and no SQL", nullptr, "answers are not kept; tests read them"},
    Known{"I39", "the database is sound", &checks::the_database_is_sound},
    Known{"I40", "two databases show the same behaviour", nullptr, "SQLite is the only database"},
};

std::vector<Invariant> look(Parts& parts, const Survey& seen) {
    std::vector<Invariant> all;
    for (const Known& known : kKnown) {
        Invariant invariant{known.number, known.claim, Verdict::ok, std::string(known.reason), {}};
        if (known.check == nullptr) {
            invariant.verdict = Verdict::not_checkable;
        } else {
            Result<Findings> found = known.check(parts, seen);
            if (found.has_value()) {
                invariant.findings = std::move(*found);
            } else {  // one check that cannot be made hides no other
                invariant.verdict = Verdict::not_checkable;
                invariant.reason = found.error().message + (found.error().detail.empty() ? "" : " (" + found.error().detail + ")");
            }
        }
        if (!invariant.findings.empty()) invariant.verdict = Verdict::violated;
        all.push_back(std::move(invariant));
    }
    return all;
}

bool any_violated(const std::vector<Invariant>& all) {
    return std::ranges::any_of(all, [](const Invariant& invariant) { return invariant.verdict == Verdict::violated; });
}

}  // namespace

Result<std::vector<Invariant>> check_invariants(Parts& parts, const Survey& seen) {
    std::vector<Invariant> first = look(parts, seen);
    if (!any_violated(first)) return first;
    std::this_thread::sleep_for(kSecondLook);
    TRY_ASSIGN(const Survey seen_again, survey(parts));
    std::vector<Invariant> second = look(parts, seen_again);
    for (std::size_t i = 0; i < second.size(); ++i) {
        std::erase_if(second[i].findings,
                      [&](const std::string& finding) { return std::ranges::find(first[i].findings, finding) == first[i].findings.end(); });
        if (second[i].verdict == Verdict::violated && second[i].findings.empty()) second[i].verdict = Verdict::ok;
    }
    return second;
}

}  // namespace ramet::lifecycle

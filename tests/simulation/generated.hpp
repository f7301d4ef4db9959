// D20: mutants that are made by the thousand. A run of each scenario is recorded; then each call, statement and undo of it is done wrongly, one
// at a time and in every way that fits it, and the checks must tell.
//
// What is no mutant, because nothing is wrong afterwards:
// - A call that changed nothing in the recorded run, or that leaves the machine just as the right one did. So calls that the ports promise to be
//   repeatable are not done twice, and what the simulated machine does not show (a guest's reset, a port's rules) is not left out.
// - A statement that changed no row, and times and texts that only people read (columns_for_people()).
// - What a later call or statement of the same run made good: the machine and every row are in the end as without it, but for times.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "simulation/campaigns.hpp"
#include "store/database.hpp"

namespace ramet::sim {

// Text that a run hands to the process that began it.
class SharedText {
public:
    SharedText();
    ~SharedText();
    SharedText(const SharedText&) = delete;
    SharedText& operator=(const SharedText&) = delete;
    void clear() { *used_ = 0; }
    void add_line(const std::string& line);
    std::vector<std::string> lines() const;

private:
    static constexpr std::size_t kBytes = std::size_t{4} << 20;
    std::size_t* used_;
    char* text_;
};

// A scenario, in which one call may fail so that the job goes back.
struct Base {
    std::size_t scenario = 0;
    std::uint64_t failing_call = 0;
    std::string failing_site{};
};

// Something of a recorded run that can be done wrongly.
struct Event {
    enum class What : std::uint8_t { call, question, statement, transaction, undo };
    What what = What::call;
    std::uint64_t number = 0;            // of its kind, from 1
    std::string site;                    // "storage.remove", "UPDATE vm_instance", "undo:overlays"
    std::uint64_t undo = 0;              // within which undo it came; 0: none
    std::uint64_t picture = 0;           // of calls: the machine after it
    std::vector<std::string> columns{};  // of statements: those that it writes
};

struct Recorded {
    std::vector<Event> events;
    std::uint64_t view = 0, whole = 0;  // in the end
    std::uint64_t bad_jobs = 0;
    bool sound = true;                      // nothing was violated
    std::vector<std::string> last_lines{};  // of the machine and the rows in the end
};

// What is done wrongly.
struct Bug {
    std::size_t base = 0;
    Event event;
    std::string_view kind;  // "a row is not written"
    std::string detail{};   // a column, or the way
};

std::string words_of(const Bug& bug, const Base& base, const std::vector<Scenario>& scenarios);

// All bugs that fit an event.
std::vector<Bug> bugs_of(std::size_t base, const Event& event);

// The script of a base, recorded into `notes`, with a bug in it or none.
Script script_of(const Scenario& scenario, const Base& base, const Bug* bug, SharedText& notes);
// What the tally says of that run goes there too.
void note_tally(SharedText& notes, const Tally& tally);
Recorded read_record(const SharedText& notes);
// Of a run with a bug: whether the bug changed nothing when it was done.
bool changed_nothing(const SharedText& notes);

bool run_generated_mutants(const Options& options);

// --- the parts

struct CallBug {
    std::string_view detail;
    std::vector<std::string_view> sites;
    bool instead;                                    // of the right call; else after it
    bool (*does)(Server& server, const Call& call);  // false: there is nothing here to do it to
};
const std::vector<CallBug>& call_bugs();
bool has_effect(const Call& call);
bool is_question(std::string_view site);

// A statement as store/table.cpp writes it; no table: another one.
struct Statement {
    std::string verb, table, key;
    std::vector<std::string> columns;
};
Statement parse_statement(std::string_view sql);
std::vector<std::string> columns_worth_it(const Statement& statement, const store::Values& parameters);
std::vector<Bug> statement_bugs(std::size_t base, const Event& event);
// Does it as the bug has it.
// `nothing`: it came out as it should.
Result<std::int64_t> do_wrongly(const Bug& bug, const Statement& statement, store::Transaction& inner, std::string_view sql,
                                const store::Values& parameters, bool& nothing);

}  // namespace ramet::sim

#include "simulation/generated.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "simulation/mutants.hpp"
#include "simulation/picture.hpp"

namespace ramet::sim {

namespace {

constexpr std::string_view kLeftOut = "a call is left out";
constexpr std::string_view kWrongly = "a call is done wrongly";
constexpr std::string_view kFalse = "an answer is false";
constexpr std::string_view kLost = "a transaction is lost";
constexpr std::string_view kNotUndone = "an undo is left out";
constexpr std::string_view kNoConstraint = "a unique constraint is missing";
constexpr std::string_view kRowLost = "a row is lost in the end";
constexpr std::string_view kLeaseForgotten = "a lease is not ended";
constexpr std::string_view kUndoBroken = "an undo is broken";
constexpr std::string_view kNothing = "nothing changed";

std::uint64_t number_of(const std::string& text) {
    Digest digest;
    digest.add(text);
    return digest.value();
}

std::string site_of(const Call& call) { return std::string(kPortNames.at(static_cast<std::size_t>(call.port))) + "." + std::string(call.operation); }

bool captures(const Call& call) { return call.operation == "snapshot_disks" || call.operation == "capture_memory"; }

std::string table_of(const Event& event) { return event.site.substr(event.site.find(' ') + 1); }

// The table as it is, but that no column of it has to be unique beside the key, which others refer to.
std::string without_unique(Client& client, const std::string& table) {
    std::string sql;
    const Result<void> read = client.server().quiet_database().read([&](store::Transaction& transaction) -> Result<void> {
        TRY_ASSIGN(const std::vector<store::Values> rows,
                   transaction.query("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = $1", {table}));
        sql = std::get<std::string>(rows.at(0).at(0));
        return {};
    });
    if (!read.has_value()) throw std::runtime_error("the schema cannot be read: " + read.error().detail);
    const auto replace = [&](std::string_view what, std::string_view by) {
        for (std::size_t at = sql.find(what); at != std::string::npos; at = sql.find(what)) sql.replace(at, what.size(), by);
    };
    replace(" NOT NULL UNIQUE", " NOT NULL");
    for (std::size_t at = sql.find("UNIQUE ("); at != std::string::npos; at = sql.find("UNIQUE ("))
        sql.replace(at, sql.find(')', at) + 1 - at, "CHECK (1)");
    return "CREATE TABLE mutated " + sql.substr(sql.find('(')) + "; INSERT INTO mutated SELECT * FROM " + table + "; DROP TABLE " + table +
           "; ALTER TABLE mutated RENAME TO " + table;
}

// Which undo this thread is in, and whether it is in a call that makes others.
thread_local std::uint64_t undo_here = 0;
thread_local bool in_capture = false;

// Sits in the seam of one run: writes down what passes, and does what its bug has it do.
class Probe {
public:
    Probe(Client& client, SharedText& notes, std::optional<Bug> bug) : pool_(client), server_(client.server()), notes_(notes), bug_(std::move(bug)) {
        picture_ = look();
    }

    Fault decide(const Call& call, std::uint64_t number) {
        in_capture = captures(call);
        if (!bug_) return Fault::none;
        if (bug_->kind == kNotUndone) return undo_here == bug_->event.number && has_effect(call) ? Fault::swallow : Fault::none;
        if (bug_->kind == kUndoBroken) return undo_here == bug_->event.number && has_effect(call) ? Fault::broken : Fault::none;
        if (number != bug_->event.number || (bug_->event.what != Event::What::call && bug_->event.what != Event::What::question)) return Fault::none;
        if (bug_->kind == kFalse) return Fault::falsify;
        const CallBug* wrongly = call_bug();
        return bug_->kind == kLeftOut || (wrongly != nullptr && wrongly->instead) ? Fault::swallow : Fault::none;
    }

    void after(const Call& call, std::uint64_t number, bool succeeded) {
        const Uninterrupted alone(scheduler());
        if (captures(call))
            in_capture = false;
        else if (in_capture)
            return;
        if (bug_ && bug_->event.what == Event::What::call && number == bug_->event.number) return done_wrongly(call);
        if (!bug_ && succeeded && is_question(site_of(call))) note("question", number, site_of(call), 0, {});
        if (!has_effect(call)) return;
        const std::uint64_t now = look();  // with a bug too: it takes time, which is to be the same
        if (!bug_ && succeeded && now != picture_) note("call", number, site_of(call), now, {});
        picture_ = now;
    }

    void passage(std::string_view name) {
        if (name.starts_with("undid:")) undo_here = 0;
        if (!name.starts_with("undo:")) return;
        undo_here = ++undos_;
        if (!bug_) note("undo", undo_here, std::string(name), 0, {});
    }

    Mutation::OfStatements statements() {
        const std::uint64_t in_undo = undo_here;
        const auto changed = std::make_shared<bool>(false);
        return {[this, in_undo, changed](store::Transaction& inner, std::string_view sql, const store::Values& parameters) -> Result<std::int64_t> {
                    const Uninterrupted alone(scheduler());
                    return statement(in_undo, inner, sql, parameters, *changed);
                },
                [this, in_undo, changed] { return rolls_back(in_undo, *changed); }};
    }

private:
    void done_wrongly(const Call& call) {
        const CallBug* wrongly = call_bug();
        const bool was_done = wrongly == nullptr || wrongly->does(server_, call);
        if (!was_done || look() == bug_->event.picture) notes_.add_line(std::string(kNothing));
    }
    Result<std::int64_t> statement(std::uint64_t in_undo, store::Transaction& inner, std::string_view sql, const store::Values& parameters,
                                   bool& changed) {
        const Statement parsed = parse_statement(sql);
        const std::uint64_t number = ++statements_;
        const bool is_log = parsed.table == "job" || parsed.table == "job_step";  // the engine's, which notes how the undo went
        if (bug_ && bug_->kind == kNotUndone && in_undo == bug_->event.number && !is_log) return 1;
        if (bug_ && bug_->kind == kUndoBroken && in_undo == bug_->event.number && !is_log) return fail(ErrorCode::internal, "a mutant's undo");
        const bool is_at_the_bug = bug_ && bug_->event.what == Event::What::statement && bug_->kind != kRowLost && bug_->kind != kLeaseForgotten &&
                                   (number == bug_->event.number || (bug_->kind == kNoConstraint && bug_->event.site == "INSERT " + parsed.table));
        if (is_at_the_bug) {
            bool nothing = false;
            const Result<std::int64_t> done = do_wrongly(*bug_, parsed, inner, sql, parameters, nothing);
            if (nothing && bug_->kind != kNoConstraint) notes_.add_line(std::string(kNothing));
            return done;
        }
        TRY_ASSIGN(const std::int64_t rows, inner.execute(sql, parameters));
        changed = changed || rows > 0;
        if (!bug_ && rows > 0 && !parsed.table.empty() && parsed.table != "event")
            note("statement", number, parsed.verb + " " + parsed.table, 0, columns_worth_it(parsed, parameters), in_undo);
        return rows;
    }

    bool rolls_back(std::uint64_t in_undo, bool changed) {
        const std::uint64_t number = ++transactions_;
        if (bug_) return bug_->event.what == Event::What::transaction && number == bug_->event.number;
        if (changed) note("transaction", number, "commit", 0, {}, in_undo);
        return false;
    }

    const CallBug* call_bug() const {
        if (!bug_ || bug_->kind != kWrongly) return nullptr;
        const auto found = std::ranges::find(call_bugs(), bug_->detail, &CallBug::detail);
        return found == call_bugs().end() ? nullptr : &*found;
    }
    std::uint64_t look() const { return number_of(pool_.named(machine_picture(server_.machine()))); }
    void note(const std::string& what, std::uint64_t number, const std::string& site, std::uint64_t picture, const std::vector<std::string>& columns,
              std::optional<std::uint64_t> in_undo = std::nullopt) {
        std::string line =
            what + "\t" + std::to_string(number) + "\t" + site + "\t" + std::to_string(in_undo.value_or(undo_here)) + "\t" + std::to_string(picture);
        for (const std::string& column : columns) line += "\t" + column;
        notes_.add_line(line);
    }

    PoolNames pool_;
    Server& server_;
    SharedText& notes_;
    std::optional<Bug> bug_;
    std::uint64_t picture_ = 0, statements_ = 0, transactions_ = 0, undos_ = 0;
};

void note_end(Client& client, SharedText& notes) {
    const std::string whole = whole_picture(client);
    notes.add_line("end\t" + std::to_string(number_of(clients_view(client))) + "\t" + std::to_string(number_of(whole)));
    std::istringstream stream(whole);
    for (std::string line; std::getline(stream, line);) notes.add_line("last\t" + line);
}

std::vector<std::string> parts_of(const std::string& line) {
    std::vector<std::string> parts;
    std::istringstream stream(line);
    for (std::string part; std::getline(stream, part, '\t');) parts.push_back(part);
    return parts;
}

}  // namespace

SharedText::SharedText() {
    void* const memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    used_ = static_cast<std::size_t*>(memory);
    text_ = static_cast<char*>(memory) + sizeof(std::size_t);
}

SharedText::~SharedText() { ::munmap(used_, kBytes); }

void SharedText::add_line(const std::string& line) {
    if (*used_ + line.size() + 1 + sizeof(std::size_t) > kBytes) std::abort();  // a run that told a part of what it saw would prove nothing
    std::memcpy(text_ + *used_, line.data(), line.size());
    *used_ += line.size();
    text_[(*used_)++] = '\n';
}

std::vector<std::string> SharedText::lines() const {
    std::vector<std::string> all;
    std::istringstream stream(std::string(text_, *used_));
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
}

std::string words_of(const Bug& bug, const Base& base, const std::vector<Scenario>& scenarios) {
    std::string words = std::string(bug.kind) + ": " + bug.event.site;
    if (!bug.detail.empty()) words += ", " + bug.detail;
    words += " (" + std::to_string(bug.event.number) + " of '" + scenarios.at(base.scenario).name + "'";
    if (base.failing_call != 0) words += ", call " + std::to_string(base.failing_call) + " (" + base.failing_site + ") failing";
    return words + ")";
}

std::vector<Bug> bugs_of(std::size_t base, const Event& event) {
    std::vector<Bug> bugs;
    switch (event.what) {
    case Event::What::statement: return statement_bugs(base, event);
    case Event::What::question: return {{base, event, kFalse}};
    case Event::What::transaction: return {{base, event, kLost}};
    case Event::What::undo: return {{base, event, kNotUndone}, {base, event, kUndoBroken}};
    case Event::What::call: break;
    }
    bugs.push_back({base, event, kLeftOut});
    for (const CallBug& bug : call_bugs())
        if (std::ranges::find(bug.sites, event.site) != bug.sites.end()) bugs.push_back({base, event, kWrongly, std::string(bug.detail)});
    return bugs;
}

Script script_of(const Scenario& scenario, const Base& base, const Bug* bug, SharedText& notes) {
    const auto probe = std::make_shared<std::unique_ptr<Probe>>();
    Script script{scenario.prepare, scenario.act};
    script.faults = [probe, failing = base.failing_call](const Call& call, std::uint64_t number) {
        if (number == failing) return Fault::error;
        return *probe == nullptr ? Fault::none : (*probe)->decide(call, number);
    };
    script.mutate = [probe, &notes, bug = bug == nullptr ? std::nullopt : std::optional(*bug)](Client& client, Seam& seam) {
        if (bug && bug->kind == kNoConstraint) past_all_constraints(client, without_unique(client, table_of(bug->event)));
        *probe = std::make_unique<Probe>(client, notes, bug);
        seam.mutation.after = [probe](const Call& call, std::uint64_t number, bool succeeded) { (*probe)->after(call, number, succeeded); };
        seam.mutation.passage = [probe](const char* name) { (*probe)->passage(name); };
        seam.mutation.statements = [probe] { return (*probe)->statements(); };
    };
    if (bug != nullptr && bug->kind == kRowLost) {
        script.damage = [table = table_of(bug->event)](Client& client) {
            past_all_constraints(client, "DELETE FROM " + table + " WHERE rowid = (SELECT max(rowid) FROM " + table + ")");
        };
    }
    if (bug != nullptr && bug->kind == kLeaseForgotten) {
        script.damage = [](Client& client) {
            past_all_constraints(client, R"(UPDATE vm_instance SET "leaseEndDate" = 1000 WHERE rowid = (SELECT max(rowid) FROM vm_instance))");
        };
    }
    script.look = [&notes](Client& client) { note_end(client, notes); };
    script.judge_at_once = true;
    return script;
}

void note_tally(SharedText& notes, const Tally& tally) {
    notes.add_line("jobs\t" + std::to_string(tally.jobs_failed + tally.jobs_stuck + tally.jobs_partly + tally.jobs_cancelled) + "\t" +
                   (tally.violations[0] == '\0' ? "sound" : "violated"));
}

Recorded read_record(const SharedText& notes) {
    Recorded recorded;
    constexpr std::array<std::string_view, 5> kWhats{"call", "question", "statement", "transaction", "undo"};
    for (const std::string& line : notes.lines()) {
        const std::vector<std::string> parts = parts_of(line);
        const auto what = std::ranges::find(kWhats, parts.at(0));
        if (parts.at(0) == "end") {
            recorded.view = std::stoull(parts.at(1));
            recorded.whole = std::stoull(parts.at(2));
        } else if (parts.at(0) == "last") {
            recorded.last_lines.push_back(line.substr(line.find('\t') + 1));
        } else if (parts.at(0) == "jobs") {
            recorded.bad_jobs = std::stoull(parts.at(1));
            recorded.sound = parts.at(2) == "sound";
        } else if (what != kWhats.end()) {
            Event event{static_cast<Event::What>(what - kWhats.begin()), std::stoull(parts.at(1)), parts.at(2), std::stoull(parts.at(3)),
                        std::stoull(parts.at(4))};
            event.columns.assign(parts.begin() + 5, parts.end());
            recorded.events.push_back(std::move(event));
        }
    }
    return recorded;
}

bool changed_nothing(const SharedText& notes) {
    const std::vector<std::string> lines = notes.lines();
    return std::ranges::find(lines, kNothing) != lines.end();
}

}  // namespace ramet::sim

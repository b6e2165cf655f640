// What a cycle reads and in which order: pure rules, no clock of its own. Runs in the collector.
//
// A rowset of a database (or of the cluster, read in the main database) is due when its period is
// over. Databases are visited longest-waiting first, until the cycle's CPU budget is spent; what is
// left is first in the next cycle. What failed goes to the end of the line, so that it can't keep
// the others from their turn.
//
// Where a pass over the shared statistics stands in for a database's visits (counter_pass.hpp), the
// rowsets it fills are read there at a longer period, and earlier where somebody goes there anyway.
//
// Rowsets that are slow to change and dear to read wait their turn: not in the first cycle that
// knows of them (it reads everything else), and then no more of them in a cycle than a budget of
// their own allows, but one at least. In a visit they come last. Those that waited for half their
// period are as urgent as any other. Who asks for everything gets them at once.
//
// A rowset whose marks (change_marks.hpp) are those of its last reading is as it was, and not due
// before an hour is over; and one database in five minutes is visited for such alone, no more, as
// long as none of them waits too long.
//
// Databases that were read together, at a start or because somebody asked, do not stay together:
// what comes next for each but the main one comes earlier by its own share of the period.
//
// The rowset of an extension is read in one database that has it: until one is found each database
// visited is asked, then that one only. One that lacked it is not asked again for ten minutes, or
// an hour where its catalogs are as they were.
//
// Rowsets of the cluster that are the same wherever they are read go along with such a visit (the
// seat), where the last one went well: a visit less. Where it fails they are read in the main
// database, in the same cycle still.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/core/change_marks.hpp"

namespace pganalytics {

struct PlanDatabase {
    uint32_t oid = 0;
    std::string name;
    bool collected = true;  // false: visited for the cluster's rowsets only
    bool by_pass = false;   // a pass stands in for its visits
    std::optional<ChangeMarks> marks = std::nullopt;  // at the cycle's begin, where a pass told
    bool like_main = true;  // names of the cluster read the same in both: one encoding
};

struct PlanRowset {
    uint16_t number = 0;
    bool cluster = false;  // else each database
    int64_t period_us = 0;
    bool of_extension = false;  // cluster's, read where the extension is
    // Where passes are made: in place of the period where one stands in; elsewhere each cycle.
    int64_t pass_period_us = 0;
    bool slow = false;
    uint8_t changes_with = 0;        // marks; 0: nothing tells that it is as it was
    std::vector<uint32_t> off = {};  // databases it is not to be read in
    bool anywhere = false;           // cluster's, the same in each database

    bool is_off(uint32_t database) const {
        return std::find(off.begin(), off.end(), database) != off.end();
    }
};

struct PlannedVisit {
    uint32_t oid = 0;
    std::string name;
    std::vector<uint16_t> rowsets;
    bool seat = false;          // with what is the same anywhere
    int64_t cpu_budget_us = 0;  // left for this visit; it stops after the rowset that spends it
    // So many of them, the last, share another budget; it stops after that one that spends it.
    size_t slow = 0;
    int64_t slow_budget_us = 0;
};

struct CycleRules {
    int64_t interval_us = 0;
    int64_t cpu_budget_us = 0;
    int64_t slow_budget_us = 0;  // of the rowsets that wait their turn
    // What is unchanged is read again after so long, one database in so long, but after so long in
    // any case.
    int64_t unchanged_us = int64_t{3600} * 1000000;
    int64_t unchanged_gap_us = int64_t{300} * 1000000;
    int64_t unchanged_most_us = int64_t{12} * 3600 * 1000000;
    bool everything =
        false;         // every rowset is due and the budget has no end (asked for by a person)
    bool dry = false;  // nothing of it is remembered (preview)
};

class VisitPlan {
  public:
    // Times are microseconds of a clock that nobody sets. `main` is one of `databases`; 0: there is
    // none. Databases not named any more are forgotten.
    void begin(int64_t now_us, const CycleRules& rules, std::vector<PlanDatabase> databases,
               uint32_t main, std::vector<PlanRowset> rowsets);

    // One more rowset, in the midst of a cycle: read in this cycle still, where it is due.
    void add(PlanRowset rowset);

    // The next visit; empty when nothing is due any more or the budget is spent. Where everything
    // was asked for and the last visit had no time for it all, the same database's again.
    std::optional<PlannedVisit> next();

    // Whether a rowset of a database is due in this cycle.
    bool is_planned(uint32_t database, uint16_t rowset) const;

    // A rowset of the visit begun last was read, or failed, for `cpu_us`.
    void read(uint16_t rowset, bool good, int64_t cpu_us = 0);
    // An extension's rowset of that visit has nothing to read there. True where it had before.
    bool absent(uint16_t rowset);
    // That visit is over: it used `cpu_us`; what it has not read stays due, unless it failed as a
    // whole, which counts as an attempt at everything in it; at the seat, the main database has
    // what was not read of the cluster's next.
    void end_visit(int64_t cpu_us, bool failed);

    // At the end of a cycle: databases with something due and not read, and since when the one that
    // waits longest waits (0: none). What waits its turn is not counted.
    uint32_t waiting() const;
    int64_t waiting_since() const;
    uint32_t visited() const { return static_cast<uint32_t>(visited_.size()); }

    // Every rowset is due again, as for a program that knows nothing yet; but for those that passes
    // fill: their rows come without a visit. Where an extension is not, it is not looked for
    // either.
    void forget_reads();

  private:
    struct State {
        int64_t seen = 0;                             // first
        int64_t attempted = 0;                        // last
        int64_t good = 0;                             // last
        int64_t ahead = 0;                            // by so much the next one comes earlier
        std::optional<uint64_t> mark = std::nullopt;  // of changes, before the last good one
    };
    using Key = std::pair<uint32_t, uint16_t>;  // database (0: cluster), rowset

    struct Due {
        uint16_t rowset = 0;
        bool cluster = false;
        bool of_extension = false;
        int64_t since = 0;
        int64_t period_us = 0;
        bool slow = false;  // waits its turn
        bool unchanged = false;
        std::optional<uint64_t> mark = std::nullopt;
    };
    struct Line {
        PlanDatabase database;
        std::vector<Due> due;  // longest-waiting first, but behind all others what waits its turn
        int64_t since = 0;
        size_t planned = 0;  // for the last visit
    };

    State& state_of(const Key& key);
    bool is_due(int64_t period_us, const State& state) const;
    int64_t waits_since(int64_t period_us, const State& state) const;
    bool is_visited_anyway(const PlanDatabase& database);
    bool is_first_cycle(const PlanRowset& rowset, const State& state) const;
    bool waits_its_turn(const PlanRowset& rowset, int64_t since) const;
    bool is_unchanged(const PlanDatabase& database, const PlanRowset& rowset,
                      const State& state) const;
    int64_t due_period(const PlanDatabase& database, const PlanRowset& rowset,
                       const State& state) const;
    void spare_unchanged();
    int64_t ahead_of(const Due& due, const State& state) const;
    PlannedVisit visit_of(const Line& line, int64_t left_us) const;
    void queue(const PlanRowset& rowset);
    uint32_t choose_seat() const;
    void leave_seat(const Line& failed);
    void queue_due(const PlanDatabase& database);
    void add_due(Line& line, const PlanRowset& rowset, bool early_too);
    bool may_have(const PlanDatabase& database, const PlanRowset& rowset) const;
    bool still_lacks(const PlanDatabase& database, const PlanRowset& rowset) const;
    void forget_gone();
    bool goes_on() const;

    CycleRules rules_;
    int64_t now_us_ = 0;
    uint32_t main_ = 0;
    uint32_t seat_ = 0;
    std::vector<PlanRowset> rowsets_;
    std::vector<PlanDatabase> databases_;
    std::map<Key, State> states_;
    std::map<uint16_t, uint32_t> providers_;  // rowset of an extension: database it was read in
    struct Absence {
        int64_t at = 0;
        std::optional<uint64_t> mark = std::nullopt;  // of definitions, then
    };
    std::map<Key, Absence> absences_;  // database and such a rowset: when it was not there
    std::set<uint16_t> served_;        // of these rowsets, in this cycle
    std::vector<Line> lines_;          // longest-waiting first
    size_t next_line_ = 0;
    std::set<uint32_t> visited_;               // databases
    int64_t unchanged_at_us_ = INT64_MIN / 2;  // a visit for the unchanged alone
    int64_t spent_us_ = 0;
    int64_t slow_spent_us_ = 0;
    bool slow_read_ = false;
};

}  // namespace pganalytics

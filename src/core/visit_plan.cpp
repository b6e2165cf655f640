// What a cycle reads (see the header).
#include "pganalytics/core/visit_plan.hpp"

#include <algorithm>
#include <set>

namespace pganalytics {

namespace {
constexpr int64_t kNoBudget = INT64_MAX;
constexpr int64_t kAbsentUs = int64_t{600} * 1000000;
// Rowsets that come so seldom bring nothing else forward.
constexpr int64_t kBringsForwardUs = int64_t{900} * 1000000;

bool by_pass(const PlanDatabase& database, const PlanRowset& rowset) {
    return database.by_pass && rowset.pass_period_us > 0;
}

// Where no pass stands in yet, it is a reading of all its rowsets that lets it.
int64_t period_of(const PlanDatabase& database, const PlanRowset& rowset) {
    if (rowset.pass_period_us == 0) return rowset.period_us;
    return database.by_pass ? rowset.pass_period_us : 0;
}

// Of the counters a pass fills; their labels are by the catalogs.
std::optional<uint64_t> mark_of(const PlanDatabase& database, const PlanRowset& rowset) {
    const unsigned which =
        rowset.pass_period_us > 0 ? unsigned{kWithDefinitions} : unsigned{rowset.changes_with};
    if (which == 0 || rowset.cluster || !database.marks) return std::nullopt;
    return change_mark(*database.marks, which);
}
}  // namespace

VisitPlan::State& VisitPlan::state_of(const Key& key) {
    const auto [place, is_new] = states_.try_emplace(key);
    if (is_new) place->second.seen = now_us_;
    return place->second;
}

bool VisitPlan::is_due(int64_t period_us, const State& state) const {
    if (rules_.everything || state.good == 0 || period_us == 0) return true;
    // Half an interval of tolerance: cycles do not begin to the microsecond.
    return now_us_ - state.good + rules_.interval_us / 2 >= period_us - state.ahead;
}

int64_t VisitPlan::waits_since(int64_t period_us, const State& state) const {
    const int64_t due_at = state.good == 0
                               ? state.seen
                               : state.good + std::max(period_us - state.ahead, rules_.interval_us);
    return std::max(due_at, state.attempted);
}

// --- what is as it was

bool VisitPlan::is_unchanged(const PlanDatabase& database, const PlanRowset& rowset,
                             const State& state) const {
    if (rules_.everything || period_of(database, rowset) == 0) return false;
    const std::optional<uint64_t> mark = mark_of(database, rowset);
    return mark && mark == state.mark;
}

int64_t VisitPlan::due_period(const PlanDatabase& database, const PlanRowset& rowset,
                              const State& state) const {
    const int64_t period_us = period_of(database, rowset);
    return is_unchanged(database, rowset, state) ? std::max(period_us, rules_.unchanged_us)
                                                 : period_us;
}

// Of the databases with nothing else to read stay the one that waits longest, where it is time for
// one, and those that can't wait.
void VisitPlan::spare_unchanged() {
    const auto is_unchanged = [](const Line& line) {
        return std::all_of(line.due.begin(), line.due.end(),
                           [](const Due& due) { return due.unchanged; });
    };
    const Line* oldest = nullptr;
    if (now_us_ - unchanged_at_us_ + rules_.interval_us / 2 >= rules_.unchanged_gap_us)
        for (const Line& line : lines_)
            if (is_unchanged(line) && (oldest == nullptr || line.since < oldest->since))
                oldest = &line;
    const uint32_t kept = oldest == nullptr ? 0 : oldest->database.oid;
    if (oldest != nullptr && !rules_.dry) unchanged_at_us_ = now_us_;
    const int64_t patience_us = rules_.unchanged_most_us - rules_.unchanged_us;
    std::erase_if(lines_, [&](const Line& line) {
        return is_unchanged(line) && line.database.oid != kept &&
               now_us_ - line.since < patience_us;
    });
}

// --- what waits its turn

bool VisitPlan::is_first_cycle(const PlanRowset& rowset, const State& state) const {
    return rowset.slow && !rules_.everything && state.good == 0 && state.seen == now_us_;
}

bool VisitPlan::waits_its_turn(const PlanRowset& rowset, int64_t since) const {
    return rowset.slow && !rules_.everything && now_us_ - since < rowset.period_us / 2;
}

// How much earlier than its period the next reading comes: a share of its own for each database, by
// the high bits of a multiplicative hash, once after readings of all databases together.
int64_t VisitPlan::ahead_of(const Due& due, const State& state) const {
    const uint32_t database = lines_[next_line_ - 1].database.oid;
    const bool together = state.good == 0 || rules_.everything;
    if (!together || due.cluster || due.slow || database == main_) return 0;
    return due.period_us / 256 * (database * 2654435769U >> 24);
}

PlannedVisit VisitPlan::visit_of(const Line& line, int64_t left_us) const {
    PlannedVisit visit;
    visit.oid = line.database.oid;
    visit.name = line.database.name;
    visit.seat = line.database.oid == seat_;
    visit.cpu_budget_us = left_us;
    visit.slow_budget_us = rules_.slow_budget_us - slow_spent_us_;
    const bool slow_too = visit.slow_budget_us > 0 || !slow_read_;
    for (const Due& due : line.due)
        if (!due.slow) visit.rowsets.push_back(due.rowset);
    const size_t others = visit.rowsets.size();
    for (const Due& due : line.due)
        if (due.slow && slow_too) visit.rowsets.push_back(due.rowset);
    visit.slow = visit.rowsets.size() - others;
    return visit;
}

bool VisitPlan::may_have(const PlanDatabase& database, const PlanRowset& rowset) const {
    const auto provider = providers_.find(rowset.number);
    if (provider != providers_.end()) return provider->second == database.oid;
    if (!database.collected && database.oid != main_) return false;
    const auto absence = absences_.find({database.oid, rowset.number});
    if (rules_.everything || absence == absences_.end()) return true;
    return now_us_ - absence->second.at >=
           (still_lacks(database, rowset) ? rules_.unchanged_us : kAbsentUs);
}

// By its catalogs, which name the extensions.
bool VisitPlan::still_lacks(const PlanDatabase& database, const PlanRowset& rowset) const {
    const auto absence = absences_.find({database.oid, rowset.number});
    return absence != absences_.end() && database.marks && absence->second.mark &&
           *absence->second.mark == change_mark(*database.marks, kWithDefinitions);
}

// For rowsets of its own that no pass fills.
bool VisitPlan::is_visited_anyway(const PlanDatabase& database) {
    return database.collected &&
           std::any_of(rowsets_.begin(), rowsets_.end(), [&](const PlanRowset& rowset) {
               return !rowset.cluster && !rowset.of_extension &&
                      rowset.period_us < kBringsForwardUs && !by_pass(database, rowset) &&
                      !rowset.is_off(database.oid) &&
                      is_due(due_period(database, rowset, state_of({database.oid, rowset.number})),
                             state_of({database.oid, rowset.number}));
           });
}

// --- the seat

// The main database, or one that is visited for an extension in this cycle.
uint32_t VisitPlan::choose_seat() const {
    if (rules_.everything) return main_;
    for (const PlanRowset& rowset : rowsets_) {
        const auto provider = providers_.find(rowset.number);
        const auto entry = states_.find({0, rowset.number});
        if (provider == providers_.end() || entry == states_.end()) continue;
        const State& state = entry->second;
        const bool went_well = state.good != 0 && state.attempted <= state.good + 1;
        if (!went_well || !is_due(rowset.period_us, state)) continue;
        for (const PlanDatabase& database : databases_)
            if (database.oid == provider->second && database.like_main) return database.oid;
    }
    return main_;
}

// The server's figures must not depend on a database that can't be visited.
void VisitPlan::leave_seat(const Line& failed) {
    if (failed.database.oid != seat_ || seat_ == main_) return;
    seat_ = main_;
    std::vector<PlanRowset> moved;
    for (const Due& due : failed.due)
        for (const PlanRowset& rowset : rowsets_)
            if (rowset.number == due.rowset && rowset.anywhere) moved.push_back(rowset);
    for (const PlanRowset& rowset : moved) queue(rowset);
}

void VisitPlan::add_due(Line& line, const PlanRowset& rowset, bool early_too) {
    const PlanDatabase& database = line.database;
    const bool wanted = rowset.of_extension ? may_have(database, rowset)
                        : rowset.cluster    ? database.oid == (rowset.anywhere ? seat_ : main_)
                                            : database.collected;
    if (!wanted || rowset.is_off(database.oid)) return;
    const State& state = state_of({rowset.cluster ? 0 : database.oid, rowset.number});
    const int64_t period_us = due_period(database, rowset, state);
    const bool early = early_too && by_pass(database, rowset);
    if (is_first_cycle(rowset, state)) return;
    if (!is_due(early ? period_us / 2 : period_us, state)) return;
    // A question that may find nothing brings no database forward.
    const bool question = rowset.of_extension && !providers_.contains(rowset.number);
    const int64_t since = question ? now_us_ : waits_since(period_us, state);
    line.due.push_back(
        {rowset.number, rowset.cluster, rowset.of_extension, since,
         std::max(rowset.period_us, rowset.pass_period_us), waits_its_turn(rowset, since),
         question ? still_lacks(database, rowset) : is_unchanged(database, rowset, state),
         mark_of(database, rowset)});
}

void VisitPlan::add(PlanRowset rowset) {
    queue(rowset);
    rowsets_.push_back(std::move(rowset));
}

void VisitPlan::queue(const PlanRowset& rowset) {
    for (const PlanDatabase& database : databases_) {
        // Into the visit that is still to come, else into one more at the end.
        const auto ahead =
            std::find_if(lines_.begin() + static_cast<std::ptrdiff_t>(next_line_), lines_.end(),
                         [&](const Line& line) { return line.database.oid == database.oid; });
        if (ahead != lines_.end()) {
            add_due(*ahead, rowset, false);
            continue;
        }
        Line line;
        line.database = database;
        line.since = now_us_;
        add_due(line, rowset, false);
        if (!line.due.empty()) lines_.push_back(std::move(line));
    }
}

void VisitPlan::queue_due(const PlanDatabase& database) {
    Line line;
    line.database = database;
    const bool early_too = database.by_pass && is_visited_anyway(database);
    for (const PlanRowset& rowset : rowsets_) add_due(line, rowset, early_too);
    if (line.due.empty()) return;
    std::stable_sort(line.due.begin(), line.due.end(), [](const Due& a, const Due& b) {
        return a.slow != b.slow ? b.slow : a.since < b.since;
    });
    line.since = line.due.front().since;
    lines_.push_back(std::move(line));
}

bool VisitPlan::is_planned(uint32_t database, uint16_t rowset) const {
    return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) {
        return line.database.oid == database &&
               std::any_of(line.due.begin(), line.due.end(),
                           [&](const Due& due) { return due.rowset == rowset; });
    });
}

void VisitPlan::forget_reads() {
    const auto by_pass = [&](uint16_t number) {
        return std::any_of(rowsets_.begin(), rowsets_.end(), [&](const PlanRowset& rowset) {
            return rowset.number == number && rowset.pass_period_us > 0;
        });
    };
    std::erase_if(states_, [&](const auto& entry) { return !by_pass(entry.first.second); });
}

void VisitPlan::forget_gone() {
    std::set<uint32_t> there = {0};
    for (const PlanDatabase& database : databases_) there.insert(database.oid);
    const auto is_gone = [&](const auto& entry) { return !there.contains(entry.first.first); };
    std::erase_if(states_, is_gone);
    std::erase_if(absences_, is_gone);
    std::erase_if(providers_, [&](const auto& entry) { return !there.contains(entry.second); });
}

void VisitPlan::begin(int64_t now_us, const CycleRules& rules, std::vector<PlanDatabase> databases,
                      uint32_t main, std::vector<PlanRowset> rowsets) {
    rules_ = rules;
    now_us_ = now_us;
    main_ = main;
    rowsets_ = std::move(rowsets);
    databases_ = std::move(databases);
    lines_.clear();
    next_line_ = 0;
    visited_.clear();
    spent_us_ = slow_spent_us_ = 0;
    slow_read_ = false;
    served_.clear();
    forget_gone();
    seat_ = choose_seat();
    for (const PlanDatabase& database : databases_) queue_due(database);
    spare_unchanged();
    const auto rank = [&](const Line& line) {
        return line.database.oid == seat_ ? 0 : line.database.oid == main_ ? 1 : 2;
    };
    std::stable_sort(lines_.begin(), lines_.end(), [&](const Line& a, const Line& b) {
        if (a.due.front().slow != b.due.front().slow) return b.due.front().slow;
        if (a.since != b.since) return a.since < b.since;
        return rank(a) < rank(b);
    });
}

// Who asks for everything gets it in as many visits as it takes, as long as each reads something.
bool VisitPlan::goes_on() const {
    if (!rules_.everything || next_line_ == 0) return false;
    const Line& line = lines_[next_line_ - 1];
    return !line.due.empty() && line.due.size() < line.planned;
}

std::optional<PlannedVisit> VisitPlan::next() {
    if (goes_on()) --next_line_;
    if (next_line_ == lines_.size()) return std::nullopt;
    const int64_t left = rules_.everything ? kNoBudget : rules_.cpu_budget_us - spent_us_;
    // One visit a cycle is made in any case.
    if (left <= 0 && !visited_.empty()) return std::nullopt;
    Line& line = lines_[next_line_++];
    // Another database had them meanwhile.
    std::erase_if(line.due, [&](const Due& due) { return served_.contains(due.rowset); });
    PlannedVisit visit = visit_of(line, left);
    if (visit.rowsets.empty()) return next();
    visited_.insert(line.database.oid);
    line.planned = line.due.size();
    return visit;
}

void VisitPlan::read(uint16_t rowset, bool good, int64_t cpu_us) {
    if (next_line_ == 0) return;
    Line& line = lines_[next_line_ - 1];
    const auto due = std::find_if(line.due.begin(), line.due.end(),
                                  [&](const Due& item) { return item.rowset == rowset; });
    if (due == line.due.end()) return;
    if (due->of_extension) {
        served_.insert(rowset);
        if (good) providers_[rowset] = line.database.oid;
    }
    if (due->slow) {
        slow_read_ = true;
        slow_spent_us_ += cpu_us;
    }
    if (!rules_.dry) {
        State& state = state_of({due->cluster ? 0 : line.database.oid, rowset});
        // Behind those that wait since this very cycle.
        state.attempted = now_us_ + 1;
        if (good) {
            state.ahead = ahead_of(*due, state);
            state.good = now_us_;
            // What is as it was before an earlier reading is as it was before this one.
            if (due->mark) state.mark = due->mark;
        }
    }
    line.due.erase(due);
}

bool VisitPlan::absent(uint16_t rowset) {
    if (next_line_ == 0) return false;
    Line& line = lines_[next_line_ - 1];
    std::erase_if(line.due, [&](const Due& due) { return due.rowset == rowset; });
    const std::optional<ChangeMarks>& marks = line.database.marks;
    absences_[{line.database.oid, rowset}] = {
        now_us_, marks ? std::optional(change_mark(*marks, kWithDefinitions)) : std::nullopt};
    const auto provider = providers_.find(rowset);
    if (provider == providers_.end() || provider->second != line.database.oid) return false;
    providers_.erase(provider);
    states_.erase({0, rowset});  // due at once where it is found again
    return true;
}

void VisitPlan::end_visit(int64_t cpu_us, bool failed) {
    if (next_line_ == 0) return;
    spent_us_ += cpu_us;
    if (!failed) return;
    const Line line = lines_[next_line_ - 1];
    for (const Due& due : line.due) read(due.rowset, false);
    leave_seat(line);
}

uint32_t VisitPlan::waiting() const {
    uint32_t count = 0;
    for (const Line& line : lines_) {
        const bool waits =
            std::any_of(line.due.begin(), line.due.end(), [](const Due& due) { return !due.slow; });
        count += waits ? 1 : 0;
    }
    return count;
}

int64_t VisitPlan::waiting_since() const {
    int64_t since = 0;
    for (const Line& line : lines_) {
        const auto oldest = std::find_if(line.due.begin(), line.due.end(),
                                         [](const Due& due) { return !due.slow; });
        if (oldest == line.due.end()) continue;
        if (since == 0 || oldest->since < since) since = oldest->since;
    }
    return since;
}

}  // namespace pganalytics

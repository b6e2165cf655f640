// A cycle's part in users' own rowsets (see cycle.hpp): what is defined comes from the visit to
// pganalytics.database and goes out with the orders of visits, in the same cycle still. Runs in the
// collector.
#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kSecond = 1000000;
// A call that changes definitions is over by then, or its change is found a period later.
constexpr int64_t kDefinitionsPeriodUs = 300 * kSecond;

int64_t unix_now() {
    return GetCurrentTimestamp() + int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
}

}  // namespace

std::string Cycle::rowset_name(const OpenRowset& open) const {
    const Rowset& rowset = catalog()[open.number];
    const OwnDefinition* own = own_.find(open.own);
    return std::string(rowset.plugin) + "." +
           (own != nullptr ? own->name : std::string(rowset.name));
}

PlanRowset Cycle::plan_of(const OwnState& state) const {
    PlanRowset rowset;
    rowset.number = state.definition.number;
    rowset.cluster = state.definition.cluster;
    rowset.period_us = state.definition.period_s * kSecond;
    for (const Database& database : list_.databases) {
        if (own_.is_off(rowset.number, database.oid)) rowset.off.push_back(database.oid);
    }
    return rowset;
}

// What may change them or the right to: the functions for it, and whatever is written to the
// catalogs of their database, such as a grant. Somebody who writes to the table itself waits for
// the period; where nothing tells of catalogs, as on a standby, they are read in each cycle. Until
// somebody called one since the server's start, the first reading is as good as any.
void Cycle::watch_own_definitions(int64_t now_us, const std::optional<ChangeMarks>& marks) {
    uint64_t calls = 0;
    {
        const SpinLock lock(shared_state()->collector.mutex);
        calls = shared_state()->collector.own_calls;
    }
    const auto mark = marks ? std::optional(change_mark(*marks, kWithDefinitions)) : std::nullopt;
    const bool same_mark = mark && (mark == own_mark_ || (!own_mark_ && calls == 0));
    if (!same_mark || calls != own_calls_) own_changed_us_ = now_us;
    own_mark_ = mark;
    own_calls_ = calls;
}

void Cycle::plan_own(int64_t now_us, std::vector<PlanRowset>& rowsets) const {
    PlanRowset definitions;
    definitions.number = kOwnDefinitionsNumber;
    definitions.cluster = true;
    const bool settled = own_known_ && now_us - own_changed_us_ >= kDefinitionsPeriodUs;
    definitions.period_us = settled ? kDefinitionsPeriodUs : 0;
    rowsets.push_back(definitions);
    for (const OwnState& state : own_.states()) rowsets.push_back(plan_of(state));
}

void Cycle::order_own(const PlannedVisit& planned, VisitOrder& order) const {
    for (const uint16_t number : planned.rowsets) {
        if (number == kOwnDefinitionsNumber) {
            order.own_definitions = true;
        } else if (number < kFirstOwnNumber) {
            order.rowsets.push_back(number);
        } else if (const OwnDefinition* definition = own_.find(number)) {
            order.own.push_back(*definition);
        }
    }
    // What waits longest comes first: where visits are cut, it would never have its turn after the
    // catalog's.
    const auto first =
        std::find_if(planned.rowsets.begin(), planned.rowsets.end(),
                     [](uint16_t number) { return number != kOwnDefinitionsNumber; });
    order.own_first = first != planned.rowsets.end() && *first >= kFirstOwnNumber;
    order.own_timeout_ms = std::min(settings().statement_timeout, settings().visit_timeout / 2);
}

void Cycle::on_own_definitions(std::string_view payload) {
    auto read = decode<OwnDefinitions>(payload);
    if (!read) return;
    const bool good = read->problem.empty();
    plan_.read(kOwnDefinitionsNumber, good);
    copy_text(figures_.own_problem, read->problem);
    if (!good) {
        log_limited(LOG, "own rowsets", "could not read the definitions of own rowsets",
                    read->problem);
        return;
    }
    own_known_ = true;
    const std::vector<uint16_t> fresh = own_.set(std::move(read->definitions));
    for (const OwnState& state : own_.states()) {
        const uint16_t number = state.definition.number;
        if (std::find(fresh.begin(), fresh.end(), number) != fresh.end()) plan_.add(plan_of(state));
    }
    show_own();
}

void Cycle::on_own_read(uint16_t own, const RowsetEnd& end) {
    const bool off = own_.read(own, visited_, end.sqlstate, end.message);
    const OwnDefinition* definition = own_.find(own);
    if (off && definition != nullptr) {
        log_limited(LOG, "own rowset off " + definition->name,
                    "own rowset \"" + definition->name + "\" is switched off in database \"" +
                        visited_name_ + "\" after three failures",
                    end.message,
                    "Define it anew, or run pganalytics_reload(), to have it read again.");
    }
    show_own();
}

// The visit ended in the midst of it. Its own fault where it did not even listen to its time's end;
// otherwise whatever ended the visit is judged like an error of the query.
void Cycle::on_own_failed(const VisitReport& report) {
    RowsetEnd end;
    const bool other = !visit_.was_terminated() && report.error_code != 0;
    end.sqlstate = sqlstate_text(other ? report.error_code : ERRCODE_QUERY_CANCELED);
    end.message = report.error[0] != '\0' ? report.error : "the visit was ended";
    on_own_read(report.own, end);
}

void Cycle::retry_own() {
    own_.retry();
    show_own();
}

// The definitions, and how they are, as rows of own.rowsets.
void Cycle::send_own_definitions() {
    if (!own_known_ || !own_selected_) return;
    size_t count = 0;
    const std::string rows = own_.rows(count);
    RowsetBegin begin;
    begin.rowset = rowset_number(*find_rowset("own", "rowsets"));
    begin.time = unix_now();
    RowsetEnd end;
    end.rows = count;
    end.complete = true;
    pass_on(make_frame(begin));
    if (count > 0) pass_on(make_frame(FrameType::kRowsetRows, rows));
    pass_on(make_frame(end));
}

void Cycle::show_own() {
    figures_.own_count = 0;
    for (const OwnState& state : own_.states()) {
        if (figures_.own_count == kMostOwnRowsets) break;
        OwnFigure& figure = figures_.own[figures_.own_count++];
        copy_text(figure.name, state.definition.name);
        copy_text(figure.state, own_state_text(state));
        figure.off = state.off;
        figure.failures = state.failures;
        copy_text(figure.error, state.error);
    }
}

}  // namespace pganalytics::pg

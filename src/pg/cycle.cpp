// A cycle (see the header). Runs in the collector.
#include "pganalytics/pg/cycle.hpp"

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/name_patterns.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kLeastBudgetUs = kSecond / 5;
// Past its deadline a visitor has this long to end by itself.
constexpr int64_t kOverdueUs = kSecond / 5;

constexpr int64_t kUnixOfPostgres =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

int64_t unix_now() { return GetCurrentTimestamp() + kUnixOfPostgres; }

std::string clean(std::string_view text) {
    std::string out;
    append_utf8_clean(out, text);
    return out;
}

// A setting whose form was checked when it was set.
std::vector<std::string> names_of(const char* setting) {
    auto names = parse_name_patterns(setting);
    return names ? *std::move(names) : std::vector<std::string>{};
}

bool is_selected_rowset(const Rowset& rowset, const CycleOrder& order,
                        const std::vector<std::string>& selection) {
    if (!order.plugin.empty() && order.plugin != rowset.plugin) return false;
    return is_selected(rowset.plugin, selection);
}

CycleRules rules_of(CyclePurpose purpose) {
    CycleRules rules;
    rules.interval_us = int64_t{settings().collect_interval} * 1000;
    rules.cpu_budget_us = std::max(kLeastBudgetUs, rules.interval_us / 100);
    rules.slow_budget_us = rules.cpu_budget_us / 5;
    // A full reading a day at the latest is what the hub's views count on (hub_views.hpp).
    constexpr int64_t kDay = int64_t{24} * 3600 * kSecond;
    rules.unchanged_most_us =
        std::clamp(kDay - settings().full_interval * kSecond, kDay / 48, kDay / 2);
    rules.unchanged_us = std::min(rules.unchanged_us, rules.unchanged_most_us);
    rules.everything = purpose != CyclePurpose::kScheduled;
    rules.dry = purpose == CyclePurpose::kPreview;
    return rules;
}

}  // namespace

// --- planning

std::vector<PlanRowset> Cycle::plan_rowsets(const CycleOrder& order) {
    const auto selection = names_of(settings().plugins);
    std::vector<PlanRowset> rowsets;
    for (const Rowset& rowset : catalog()) {
        const bool by_sql = rowset.scope == Scope::kCluster || rowset.scope == Scope::kDatabase;
        if (!by_sql || !is_selected_rowset(rowset, order, selection)) continue;
        if (!is_queried(rowset, kServerMajor)) continue;
        const uint16_t number = rowset_number(rowset);
        rowsets.push_back({number,
                           rowset.scope == Scope::kCluster,
                           int64_t{rowset.period_seconds} * kSecond,
                           !rowset.extension.empty(),
                           pass_.covers(number) ? CounterPass::kCompleteUs : 0,
                           is_slow(rowset),
                           kServerMajor <= rowset.marked_until ? rowset.changes_with : uint8_t{},
                           {},
                           is_same_anywhere(rowset)});
    }
    return rowsets;
}

std::vector<uint16_t> Cycle::due_host_rowsets(const CycleOrder& order, int64_t now_us) {
    const auto selection = names_of(settings().plugins);
    const CycleRules rules = rules_of(order.purpose);
    std::vector<uint16_t> due;
    for (const Rowset& rowset : catalog()) {
        const bool made_there = rowset.scope == Scope::kHost || rowset.scope == Scope::kProgram;
        if (!made_there || !is_selected_rowset(rowset, order, selection)) continue;
        const uint16_t number = rowset_number(rowset);
        const auto read = host_read_.find(number);
        const bool is_due =
            rules.everything || read == host_read_.end() ||
            now_us - read->second + rules.interval_us / 2 >= rowset.period_seconds * kSecond;
        if (!is_due) continue;
        due.push_back(number);
        if (!rules.dry) host_read_[number] = now_us;
    }
    return due;
}

// pganalytics.database, else the first that allows connections.
uint32_t Cycle::main_database() const {
    uint32_t first = 0;
    for (const Database& database : list_.databases) {
        if (!database.connectable || database.is_template) continue;
        if (database.name == settings().database) return database.oid;
        if (first == 0) first = database.oid;
    }
    return first;
}

void Cycle::plan(const CycleOrder& order, int64_t now_us) {
    const auto wanted = names_of(settings().databases);
    const auto unwanted = names_of(settings().exclude_databases);
    const bool has_role = settings().role[0] == '\0' || list_.role != 0;
    const uint32_t main = main_database();
    int encoding = 0;
    for (const Database& database : list_.databases)
        if (database.oid == main) encoding = database.encoding;
    std::vector<PlanDatabase> databases;
    for (const Database& database : list_.databases) {
        if (!has_role || !database.connectable || database.is_template) continue;
        const bool collected =
            matches_any(database.name, wanted) && !matches_any(database.name, unwanted);
        if (database.oid == main) copy_text(figures_.main_database, database.name);
        if (!collected && database.oid != main) continue;
        databases.push_back({database.oid, clean(database.name), collected});
        databases.back().like_main = database.encoding == encoding;
    }
    figures_.databases_known = static_cast<uint32_t>(databases.size());
    std::vector<PlanRowset> rowsets = plan_rowsets(order);
    make_pass(order, now_us, rowsets, databases);
    own_selected_ =
        is_selected_rowset(*find_rowset("own", "rows"), order, names_of(settings().plugins));
    if (order.purpose == CyclePurpose::kScheduled) {
        const auto place = std::find_if(databases.begin(), databases.end(),
                                        [&](const PlanDatabase& one) { return one.oid == main; });
        watch_own_definitions(now_us, place != databases.end() ? place->marks : std::nullopt);
    }
    if (own_selected_) plan_own(now_us, rowsets);
    plan_.begin(now_us, rules_of(order.purpose), databases, main, std::move(rowsets));
    queue_changes(databases);
}

bool Cycle::begin(const CycleOrder& order, int64_t now_us) {
    FlatError error;
    if (!list_databases(settings().role, list_, error)) {
        log_limited(LOG, "database list", "could not read the list of databases", error.message);
        // Somebody has pg_database locked: the list of the last time will do.
        if (list_.databases.empty()) return false;
    }
    if (settings().role[0] != '\0' && list_.role == 0) {
        log_limited(WARNING, "role", "role of pganalytics.role does not exist", {},
                    "Create it with LOGIN and membership in pg_monitor, or restart the server "
                    "without the setting.");
        copy_text(figures_.last_error, "role of pganalytics.role does not exist");
    }
    CycleBegin announcement;
    announcement.number = ++number_;
    announcement.purpose = order.purpose;
    announcement.time = unix_now();
    announcement.request = order.request;
    announcement.host_rowsets = due_host_rowsets(order, now_us);
    announcement_ = std::move(announcement);
    plan(order, now_us);
    active_ = true;
    lost_ = visits_over_ = false;
    dry_ = order.purpose == CyclePurpose::kPreview;
    started_us_ = now_us;
    ++figures_.cycles;
    figures_.last_cycle_started = GetCurrentTimestamp();
    return true;
}

// --- visits

VisitOrder Cycle::visit_order(const PlannedVisit& planned, int64_t now_us) const {
    VisitOrder order;
    order.database = planned.oid;
    order.role = list_.role;
    order.datname = planned.name;
    order_own(planned, order);
    order_slices(planned, order);
    order.tablespaces = planned.seat;
    order.deadline_us = now_us + int64_t{settings().visit_timeout} * 1000;
    order.cpu_budget_us = planned.cpu_budget_us;
    order.slow_rowsets = static_cast<uint16_t>(planned.slow);
    order.slow_budget_us = planned.slow_budget_us;
    order.statement_timeout_ms = settings().statement_timeout;
    order.lock_timeout_ms = settings().lock_timeout;
    order.max_rows = static_cast<uint64_t>(settings().max_rows);
    order.statement_texts = settings().query_text != kQueryTextNone;
    return order;
}

// False when there is none to make.
bool Cycle::start_next_visit(int64_t now_us) {
    if (visits_over_ || lost_) return false;
    const auto planned = plan_.next();
    if (!planned) return false;
    FlatError error;
    visited_name_ = planned->name;
    visited_ = planned->oid;
    visit_started_us_ = now_us;
    switch (visit_.start(visit_order(*planned, now_us), error)) {
        case Visit::Started::kYes:
            ++figures_.visits;
            return true;
        case Visit::Started::kNoWorkerSlot:
            ++figures_.no_worker_slot;
            log_limited(LOG, "no worker slot", "no free background worker for a visit",
                        "What was to be read is read in the next cycle.",
                        "Consider raising max_worker_processes.");
            break;
        case Visit::Started::kFailed:
            ++figures_.visits_failed;
            log_limited(LOG, "visit not started", "could not start a visit", error.message);
            break;
    }
    visits_over_ = true;
    return false;
}

void Cycle::end_visit() {
    close_rowset();
    const VisitReport& report = visit_.report();
    figures_.visitor_cpu_us += report.cpu_us;
    if (report.cut) ++figures_.visits_cut;
    if (report.too_long != 0) on_too_long(static_cast<uint16_t>(report.too_long - 1));
    const bool failed = !report.done;
    plan_.end_visit(static_cast<int64_t>(report.cpu_us), failed);
    if (!failed || lost_) return;
    if (report.own != 0) on_own_failed(report);
    ++figures_.visits_failed;
    const std::string what = "visit to database \"" + visited_name_ + "\" failed";
    const std::string why = report.error[0] != '\0' ? report.error : "The visitor was ended.";
    const bool own = report.own != 0 && report.error_code != 0;
    copy_text(figures_.last_error,
              what + ": " + (own ? own_error_to_send(sqlstate_text(report.error_code), why) : why));
    log_limited(LOG, "visit failed", what, why);
}

// --- the loop

void Cycle::work(int64_t now_us) {
    if (!active_) return;
    std::string_view frame;
    while (program_.has_room()) {
        if (!changes_.empty()) {
            hand_over_changes();
            continue;
        }
        if (!visit_.running()) {
            if (!start_next_visit(now_us)) return end(now_us);
            return;
        }
        switch (visit_.receive(frame)) {
            case Visit::Received::kFrame:
                take_frame(std::string(frame));
                break;
            case Visit::Received::kOver:
                end_visit();
                break;
            case Visit::Received::kNothing:
                if (now_us > visit_.deadline_us() + kOverdueUs) visit_.terminate();
                return;
        }
    }
    if (now_us > visit_.deadline_us() + kOverdueUs) visit_.terminate();
}

int64_t Cycle::next_us() const {
    // Everything else wakes us: frames, the visitor's end, room in the program's queue.
    if (!active_ || visit_.terminated()) return INT64_MAX;
    if (visit_.running()) return visit_.deadline_us() + kOverdueUs + 1;
    return program_.has_room() ? 0 : INT64_MAX;
}

void Cycle::program_lost() {
    stop_changes();
    if (!active_ || lost_) return;
    lost_ = true;
    visit_.stop_listening();
}

void Cycle::forget_reads() {
    stop_changes();
    plan_.forget_reads();
    host_read_.clear();
}

void Cycle::stop() { visit_.terminate(); }

void Cycle::end(int64_t now_us) {
    close_rowset();  // one of a pass, where the program was lost in it
    announce();
    send_own_definitions();
    CycleEnd end;
    end.number = number_;
    end.databases_visited = plan_.visited();
    end.databases_waiting = plan_.waiting();
    for (const Database& database : list_.databases) end.databases.push_back(database.oid);
    end.counts = counts(now_us);
    end.partial_rowsets = pass_.rowsets();
    end.partial_databases = pass_.primed();
    figures_.databases_by_pass = static_cast<uint32_t>(end.partial_databases.size());
    figures_.pass_objects = pass_.objects();
    if (own_known_ && own_selected_) end.own = own_.numbers();
    own_.keep_databases(end.databases);
    slices_.keep_databases(end.databases);
    pass_on(make_frame(end));
    active_ = false;
    figures_.last_cycle_ended = GetCurrentTimestamp();
    figures_.last_cycle_us = monotonic_us() - started_us_;
    if (dry_) return;
    figures_.databases_waiting = plan_.waiting();
    const int64_t since = plan_.waiting_since();
    figures_.longest_wait_us = since == 0 ? 0 : now_us - since;
}

}  // namespace pganalytics::pg

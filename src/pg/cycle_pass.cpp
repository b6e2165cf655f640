// The part of a cycle that needs no visits: a pass over the shared statistics, and what changed
// since the last one. Runs in the collector.
#include <algorithm>
#include <cstring>
#include <utility>

#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

// Who asks for a cycle gets readings by visits.
void Cycle::make_pass(const CycleOrder& order, int64_t now_us,
                      const std::vector<PlanRowset>& rowsets,
                      std::vector<PlanDatabase>& databases) {
    if (!pass_.possible() || order.purpose != CyclePurpose::kScheduled) return;
    const std::vector<uint16_t> covered = pass_.rowsets();
    const auto planned = std::count_if(rowsets.begin(), rowsets.end(), [](const auto& rowset) {
        return rowset.pass_period_us > 0;
    });
    // Switched off by pganalytics.plugins.
    if (static_cast<size_t>(planned) < covered.size()) return pass_.forget_all();
    // Other rows are wanted of those that were left out, or there is no longer room for all.
    if (std::exchange(pass_max_rows_, settings().max_rows) != settings().max_rows)
        pass_.forget_all();
    const uint64_t cpu_us = own_cpu_us();
    std::vector<uint32_t> oids;
    for (const PlanDatabase& database : databases)
        if (database.collected) oids.push_back(database.oid);
    pass_.begin(now_us, int64_t{settings().collect_interval} * 1000, oids);
    ++figures_.passes;
    FlatError error;
    if (!walk_statistics(pass_, error)) {
        ++figures_.passes_failed;
        pass_.forget_all();
        // A segment whose mapping failed once, for want of memory, is never mapped in this process.
        const bool stuck = std::strstr(error.message, "attach the same segment") != nullptr;
        stuck_passes_ = stuck ? stuck_passes_ + 1 : 0;
        log_limited(LOG, "statistics pass", "could not read the shared statistics", error.message,
                    "Every database is visited instead.");
        return;
    }
    stuck_passes_ = 0;
    pass_.end();
    for (PlanDatabase& database : databases) {
        database.by_pass = pass_.stands_in(database.oid);
        // Nothing tells where nobody counts; replay writes catalogs without counting.
        if (!pgstat_track_counts || RecoveryInProgress()) continue;
        database.marks = pass_.marks(database.oid);
        if (database.marks) database.marks->settings = static_cast<uint64_t>(PgReloadTime);
    }
    figures_.pass_cpu_us += own_cpu_us() - cpu_us;
}

// Once it is planned what is visited all the same: of that the visit brings everything.
void Cycle::queue_changes(const std::vector<PlanDatabase>& databases) {
    changes_.clear();
    in_changes_ = false;
    for (const PassGroup& group : pass_.changed()) {
        const auto database =
            std::find_if(databases.begin(), databases.end(),
                         [&](const PlanDatabase& one) { return one.oid == group.datid; });
        if (database == databases.end() || !database->by_pass ||
            plan_.is_planned(group.datid, group.rowset))
            continue;
        RowsetBegin begin;
        begin.rowset = group.rowset;
        begin.datid = group.datid;
        begin.datname = database->name;
        begin.time = announcement_->time;
        changes_.push_back(std::move(begin));
    }
}

// The next frame of them.
void Cycle::hand_over_changes() {
    RowsetBegin& begin = changes_.front();
    if (!in_changes_) {
        const PassGroup group = {begin.datid, begin.rowset};
        in_changes_ = true;
        begin.partial = !pass_.is_whole(group);
        pass_.send(group);
        visited_name_ = begin.datname;
        return take_frame(make_frame(begin));
    }
    FlatError error;
    const std::string_view rows = pass_.next_rows(
        kRowsFrameBytes,
        [&](StatisticsKind kind, uint32_t datid, std::span<const uint32_t> oids,
            CounterCopy* copies) { return look_up_statistics(kind, datid, oids, copies, error); });
    if (!rows.empty()) return take_frame(make_frame(FrameType::kRowsetRows, rows));
    RowsetEnd end;
    end.rows = pass_.sent_rows();
    end.complete = pass_.sent_all();
    if (!end.complete) {
        end.sqlstate = sqlstate_text(error.code);
        end.message = error.message;
    }
    take_frame(make_frame(end));
    in_changes_ = false;
    if (!changes_.empty()) changes_.pop_front();
}

void Cycle::need_complete(const std::vector<uint32_t>& databases) {
    for (const uint32_t datid : databases) pass_.send_whole(datid);
}

void Cycle::stop_changes() {
    pass_.send_all_whole();
    changes_.clear();
    in_changes_ = false;
    slices_.restart();
}

void Cycle::forget_passes() {
    stop_changes();
    pass_.forget_all();
}

}  // namespace pganalytics::pg

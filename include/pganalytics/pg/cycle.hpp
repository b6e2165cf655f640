// A cycle: plans it, sends visitors one after the other, passes their frames on to `ship`. Never
// holds a rowset, never waits. Runs in the collector.
//
//   idle --begin()--> visiting --plan empty, budget spent, or no worker slot--> idle (CycleEnd
//   sent) visiting --program lost--> draining (what comes is dropped) --visitor gone--> idle
//
// Before the first visit of a scheduled cycle one pass over the shared statistics is made (15 to
// 18): databases that it stands in for are visited for other rowsets only, and what changed in them
// goes to `ship` as partial readings; all of it, where `ship` does not know the rest.
//
// A rowset whose visitor ends in its midst is ended for it, as incomplete.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/own_registry.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/slice_rounds.hpp"
#include "pganalytics/core/visit_plan.hpp"
#include "pganalytics/pg/database_list.hpp"
#include "pganalytics/pg/program.hpp"
#include "pganalytics/pg/server_facts.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/statistics_pass.hpp"
#include "pganalytics/pg/visit.hpp"

namespace pganalytics::pg {

struct CycleOrder {
    CyclePurpose purpose = CyclePurpose::kScheduled;
    uint64_t request = 0;
    std::string plugin;  // preview: only this one; empty: all
};

class Cycle {
  public:
    // All live as long as the process.
    Cycle(Program& program, ShipBriefing& briefing, CollectorFigures& figures)
        : program_(program), briefing_(briefing), figures_(figures) {}

    bool active() const { return active_; }
    // Between rowsets other frames may be sent.
    bool in_rowset() const { return rowset_.has_value(); }

    // False where nothing could be planned (logged).
    bool begin(const CycleOrder& order, int64_t now_us);
    // All that can be done without waiting.
    void work(int64_t now_us);
    // When it wants to work at the latest, by the same clock.
    int64_t next_us() const;
    // The program that got the beginning is gone.
    void program_lost();
    // The program asks for all rows of these databases that passes stand in for.
    void need_complete(const std::vector<uint32_t>& databases);
    // A new run of the program knows nothing: everything is due again.
    void forget_reads();
    // What is known of passes may be incomplete: everything is read anew.
    void forget_passes();
    // Users' own rowsets that are switched off are tried again.
    void retry_own();
    // Passes over the statistics fail for good in this process; another one can make them.
    bool is_stuck() const { return stuck_passes_ >= kStuckPasses && !active_; }
    // Ends the visit, for the worker's own end.
    void stop();

  private:
    static constexpr int kStuckPasses = 3;
    struct OpenRowset {
        uint16_t number = 0;
        uint64_t bytes = 0;
        uint16_t own = 0;
        uint16_t slice = 0;
    };

    std::vector<PlanRowset> plan_rowsets(const CycleOrder& order);
    std::vector<uint16_t> due_host_rowsets(const CycleOrder& order, int64_t now_us);
    void plan(const CycleOrder& order, int64_t now_us);
    uint32_t main_database() const;
    void make_pass(const CycleOrder& order, int64_t now_us, const std::vector<PlanRowset>& rowsets,
                   std::vector<PlanDatabase>& databases);
    void queue_changes(const std::vector<PlanDatabase>& databases);
    void hand_over_changes();
    void stop_changes();
    bool start_next_visit(int64_t now_us);
    VisitOrder visit_order(const PlannedVisit& planned, int64_t now_us) const;
    void take_frame(std::string frame);
    void on_rowset_begin(std::string_view payload);
    void on_rowset_end(std::string_view payload);
    std::string rowset_name(const OpenRowset& open) const;
    void on_rowset_absent(std::string_view payload);
    // cycle_slices.cpp
    void order_slices(const PlannedVisit& planned, VisitOrder& order) const;
    void on_slice_read(const OpenRowset& open, const RowsetEnd& end);
    void on_too_long(uint16_t rowset);
    // cycle_own.cpp
    void watch_own_definitions(int64_t now_us, const std::optional<ChangeMarks>& marks);
    void plan_own(int64_t now_us, std::vector<PlanRowset>& rowsets) const;
    void order_own(const PlannedVisit& planned, VisitOrder& order) const;
    PlanRowset plan_of(const OwnState& state) const;
    void on_own_definitions(std::string_view payload);
    void on_own_read(uint16_t own, const RowsetEnd& end);
    void on_own_failed(const VisitReport& report);
    void send_own_definitions();
    void show_own();
    void announce();
    void pass_on(std::string frame);
    void close_rowset();
    void end_visit();
    WorkerCounts counts(int64_t now_us) const;
    void end(int64_t now_us);

    Program& program_;
    ShipBriefing& briefing_;
    CollectorFigures& figures_;

    VisitPlan plan_;
    Visit visit_;
    DatabaseList list_;
    CounterPass pass_ = make_counter_pass();
    SliceRounds slices_;
    OwnRegistry own_;
    bool own_known_ = false;                  // definitions were read
    bool own_selected_ = false;               // in this cycle
    uint64_t own_calls_ = 0;                  // seen in shared memory
    std::optional<uint64_t> own_mark_;        // of the main database's definitions
    int64_t own_changed_us_ = INT64_MIN / 2;  // when something may have changed definitions
    std::map<uint16_t, int64_t> host_read_;
    uint64_t number_ = 0;

    // of the cycle
    bool active_ = false;
    bool lost_ = false;
    std::optional<CycleBegin> announcement_;  // not yet sent
    std::optional<OpenRowset> rowset_;
    std::deque<RowsetBegin> changes_;  // partial readings to hand over, before all visits
    bool in_changes_ = false;          // the first of them has begun
    int stuck_passes_ = 0;             // in a row
    int pass_max_rows_ = 0;            // pganalytics.max_rows at the last pass
    std::string visited_name_;
    uint32_t visited_ = 0;
    int64_t started_us_ = 0;
    int64_t visit_started_us_ = 0;
    bool visits_over_ = false;
    bool dry_ = false;
};

}  // namespace pganalytics::pg

// What a cycle tells the program of the collector's own work. Runs in the collector.
#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kUnixOfPostgres =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

}  // namespace

WorkerCounts Cycle::counts(int64_t now_us) const {
    const int64_t since = plan_.waiting_since();
    WorkerCounts counts;
    counts.started_at = figures_.started_at + kUnixOfPostgres;
    counts.cycles = figures_.cycles;
    counts.cycles_skipped = figures_.cycles_late;
    counts.visits = figures_.visits;
    counts.visits_failed = figures_.visits_failed;
    counts.visits_cut = figures_.visits_cut;
    counts.visits_without_worker = figures_.no_worker_slot;
    counts.rowsets_read = figures_.rowsets_read;
    counts.rowsets_failed = figures_.rowsets_failed;
    counts.rowsets_dropped = figures_.rowsets_dropped;
    counts.rows = figures_.rows;
    counts.bytes = figures_.bytes;
    counts.worker_cpu_us = own_cpu_us();
    counts.visitors_cpu_us = figures_.visitor_cpu_us;
    counts.program_starts = program_.starts();
    counts.databases = figures_.databases_known;
    counts.databases_waiting = plan_.waiting();
    if (since != 0)
        counts.waiting_since = GetCurrentTimestamp() + kUnixOfPostgres - (now_us - since);
    return counts;
}

}  // namespace pganalytics::pg

// Plugin pganalytics: the collector about itself - what it costs, what it misses and what it can't
// see - and what the hub writes beside what it was sent, so that a reader can tell a row that did
// not change from one that is gone.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// --- what it costs

constexpr Column count_of(std::string_view name, std::string_view unit, std::string_view help) {
    return counter(name, unit, "", help);
}

constexpr Column kCollector[] = {
    moment("started_at", "", "start of the collector worker; its counters begin here"),
    moment("program_started_at", "", "start of the program; its counters begin here"),
    count_of("cycles", "cycles", "cycles begun by the worker"),
    count_of("cycles_skipped", "cycles", "cycles left out because the one before took too long"),
    count_of("visits", "visits", "visits to databases"),
    count_of("visits_failed", "visits", "visits that ended with an error"),
    count_of("visits_cut", "visits", "visits that left rowsets to the next: time or CPU was up"),
    count_of("visits_without_worker", "visits", "visits that found no free background worker"),
    count_of("rowsets_read", "rowsets", "rowsets read by visitors"),
    count_of("rowsets_failed", "rowsets", "of them with an error"),
    count_of("rowsets_dropped", "rowsets", "of them not taken by the program"),
    count_of("rows_read", "rows", "rows read by visitors"),
    count_of("bytes_read", "bytes", "bytes of these rows"),
    time_counter("worker_cpu_time", "", "CPU time of the worker"),
    time_counter("visitors_cpu_time", "", "CPU time of the visitors"),
    count_of("program_starts", "times", "starts of the program"),
    gauge("databases", kInt64, "databases", "", "databases it reads"),
    gauge("databases_waiting", kInt64, "databases", "",
          "of them left to the next cycle: the CPU budget was used up"),
    moment("waiting_since", "", "when the one that waits longest was due; null: none waits"),
    time_counter("program_cpu_time", "", "CPU time of the program"),
    gauge("program_memory", kInt64, "bytes", "", "private memory of the program"),
    gauge("filter_rows", kInt64, "rows", "", "rows whose last state the program remembers"),
    gauge("filter_memory", kInt64, "bytes", "", "memory of that"),
    count_of("rows_sent", "rows", "rows that went into snapshots: those that changed"),
    count_of("rowset_errors", "rowsets", "rowsets, the host's included, with an error"),
    count_of("host_readings_missed", "readings", "cycles whose file systems did not answer"),
    count_of("cycles_not_sent", "cycles", "cycles while there was no hub to send to"),
    gauge("queue_snapshots", kInt64, "snapshots", "", "snapshots that wait for the hub"),
    gauge("queue_bytes", kInt64, "bytes", "", "bytes of them"),
    gauge("queue_limit", kInt64, "bytes", "", "bytes at which the oldest are dropped"),
    moment("queue_oldest", "", "time of the oldest of them; null: none waits"),
    count_of("snapshots_dropped", "snapshots", "snapshots the queue had no room for"),
    count_of("rows_dropped", "rows", "rows of them"),
    count_of("snapshots_refused", "snapshots", "snapshots that the hub refused for good"),
    count_of("rows_refused", "rows", "rows of them"),
    count_of("requests", "requests", "requests to the hub"),
    count_of("snapshots_acknowledged", "snapshots", "snapshots that the hub has stored"),
    count_of("duplicates", "snapshots", "snapshots sent again because an answer was lost"),
    count_of("bytes_json", "bytes", "bytes of acknowledged snapshots before compression"),
    count_of("bytes_gzip", "bytes", "bytes of acknowledged snapshots as sent"),
    count_of("handshakes", "connections", "connections made to the hub"),
    count_of("token_renewals", "requests", "renewals of the token"),
    count_of("snapshots_damaged", "snapshots", "snapshots that could not be read back from disk"),
    count_of("rows_damaged", "rows", "rows of them, as far as is known"),
    gauge("spool_bytes", kInt64, "bytes", "", "disk used by the spool; null: there is none"),
    gauge("spool_aside_bytes", kInt64, "bytes", "", "of it for what is set aside"),
};

constexpr Column kLosses[] = {
    key("number", kInt64, "", "number of the episode since the spool was made"),
    label("reason", kText, "", "limit, no room, refused, damaged or other collector"),
    gauge("snapshots", kInt64, "snapshots", "", "snapshots that never came to the hub"),
    gauge("rows", kInt64, "rows", "", "rows of them, as far as is known"),
    gauge("bytes_json", kInt64, "bytes", "",
          "bytes of them before compression, as far as is known"),
    moment("first_time", "", "time of the first cycle of them; null: not known"),
    moment("last_time", "", "time of the last"),
    moment("began_at", "", "when the first of them was lost"),
    moment("ended_at", "", "when the last of them was lost"),
};

constexpr Column kRowsetsColumns[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\"); all databases together"),
    count_of("readings", "readings", "times it was read since program_started_at of the collector"),
    count_of("readings_incomplete", "readings", "of them cut by a limit, an error or a loss"),
    count_of("errors", "readings", "of them with an error"),
    count_of("rows", "rows", "rows read"),
    count_of("rows_sent", "rows", "of them sent: those that changed"),
    time_counter("read_time", "", "time spent reading"),
    time_counter("cpu_time", "", "CPU time spent reading"),
    moment("last_error_at", "", "when the last error came"),
    gauge("last_error", kText, "", "", "the last error; null: none"),
};

constexpr Column kLeftOut[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\")"),
    key("datid", kOid, "", "database it was read in; 0 for rowsets of the whole server"),
    label("datname", kText, "", "name of that database"),
    gauge("rows", kInt64, "rows", "", "rows left out at its last reading"),
    gauge("sums", kJson, "", "",
          "what they come to together, by column: counters, and gauges in bytes, blocks, pages and "
          "rows; with the rows that are there it makes the total, but it can fall when other rows "
          "are left out; empty where the rowset is read in slices"),
};

// --- what it can't see

// Whether a setting lets figures through, and what is missing where it does not.
#define PGANALYTICS_SETTING(name, visible, hides)                                                 \
    "SELECT 'setting'::pg_catalog.text AS kind, '" name                                           \
    "'::pg_catalog.text AS name,"                                                                 \
    " pg_catalog.current_setting('" name "', true) AS setting, pg_catalog.current_setting('" name \
    "', true) " visible " AS visible, '" hides "'::pg_catalog.text AS hides\nUNION ALL\n"
#define PGANALYTICS_SWITCH(name, hides) \
    PGANALYTICS_SETTING(name, "OPERATOR(pg_catalog.=) 'on'", hides)
#define PGANALYTICS_LEVEL(name, off, hides) \
    PGANALYTICS_SETTING(name, "OPERATOR(pg_catalog.<>) '" off "'", hides)

// A setting that this major does not have hides nothing. shared_preload_libraries can only be read
// with rights; who has none has no row of it.
constexpr Source kVisibilitySources[] = {
    {"FROM (\n" PGANALYTICS_SWITCH("track_activities", "what sessions do (pg_activity, pg_locks)")
         PGANALYTICS_SWITCH("track_counts",
                            "use of tables and indexes; autovacuum does not work without it")
             PGANALYTICS_SWITCH("track_io_timing", "time of reads and writes") PGANALYTICS_LEVEL(
                 "track_functions", "none", "calls and times of functions")
                 PGANALYTICS_LEVEL("compute_query_id", "off",
                                   "which statement a session runs, and pg_query_stats")
                     PGANALYTICS_SWITCH("track_wal_io_timing", "time of WAL writes and syncs")
                         PGANALYTICS_SWITCH("track_commit_timestamp",
                                            "when a transaction committed")
                             PGANALYTICS_SWITCH("track_cost_delay_timing", "time vacuum slept")
                                 PGANALYTICS_SWITCH("log_lock_waits", "waits for locks, in the log")
                                     PGANALYTICS_SWITCH("log_checkpoints",
                                                        "checkpoints, in the log")
                                         PGANALYTICS_LEVEL("log_autovacuum_min_duration", "-1",
                                                           "runs of autovacuum, in the log")
                                             PGANALYTICS_LEVEL("log_temp_files", "-1",
                                                               "temporary files, in the log")
                                                 R"(SELECT 'setting', s.name, s.setting,
       s.setting OPERATOR(pg_catalog.~) '(^|[^a-z_])pg_stat_statements($|[^a-z_])',
       'statements: pg_stat_statements has to be loaded, and created in one database'
FROM pg_catalog.pg_settings s
WHERE s.name OPERATOR(pg_catalog.=) 'shared_preload_libraries'
UNION ALL
SELECT 'right', 'pg_monitor', NULL, pg_catalog.pg_has_role(current_user, 'pg_monitor', 'USAGE'),
       'sessions, statements and settings of others; grant pg_monitor to pganalytics.role'
UNION ALL
SELECT 'right', 'CONNECT ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(d.datname), NULL,
       pg_catalog.has_database_privilege(d.oid, 'CONNECT'),
       'everything in this database; grant CONNECT on it to pganalytics.role'
FROM pg_catalog.pg_database d WHERE d.datallowconn AND NOT d.datistemplate) v
WHERE v.visible IS NOT NULL)",
     kEver},
};

#undef PGANALYTICS_SETTING
#undef PGANALYTICS_SWITCH
#undef PGANALYTICS_LEVEL

constexpr Column kVisibility[] = {
    key("kind", kText, "v.kind", "setting or right"),
    key("name", kText, "v.name", "the setting, or what the collector's role has to have"),
    gauge("setting", kText, "", "v.setting", "the setting's value"),
    gauge("visible", kBool, "", "v.visible", "false: it hides something"),
    label("hides", kText, "v.hides", "what is not seen while it is false"),
};

// --- what the hub adds

constexpr Column kGone[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\")"),
    key("datid", kOid, "", "database the rows were of; 0 for rowsets of the whole server"),
    key("key", kJson, "", "key columns and their values"),
    label("left_out", kBool, "",
          "true: it may be there still, among the rows that are left out (pganalytics.left_out)"),
};

constexpr Column kFulls[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\")"),
    key("datid", kOid, "", "database it was read in; 0 for rowsets of the whole server"),
    label("datname", kText, "", "name of that database"),
    gauge("complete", kBool, "", "",
          "whether it held every row: what is not in it, and older, is gone"),
    gauge("left_out", kInt64, "rows", "",
          "rows that were left out of it, as too many; what is not in it, and older, is gone or "
          "among these; null: none"),
    label(
        "cycle", kUuid, "",
        "where its cycle was cut into several pushes: which; it counts when all of them are here"),
};

constexpr Rowset kRowsets[] = {
    {"pganalytics",
     "collector",
     Scope::kProgram,
     0,
     {},
     kCollector,
     "the collector itself: what it costs, what it reads and sends, what it lost"},
    {"pganalytics",
     "losses",
     Scope::kProgram,
     0,
     {},
     kLosses,
     "what was collected and never came to the hub: the last 32 episodes, by reason"},
    {"pganalytics",
     "rowsets",
     Scope::kProgram,
     300,
     {},
     kRowsetsColumns,
     "what each rowset costs, and what went wrong with it"},
    {"pganalytics",
     "left_out",
     Scope::kProgram,
     0,
     {},
     kLeftOut,
     "rowsets with more rows than pganalytics.max_rows: the busiest rows are there, the others "
     "counted and summed up here"},
    {"pganalytics", "visibility", Scope::kCluster, 600, kVisibilitySources, kVisibility,
     "which settings and missing rights hide something from the collector"},
    {"pganalytics",
     "gone",
     Scope::kHub,
     0,
     {},
     kGone,
     "rows that are no longer there, by key, at the time the collector saw it"},
    {"pganalytics",
     "fulls",
     Scope::kHub,
     0,
     {},
     kFulls,
     "rowsets that arrived whole: the state before their time is replaced"},
};

}  // namespace

std::span<const Rowset> pganalytics_own() { return kRowsets; }

}  // namespace pganalytics::parts

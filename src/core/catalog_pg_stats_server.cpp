// Plugin pg_stats, rowset server: one row about the server as a whole. Its counters come from four
// views with a reset time each; their columns keep the names they had when they were in
// pg_stat_bgwriter together (until 16), because pg_stat_checkpointer's (num_timed, write_time) say
// nothing outside of their view.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// One row s with what several columns need. OFFSET 0 keeps it from being merged into the query, so
// that the role of the server is asked once and every CASE below agrees on it.
//
// The next transaction id in 64 bits: the upper end of a snapshot has all of them but stands at the
// newest id that has ended; age() knows the very next one, in 32 bits, and is asked after the
// snapshot was taken, so it is ahead by less than 2^31.
#define PGANALYTICS_SERVER_ROW                                                         \
    "FROM (SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,"                      \
    " pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())"                   \
    "::pg_catalog.text::pg_catalog.int8 AS xmax,"                                      \
    " (pg_catalog.age('3'::pg_catalog.xid)::pg_catalog.int8 OPERATOR(pg_catalog.+) 3)" \
    " OPERATOR(pg_catalog.&) 4294967295 AS next_low OFFSET 0) s\n"                     \
    "CROSS JOIN pg_catalog.pg_control_checkpoint() k\n"                                \
    "CROSS JOIN pg_catalog.pg_control_recovery() r\n"                                  \
    "CROSS JOIN pg_catalog.pg_stat_archiver a\n"                                       \
    "CROSS JOIN pg_catalog.pg_stat_bgwriter b"

constexpr Source kSources[] = {
    {PGANALYTICS_SERVER_ROW, until(13)},
    {PGANALYTICS_SERVER_ROW "\nCROSS JOIN pg_catalog.pg_stat_wal w", between(14, 16)},
    {PGANALYTICS_SERVER_ROW "\nCROSS JOIN pg_catalog.pg_stat_wal w"
                            "\nCROSS JOIN pg_catalog.pg_stat_checkpointer c",
     since(17)},
};

#undef PGANALYTICS_SERVER_ROW

constexpr Column kServer[] = {
    gauge("server_version_num", kInt64, "",
          "pg_catalog.current_setting('server_version_num')::pg_catalog.int8",
          "version as a number"),
    label("server_version", kText, "pg_catalog.current_setting('server_version')",
          "version as text"),
    moment("postmaster_start_time", "pg_catalog.pg_postmaster_start_time()",
           "when the server was started"),
    moment("conf_load_time", "pg_catalog.pg_conf_load_time()",
           "when the configuration was loaded last"),
    moment("clock_timestamp", "pg_catalog.clock_timestamp()",
           "the server's clock at the reading: what moments and start times are compared with"),
    gauge("next_xid", kInt64, "",
          "CASE WHEN (s.next_low OPERATOR(pg_catalog.-) s.xmax)"
          " OPERATOR(pg_catalog.&) 4294967295 OPERATOR(pg_catalog.<) 2147483648"
          " THEN s.xmax OPERATOR(pg_catalog.+) ((s.next_low OPERATOR(pg_catalog.-) s.xmax)"
          " OPERATOR(pg_catalog.&) 4294967295) ELSE s.xmax END",
          "the next transaction id to be given, with its epoch (64 bits)"),
    gauge("next_multixact_id", kInt64, "",
          "(pg_catalog.mxid_age('1'::pg_catalog.xid)::pg_catalog.int8 OPERATOR(pg_catalog.+) 1)"
          " OPERATOR(pg_catalog.&) 4294967295",
          "the next multixact id to be given (32 bits, as the server has it)"),
    gauge("in_recovery", kBool, "", "s.in_recovery", "whether the server is a standby"),
    gauge("timeline_id", kInt64, "",
          "CASE WHEN s.in_recovery THEN"
          " GREATEST(k.timeline_id, r.min_recovery_end_timeline)::pg_catalog.int8"
          " ELSE ('x' OPERATOR(pg_catalog.||)"
          " pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))"
          "::pg_catalog.bit(32)::pg_catalog.int8 END",
          "timeline written; on a standby the one its recovery has reached on disk"),
    gauge("current_wal_lsn", kLsn, "",
          "CASE WHEN NOT s.in_recovery THEN pg_catalog.pg_current_wal_lsn() END",
          "WAL written up to here (primary)"),
    gauge("current_wal_insert_lsn", kLsn, "",
          "CASE WHEN NOT s.in_recovery THEN pg_catalog.pg_current_wal_insert_lsn() END",
          "WAL inserted up to here (primary)"),
    gauge("current_wal_flush_lsn", kLsn, "",
          "CASE WHEN NOT s.in_recovery THEN pg_catalog.pg_current_wal_flush_lsn() END",
          "WAL flushed up to here (primary)"),
    gauge("last_wal_receive_lsn", kLsn, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_wal_receive_lsn() END",
          "WAL received and flushed by streaming up to here (standby)"),
    gauge("last_wal_replay_lsn", kLsn, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_wal_replay_lsn() END",
          "WAL replayed up to here (standby)"),
    moment("last_xact_replay_timestamp",
           "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_xact_replay_timestamp() END",
           "when the last replayed transaction was committed on the primary (standby)"),
    gauge("wal_replay_pause_state", kText, "",
          "CASE WHEN s.in_recovery THEN CASE WHEN pg_catalog.pg_is_wal_replay_paused()"
          " THEN 'paused' ELSE 'not paused' END::pg_catalog.text END",
          "whether replay is paused (standby)", until(13)),
    gauge("wal_replay_pause_state", kText, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_get_wal_replay_pause_state() END",
          "whether replay is paused (standby)", since(14)),
    gauge("checkpoint_lsn", kLsn, "", "k.checkpoint_lsn",
          "where the last checkpoint or restartpoint record is"),
    gauge("redo_lsn", kLsn, "", "k.redo_lsn", "where recovery would begin"),
    moment("checkpoint_time", "k.checkpoint_time", "when the last checkpoint was made"),
    counter("checkpoints_timed", "checkpoints", "b.checkpoints_timed",
            "checkpoints because of checkpoint_timeout", until(16)),
    counter("checkpoints_timed", "checkpoints", "c.num_timed",
            "checkpoints because of checkpoint_timeout", since(17)),
    counter("checkpoints_req", "checkpoints", "b.checkpoints_req", "checkpoints asked for",
            until(16)),
    counter("checkpoints_req", "checkpoints", "c.num_requested", "checkpoints asked for",
            since(17)),
    counter("checkpoints_done", "checkpoints", "c.num_done",
            "checkpoints really made (num_done of pg_stat_checkpointer)", since(18)),
    counter("restartpoints_timed", "checkpoints", "c.restartpoints_timed",
            "restartpoints because of checkpoint_timeout", since(17)),
    counter("restartpoints_req", "checkpoints", "c.restartpoints_req", "restartpoints asked for",
            since(17)),
    counter("restartpoints_done", "checkpoints", "c.restartpoints_done",
            "restartpoints really made", since(17)),
    time_counter("checkpoint_write_time", "b.checkpoint_write_time",
                 "time of checkpoints spent writing files", until(16)),
    time_counter("checkpoint_write_time", "c.write_time",
                 "time of checkpoints and restartpoints spent writing files", since(17)),
    time_counter("checkpoint_sync_time", "b.checkpoint_sync_time",
                 "time of checkpoints spent syncing files", until(16)),
    time_counter("checkpoint_sync_time", "c.sync_time",
                 "time of checkpoints and restartpoints spent syncing files", since(17)),
    counter("buffers_checkpoint", "buffers", "b.buffers_checkpoint",
            "buffers written by checkpoints", until(16)),
    counter("buffers_checkpoint", "buffers", "c.buffers_written",
            "buffers written by checkpoints and restartpoints", since(17)),
    counter("slru_written", "buffers", "c.slru_written",
            "SLRU buffers written by checkpoints and restartpoints", since(18)),
    moment("checkpointer_stats_reset", "b.stats_reset",
           "since when the checkpoints' counters count", until(16)),
    moment("checkpointer_stats_reset", "c.stats_reset",
           "since when the checkpoints' counters count", since(17)),
    counter("buffers_clean", "buffers", "b.buffers_clean",
            "buffers written by the background writer"),
    counter("maxwritten_clean", "rounds", "b.maxwritten_clean",
            "rounds the background writer stopped because it had written too much"),
    counter("buffers_backend", "buffers", "b.buffers_backend", "buffers written by sessions",
            until(16)),
    counter("buffers_backend_fsync", "calls", "b.buffers_backend_fsync",
            "fsync calls sessions had to make themselves", until(16)),
    counter("buffers_alloc", "buffers", "b.buffers_alloc", "buffers allocated"),
    moment("bgwriter_stats_reset", "b.stats_reset",
           "since when the background writer's counters count"),
    counter("wal_records", "records", "w.wal_records", "WAL records made", since(14)),
    counter("wal_fpi", "records", "w.wal_fpi", "full page images in WAL", since(14)),
    counter("wal_bytes", "bytes", "LEAST(w.wal_bytes, 9223372036854775807)::pg_catalog.int8",
            "bytes of WAL made", since(14)),
    counter("wal_fpi_bytes", "bytes",
            "LEAST(w.wal_fpi_bytes, 9223372036854775807)::pg_catalog.int8",
            "bytes of full page images in WAL", since(19)),
    counter("wal_buffers_full", "writes", "w.wal_buffers_full",
            "writes of WAL because its buffers were full", since(14)),
    counter("wal_write", "writes", "w.wal_write", "writes of WAL buffers to disk", between(14, 17)),
    counter("wal_sync", "calls", "w.wal_sync", "syncs of WAL files", between(14, 17)),
    time_counter("wal_write_time", "w.wal_write_time",
                 "time spent writing WAL; 0 while track_wal_io_timing is off", between(14, 17)),
    time_counter("wal_sync_time", "w.wal_sync_time",
                 "time spent syncing WAL; 0 while track_wal_io_timing is off", between(14, 17)),
    moment("wal_stats_reset", "w.stats_reset", "since when WAL's counters count", since(14)),
    counter("archived_count", "files", "a.archived_count", "WAL files archived"),
    label("last_archived_wal", kText, "a.last_archived_wal", "last WAL file archived"),
    moment("last_archived_time", "a.last_archived_time", "when it was archived"),
    counter("failed_count", "files", "a.failed_count", "failed attempts to archive a WAL file"),
    label("last_failed_wal", kText, "a.last_failed_wal", "WAL file of the last failed attempt"),
    moment("last_failed_time", "a.last_failed_time", "when that attempt failed"),
    moment("archiver_stats_reset", "a.stats_reset", "since when the archiver's counters count"),
};

constexpr Rowset kRowsets[] = {
    {"pg_stats", "server", Scope::kCluster, 0, kSources, kServer,
     "the server: version, start, next transaction id, role, WAL positions, checkpoints, "
     "background "
     "writer, WAL, archiver"},
};

}  // namespace

std::span<const Rowset> pg_stats_server() { return kRowsets; }

}  // namespace pganalytics::parts

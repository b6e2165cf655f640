// Plugin pg_replication, recovery: timelines, how far a standby has come, what it reads ahead.
// Queries that recovery cancelled are counted by database (pg_stats.databases, conflicts and
// confl_*), the settings that rule it are in pg_settings.settings.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// One row s, so that the role of the server is asked once (see pg_stats.server). A null position
// of the control file is 0/0 there, a null timeline 0.
#define PGANALYTICS_RECOVERY_ROW                                               \
    "FROM (SELECT pg_catalog.pg_is_in_recovery() AS in_recovery OFFSET 0) s\n" \
    "CROSS JOIN pg_catalog.pg_control_checkpoint() k\n"                        \
    "CROSS JOIN pg_catalog.pg_control_recovery() r\n"                          \
    "LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON true"

constexpr Source kRecoverySources[] = {
    {PGANALYTICS_RECOVERY_ROW, until(18)},
    {PGANALYTICS_RECOVERY_ROW "\nLEFT JOIN pg_catalog.pg_stat_recovery v ON true", since(19)},
};

#undef PGANALYTICS_RECOVERY_ROW

#define PGANALYTICS_POSITION(lsn) \
    "CASE WHEN " lsn " OPERATOR(pg_catalog.<>) '0/0'::pg_catalog.pg_lsn THEN " lsn " END"

constexpr Column kRecovery[] = {
    gauge("in_recovery", kBool, "", "s.in_recovery", "whether the server is a standby"),
    gauge("timeline_id", kInt64, "",
          "CASE WHEN s.in_recovery THEN"
          " GREATEST(k.timeline_id, r.min_recovery_end_timeline)::pg_catalog.int8"
          " ELSE ('x' OPERATOR(pg_catalog.||)"
          " pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))"
          "::pg_catalog.bit(32)::pg_catalog.int8 END",
          "timeline written; on a standby the one its recovery has reached on disk"),
    gauge("checkpoint_timeline_id", kInt64, "", "k.timeline_id::pg_catalog.int8",
          "timeline of the last checkpoint or restartpoint"),
    gauge("prev_timeline_id", kInt64, "", "k.prev_timeline_id::pg_catalog.int8",
          "the timeline before it: another one in the checkpoint that ended a recovery"),
    gauge("received_tli", kInt64, "", "w.received_tli::pg_catalog.int8",
          "timeline of the last WAL the receiver flushed; null without a receiver"),
    gauge("wal_replay_pause_state", kText, "",
          "CASE WHEN s.in_recovery THEN CASE WHEN pg_catalog.pg_is_wal_replay_paused()"
          " THEN 'paused' ELSE 'not paused' END::pg_catalog.text END",
          "not paused, pause requested or paused (standby)", until(13)),
    gauge("wal_replay_pause_state", kText, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_get_wal_replay_pause_state() END",
          "not paused, pause requested or paused (standby)", since(14)),
    gauge("last_wal_receive_lsn", kLsn, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_wal_receive_lsn() END",
          "WAL received and flushed by streaming up to here; null where it comes from an archive"),
    gauge("last_wal_replay_lsn", kLsn, "",
          "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_wal_replay_lsn() END",
          "WAL replayed up to here (standby)"),
    moment("last_xact_replay_timestamp",
           "CASE WHEN s.in_recovery THEN pg_catalog.pg_last_xact_replay_timestamp() END",
           "when the last replayed transaction was committed on the primary (standby)"),
    gauge("min_recovery_end_lsn", kLsn, "", PGANALYTICS_POSITION("r.min_recovery_end_lsn"),
          "recovery must get here before the data is consistent; null on a primary"),
    gauge("min_recovery_end_timeline", kInt64, "",
          "CASE WHEN r.min_recovery_end_timeline OPERATOR(pg_catalog.<>) 0"
          " THEN r.min_recovery_end_timeline::pg_catalog.int8 END",
          "timeline of that position"),
    gauge("backup_start_lsn", kLsn, "", PGANALYTICS_POSITION("r.backup_start_lsn"),
          "where the base backup began that it starts from; null once its end was reached"),
    gauge("backup_end_lsn", kLsn, "", PGANALYTICS_POSITION("r.backup_end_lsn"),
          "where that backup ended, if it was taken from a standby"),
    gauge("promote_triggered", kBool, "", "v.promote_triggered",
          "whether a promotion was asked for", since(19)),
    gauge("last_replayed_read_lsn", kLsn, "", "v.last_replayed_read_lsn",
          "where the last replayed record begins", since(19)),
    gauge("last_replayed_end_lsn", kLsn, "", "v.last_replayed_end_lsn",
          "where the last replayed record ends", since(19)),
    gauge("last_replayed_tli", kInt64, "", "v.last_replayed_tli::pg_catalog.int8",
          "timeline of the last replayed record", since(19)),
    gauge("replay_end_lsn", kLsn, "", "v.replay_end_lsn", "where the record being replayed ends",
          since(19)),
    gauge("replay_end_tli", kInt64, "", "v.replay_end_tli::pg_catalog.int8",
          "timeline of the record being replayed", since(19)),
    moment("current_chunk_start_time", "v.current_chunk_start_time",
           "when replay of the WAL at hand began", since(19)),
};

#undef PGANALYTICS_POSITION

constexpr Source kPrefetchSources[] = {
    {"FROM pg_catalog.pg_stat_recovery_prefetch s", since(15)},
};

constexpr Column kPrefetch[] = {
    counter("prefetch", "blocks", "s.prefetch", "blocks prefetched, because they were not cached"),
    counter("hit", "blocks", "s.hit", "blocks not prefetched, because they were cached"),
    counter("skip_init", "blocks", "s.skip_init",
            "blocks not prefetched, because they would be zeroed"),
    counter("skip_new", "blocks", "s.skip_new",
            "blocks not prefetched, because they were not there"),
    counter("skip_fpw", "blocks", "s.skip_fpw",
            "blocks not prefetched, because the WAL has them whole"),
    counter("skip_rep", "blocks", "s.skip_rep",
            "blocks not prefetched, because they just had been"),
    gauge("wal_distance", kInt64, "bytes", "s.wal_distance::pg_catalog.int8",
          "bytes it looks ahead now"),
    gauge("block_distance", kInt64, "blocks", "s.block_distance::pg_catalog.int8",
          "blocks it looks ahead now"),
    gauge("io_depth", kInt64, "operations", "s.io_depth::pg_catalog.int8",
          "reads begun and not known to have ended"),
    moment("stats_reset", "s.stats_reset", "since when its counters count"),
};

constexpr Rowset kRowsets[] = {
    {"pg_replication", "recovery", Scope::kCluster, 0, kRecoverySources, kRecovery,
     "one row: timelines, and how far recovery has come"},
    {"pg_replication", "recovery_prefetch", Scope::kCluster, 0, kPrefetchSources, kPrefetch,
     "one row: what recovery reads ahead of replay (15+)"},
};

}  // namespace

std::span<const Rowset> pg_replication_recovery() { return kRowsets; }

}  // namespace pganalytics::parts

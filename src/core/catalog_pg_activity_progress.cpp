// Plugin pg_activity: maintenance in progress, as PostgreSQL's progress views have it, one rowset a
// view. The views answer for all databases; names of relations are those of pg_stats.relations.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column kPid = key("pid", kInt64, "p.pid::pg_catalog.int8", "process id");
constexpr Column kDatid = label("datid", kOid, "p.datid", "OID of its database");
constexpr Column kDatname =
    label("datname", kText, "p.datname::pg_catalog.text", "name of its database");
constexpr Column kRelid = label("relid", kOid, "p.relid", "OID of the table");

constexpr Column blocks(std::string_view name, std::string_view sql, std::string_view help) {
    return gauge(name, kInt64, "blocks", sql, help);
}
constexpr Column number(std::string_view name, std::string_view unit, std::string_view sql,
                        std::string_view help, Versions versions = kEver) {
    return gauge(name, kInt64, unit, sql, help, versions);
}
constexpr Column phase(std::string_view help) { return gauge("phase", kText, "", "p.phase", help); }

constexpr Source kVacuumSources[] = {{"FROM pg_catalog.pg_stat_progress_vacuum p", since(13)}};
constexpr Column kVacuum[] = {
    kPid,
    kDatid,
    kDatname,
    kRelid,
    phase("what it does now: scanning heap, vacuuming indexes and others"),
    blocks("heap_blks_total", "p.heap_blks_total", "blocks of the table when it began"),
    blocks("heap_blks_scanned", "p.heap_blks_scanned", "blocks scanned, skipped ones included"),
    blocks("heap_blks_vacuumed", "p.heap_blks_vacuumed", "blocks vacuumed"),
    number("index_vacuum_count", "rounds", "p.index_vacuum_count", "rounds over the indexes done"),
    number("max_dead_tuples", "rows", "p.max_dead_tuples",
           "dead rows it can remember before it must go over the indexes", until(16)),
    number("num_dead_tuples", "rows", "p.num_dead_tuples",
           "dead rows remembered since the last round over the indexes", until(16)),
    number("max_dead_tuple_bytes", "bytes", "p.max_dead_tuple_bytes",
           "memory for dead rows before it must go over the indexes", since(17)),
    number("dead_tuple_bytes", "bytes", "p.dead_tuple_bytes",
           "memory used for dead rows since the last round over the indexes", since(17)),
    number("num_dead_item_ids", "rows", "p.num_dead_item_ids",
           "dead rows remembered since the last round over the indexes", since(17)),
    number("indexes_total", "indexes", "p.indexes_total", "indexes of this round", since(17)),
    number("indexes_processed", "indexes", "p.indexes_processed", "indexes of this round done",
           since(17)),
    gauge("delay_time", kFloat64, "milliseconds", "p.delay_time",
          "time slept because of its cost limit; 0 while track_cost_delay_timing is off",
          since(18)),
    label("mode", kText, "p.mode", "normal, aggressive or failsafe", since(19)),
    label("started_by", kText, "p.started_by", "manual, autovacuum or autovacuum_wraparound",
          since(19)),
};

constexpr Source kAnalyzeSources[] = {{"FROM pg_catalog.pg_stat_progress_analyze p", since(13)}};
constexpr Column kAnalyze[] = {
    kPid,
    kDatid,
    kDatname,
    kRelid,
    phase("what it does now: acquiring sample rows, computing statistics and others"),
    blocks("sample_blks_total", "p.sample_blks_total", "blocks to be sampled"),
    blocks("sample_blks_scanned", "p.sample_blks_scanned", "blocks sampled"),
    number("ext_stats_total", "objects", "p.ext_stats_total", "extended statistics to compute"),
    number("ext_stats_computed", "objects", "p.ext_stats_computed", "extended statistics computed"),
    number("child_tables_total", "tables", "p.child_tables_total", "child tables to sample"),
    number("child_tables_done", "tables", "p.child_tables_done", "child tables sampled"),
    gauge("current_child_table_relid", kOid, "",
          "CASE WHEN p.current_child_table_relid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
          " THEN p.current_child_table_relid END",
          "OID of the child table being sampled; null where there is none"),
    gauge("delay_time", kFloat64, "milliseconds", "p.delay_time",
          "time slept because of its cost limit; 0 while track_cost_delay_timing is off",
          since(18)),
    label("started_by", kText, "p.started_by", "manual or autovacuum", since(19)),
};

constexpr Source kCreateIndexSources[] = {
    {"FROM pg_catalog.pg_stat_progress_create_index p", since(13)}};
constexpr Column kCreateIndex[] = {
    kPid,
    kDatid,
    kDatname,
    kRelid,
    label("index_relid", kOid,
          "CASE WHEN p.index_relid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
          " THEN p.index_relid END",
          "OID of the index; null while it is built not concurrently"),
    label("command", kText, "p.command",
          "CREATE INDEX, REINDEX, each with or without CONCURRENTLY"),
    phase("what it does now: building index, waiting for old snapshots and others"),
    number("lockers_total", "sessions", "p.lockers_total", "sessions to wait for in this phase"),
    number("lockers_done", "sessions", "p.lockers_done", "of these waited for already"),
    gauge("current_locker_pid", kInt64, "",
          "CASE WHEN p.current_locker_pid OPERATOR(pg_catalog.<>) 0 THEN p.current_locker_pid END",
          "process it waits for now; null where it waits for none"),
    blocks("blocks_total", "p.blocks_total", "blocks to process in this phase"),
    blocks("blocks_done", "p.blocks_done", "blocks processed in this phase"),
    number("tuples_total", "rows", "p.tuples_total", "rows to process in this phase"),
    number("tuples_done", "rows", "p.tuples_done", "rows processed in this phase"),
    number("partitions_total", "tables", "p.partitions_total", "partitions to index"),
    number("partitions_done", "tables", "p.partitions_done", "partitions indexed"),
};

constexpr Source kClusterSources[] = {
    {"FROM pg_catalog.pg_stat_progress_cluster p", until(18)},
    {"FROM pg_catalog.pg_stat_progress_repack p", since(19)},
};
constexpr Column kCluster[] = {
    kPid,
    kDatid,
    kDatname,
    kRelid,
    label("command", kText, "p.command", "CLUSTER, VACUUM FULL or REPACK (19)"),
    phase("what it does now: seq scanning heap, sorting tuples, rebuilding index and others"),
    label("cluster_index_relid", kOid,
          "CASE WHEN p.cluster_index_relid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
          " THEN p.cluster_index_relid END",
          "OID of the index whose order is followed; null without one", until(18)),
    label("cluster_index_relid", kOid,
          "CASE WHEN p.repack_index_relid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
          " THEN p.repack_index_relid END",
          "OID of the index whose order is followed; null without one", since(19)),
    number("heap_tuples_scanned", "rows", "p.heap_tuples_scanned", "rows read"),
    number("heap_tuples_written", "rows", "p.heap_tuples_written", "rows written", until(18)),
    number("heap_tuples_written", "rows",
           "p.heap_tuples_inserted OPERATOR(pg_catalog.+) p.heap_tuples_updated", "rows written",
           since(19)),
    number("heap_tuples_deleted", "rows", "p.heap_tuples_deleted",
           "rows deleted while it caught up with changes", since(19)),
    blocks("heap_blks_total", "p.heap_blks_total", "blocks of the table"),
    blocks("heap_blks_scanned", "p.heap_blks_scanned", "blocks read"),
    number("index_rebuild_count", "indexes", "p.index_rebuild_count", "indexes built anew"),
};

constexpr Source kBasebackupSources[] = {
    {"FROM pg_catalog.pg_stat_progress_basebackup p", since(13)}};
constexpr Column kBasebackup[] = {
    kPid,
    phase(
        "what it does now: waiting for checkpoint to finish, streaming database files and others"),
    number("backup_total", "bytes", "p.backup_total",
           "size of all that is to be sent, estimated; null while unknown"),
    number("backup_streamed", "bytes", "p.backup_streamed", "sent"),
    number("tablespaces_total", "tablespaces", "p.tablespaces_total", "tablespaces to send"),
    number("tablespaces_streamed", "tablespaces", "p.tablespaces_streamed", "tablespaces sent"),
    label("backup_type", kText, "p.backup_type", "full or incremental", since(19)),
};

constexpr Source kCopySources[] = {{"FROM pg_catalog.pg_stat_progress_copy p", since(14)}};
constexpr Column kCopy[] = {
    kPid,
    kDatid,
    kDatname,
    label("relid", kOid,
          "CASE WHEN p.relid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN p.relid END",
          "OID of the table; null for the rows of a query"),
    label("command", kText, "p.command", "COPY FROM or COPY TO"),
    label("type", kText, "p.type", "FILE, PROGRAM, PIPE or CALLBACK"),
    number("bytes_processed", "bytes", "p.bytes_processed", "bytes copied"),
    gauge("bytes_total", kInt64, "bytes",
          "CASE WHEN p.bytes_total OPERATOR(pg_catalog.<>) 0 THEN p.bytes_total END",
          "size of the file; null where it comes from no file"),
    number("tuples_processed", "rows", "p.tuples_processed", "rows copied"),
    number("tuples_excluded", "rows", "p.tuples_excluded", "rows left out by WHERE"),
    number("tuples_skipped", "rows", "p.tuples_skipped", "rows left out because of ON_ERROR",
           since(17)),
};

constexpr Rowset kRowsets[] = {
    shown_by(Presence::kVacuum,
             {"pg_activity", "progress_vacuum", Scope::kCluster, 0, kVacuumSources, kVacuum,
              "VACUUM in progress, autovacuum included, FULL not"}),
    shown_by(Presence::kAnalyze,
             {"pg_activity", "progress_analyze", Scope::kCluster, 0, kAnalyzeSources, kAnalyze,
              "ANALYZE in progress, by autovacuum too"}),
    shown_by(Presence::kCreateIndex,
             {"pg_activity", "progress_create_index", Scope::kCluster, 0, kCreateIndexSources,
              kCreateIndex, "CREATE INDEX and REINDEX in progress"}),
    shown_by(Presence::kCluster,
             {"pg_activity", "progress_cluster", Scope::kCluster, 0, kClusterSources, kCluster,
              "CLUSTER, VACUUM FULL and REPACK in progress"}),
    shown_by(Presence::kBasebackup, {"pg_activity", "progress_basebackup", Scope::kCluster, 0,
                                     kBasebackupSources, kBasebackup, "base backups in progress"}),
    shown_by(Presence::kCopy, {"pg_activity", "progress_copy", Scope::kCluster, 0, kCopySources,
                               kCopy, "COPY in progress (14 and later)"}),
};

}  // namespace

std::span<const Rowset> pg_activity_progress() { return kRowsets; }

}  // namespace pganalytics::parts

// Plugin pg_stats: databases, tables, indexes, relations and the server as a whole.
//
// How these queries are written:
// - Counters of relations come from pg_class and pg_stat_get_*(), one call a value: a quarter of
//   the cost of the pg_stat_all_* views, which join and aggregate. What those views add up from
//   several relations (idx_scan of a table, blocks of its indexes and its TOAST table) is delivered
//   once, on the relation it belongs to, and added up by the hub's views.
// - Blocks are delivered as fetched and hit, not as read = fetched - hit: each call sees the
//   statistics of its own moment, so a difference of two could go down, and a counter must not.
// - Nothing here locks a relation, opens one or looks at its files: a table under ACCESS EXCLUSIVE
//   is read like any other, and no relation cache entry stays behind.
// - Temporary relations are left out: they come and go with sessions, their names and identifiers
//   say nothing a minute later, and each would be a new series in the hub.
#include "catalog_parts.hpp"
#include "pganalytics/core/relation_expressions.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Source kDatabasesSources[] = {{R"(FROM pg_catalog.pg_stat_database s
LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.datid
LEFT JOIN pg_catalog.pg_stat_database_conflicts k ON k.datid OPERATOR(pg_catalog.=) s.datid
CROSS JOIN LATERAL (
    SELECT pg_catalog.pg_stat_get_db_blocks_fetched(s.datid) AS before,
           pg_catalog.pg_stat_get_db_blocks_hit(s.datid) AS hit,
           pg_catalog.pg_stat_get_db_blocks_fetched(s.datid) AS after
    OFFSET 0) b)",
                                         since(13)}};

constexpr Column kDatabases[] = {
    key("datid", kOid, "s.datid", "OID of the database; 0 for objects shared by all of them"),
    label("datname", kText, "s.datname::pg_catalog.text",
          "name of the database; null for the shared objects"),
    gauge("numbackends", kInt64, "sessions", "s.numbackends::pg_catalog.int8",
          "sessions connected now"),
    counter("xact_commit", "transactions", "s.xact_commit", "transactions committed"),
    counter("xact_rollback", "transactions", "s.xact_rollback", "transactions rolled back"),
    counter("blks_read", "blocks",
            "CASE WHEN b.before OPERATOR(pg_catalog.=) b.after"
            " THEN b.before OPERATOR(pg_catalog.-) b.hit END",
            "blocks read from outside shared buffers; null where sessions reported in mid-read"),
    counter("blks_hit", "blocks", "b.hit", "blocks found in shared buffers"),
    counter("tup_returned", "rows", "s.tup_returned",
            "rows returned by sequential scans and index entries returned by index scans"),
    counter("tup_fetched", "rows", "s.tup_fetched", "live rows fetched by index scans"),
    counter("tup_inserted", "rows", "s.tup_inserted", "rows inserted"),
    counter("tup_updated", "rows", "s.tup_updated", "rows updated"),
    counter("tup_deleted", "rows", "s.tup_deleted", "rows deleted"),
    counter("conflicts", "queries", "s.conflicts",
            "queries cancelled by conflicts with recovery (on a standby)"),
    counter("confl_tablespace", "queries", "k.confl_tablespace",
            "queries cancelled by dropped tablespaces (on a standby)"),
    counter("confl_lock", "queries", "k.confl_lock",
            "queries cancelled by lock timeouts (on a standby)"),
    counter("confl_snapshot", "queries", "k.confl_snapshot",
            "queries cancelled by old snapshots (on a standby)"),
    counter("confl_bufferpin", "queries", "k.confl_bufferpin",
            "queries cancelled by pinned buffers (on a standby)"),
    counter("confl_deadlock", "queries", "k.confl_deadlock",
            "queries cancelled by deadlocks with recovery (on a standby)"),
    counter("confl_active_logicalslot", "slots", "k.confl_active_logicalslot",
            "uses of logical slots cancelled by old snapshots or a lower wal_level (on a standby)",
            since(16)),
    counter("temp_files", "files", "s.temp_files", "temporary files created by queries"),
    counter("temp_bytes", "bytes", "s.temp_bytes", "bytes written to temporary files"),
    counter("deadlocks", "deadlocks", "s.deadlocks", "deadlocks detected"),
    counter("checksum_failures", "pages", "s.checksum_failures",
            "data page checksum failures; null where checksums are off"),
    moment("checksum_last_failure", "s.checksum_last_failure",
           "when the last checksum failure was found"),
    time_counter("blk_read_time", "s.blk_read_time",
                 "time spent reading data blocks; 0 while track_io_timing is off"),
    time_counter("blk_write_time", "s.blk_write_time",
                 "time spent writing data blocks; 0 while track_io_timing is off"),
    time_counter("session_time", "s.session_time",
                 "time spent by sessions, as of their last change of state", since(14)),
    time_counter("active_time", "s.active_time", "time spent executing statements", since(14)),
    time_counter("idle_in_transaction_time", "s.idle_in_transaction_time",
                 "time spent idle in a transaction", since(14)),
    counter("sessions", "sessions", "s.sessions", "sessions established", since(14)),
    counter("sessions_abandoned", "sessions", "s.sessions_abandoned",
            "sessions ended because the client's connection was lost", since(14)),
    counter("sessions_fatal", "sessions", "s.sessions_fatal", "sessions ended by fatal errors",
            since(14)),
    counter("sessions_killed", "sessions", "s.sessions_killed", "sessions ended by an operator",
            since(14)),
    counter("parallel_workers_to_launch", "processes", "s.parallel_workers_to_launch",
            "parallel workers planned", since(18)),
    counter("parallel_workers_launched", "processes", "s.parallel_workers_launched",
            "parallel workers launched", since(18)),
    moment("stats_reset", "s.stats_reset", "since when the counters count"),
    gauge("datfrozenxid", kInt64, "", "d.datfrozenxid::pg_catalog.text::pg_catalog.int8",
          "transaction ids before it are frozen in this database; subtract it from the lower 32 "
          "bits of pg_stats.server next_xid for the age"),
    gauge("datminmxid", kInt64, "", "d.datminmxid::pg_catalog.text::pg_catalog.int8",
          "multixact ids before it are replaced in this database; subtract it from pg_stats.server "
          "next_multixact_id for the age"),
    gauge("datconnlimit", kInt64, "sessions", "d.datconnlimit::pg_catalog.int8",
          "limit of sessions; -1 none, -2 the database is invalid (an interrupted drop)"),
    label("datallowconn", kBool, "d.datallowconn", "whether anybody can connect"),
    label("datistemplate", kBool, "d.datistemplate", "whether anybody may clone it"),
    label("dathasloginevt", kBool, "d.dathasloginevt", "whether it has login event triggers",
          since(17)),
    label("datdba", kOid, "d.datdba", "OID of the owner"),
    label("dattablespace", kOid, "d.dattablespace", "OID of the default tablespace"),
    label("encoding", kText, "pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text",
          "name of the encoding"),
    label("datlocprovider", kText, "d.datlocprovider::pg_catalog.text",
          "locale provider: b built in, c libc, i ICU", since(15)),
    label("datcollate", kText, "d.datcollate::pg_catalog.text", "LC_COLLATE"),
    label("datctype", kText, "d.datctype::pg_catalog.text", "LC_CTYPE"),
    label("datlocale", kText, "d.daticulocale", "locale of the provider", between(15, 16)),
    label("datlocale", kText, "d.datlocale", "locale of the provider", since(17)),
    label("daticurules", kText, "d.daticurules", "ICU collation rules", since(16)),
    label("datcollversion", kText, "d.datcollversion",
          "version of the collation when the database was made or refreshed", since(15)),
};

constexpr Source kTablesSources[] = {
    {R"(FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     until(13)},
    {R"(FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m,p}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     since(14)},
};

constexpr Column kTables[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the table, TOAST table or materialized view"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    counter("seq_scan", "scans", "pg_catalog.pg_stat_get_numscans(c.oid)",
            "sequential scans started"),
    moment("last_seq_scan", "pg_catalog.pg_stat_get_lastscan(c.oid)",
           "end of the transaction of the last sequential scan", since(16)),
    counter("seq_tup_read", "rows", "pg_catalog.pg_stat_get_tuples_returned(c.oid)",
            "live rows fetched by sequential scans"),
    counter("tuples_fetched", "rows", "pg_catalog.pg_stat_get_tuples_fetched(c.oid)",
            "live rows fetched by bitmap scans; idx_tup_fetch of pg_stat_all_tables is this and "
            "the sum of idx_tup_fetch of its indexes"),
    counter("n_tup_ins", "rows", "pg_catalog.pg_stat_get_tuples_inserted(c.oid)", "rows inserted"),
    counter("n_tup_upd", "rows", "pg_catalog.pg_stat_get_tuples_updated(c.oid)",
            "rows updated, n_tup_hot_upd and n_tup_newpage_upd included"),
    counter("n_tup_del", "rows", "pg_catalog.pg_stat_get_tuples_deleted(c.oid)", "rows deleted"),
    counter("n_tup_hot_upd", "rows", "pg_catalog.pg_stat_get_tuples_hot_updated(c.oid)",
            "rows updated without new index entries"),
    counter("n_tup_newpage_upd", "rows", "pg_catalog.pg_stat_get_tuples_newpage_updated(c.oid)",
            "rows updated whose new version went to another page", since(16)),
    gauge("n_live_tup", kInt64, "rows", "pg_catalog.pg_stat_get_live_tuples(c.oid)",
          "live rows, estimated"),
    gauge("n_dead_tup", kInt64, "rows", "pg_catalog.pg_stat_get_dead_tuples(c.oid)",
          "dead rows, estimated"),
    gauge("n_mod_since_analyze", kInt64, "rows", "pg_catalog.pg_stat_get_mod_since_analyze(c.oid)",
          "rows changed since the last analyze"),
    gauge("n_ins_since_vacuum", kInt64, "rows", "pg_catalog.pg_stat_get_ins_since_vacuum(c.oid)",
          "rows inserted since the last vacuum"),
    moment("last_vacuum", "pg_catalog.pg_stat_get_last_vacuum_time(c.oid)",
           "end of the last manual vacuum (VACUUM FULL not counted)"),
    moment("last_autovacuum", "pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)",
           "end of the last vacuum by autovacuum"),
    moment("last_analyze", "pg_catalog.pg_stat_get_last_analyze_time(c.oid)",
           "end of the last manual analyze"),
    moment("last_autoanalyze", "pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)",
           "end of the last analyze by autovacuum"),
    counter("vacuum_count", "runs", "pg_catalog.pg_stat_get_vacuum_count(c.oid)",
            "manual vacuums (VACUUM FULL not counted)"),
    counter("autovacuum_count", "runs", "pg_catalog.pg_stat_get_autovacuum_count(c.oid)",
            "vacuums by autovacuum"),
    counter("analyze_count", "runs", "pg_catalog.pg_stat_get_analyze_count(c.oid)",
            "manual analyzes"),
    counter("autoanalyze_count", "runs", "pg_catalog.pg_stat_get_autoanalyze_count(c.oid)",
            "analyzes by autovacuum"),
    time_counter("total_vacuum_time", "pg_catalog.pg_stat_get_total_vacuum_time(c.oid)",
                 "time of manual vacuums, with their waits", since(18)),
    time_counter("total_autovacuum_time", "pg_catalog.pg_stat_get_total_autovacuum_time(c.oid)",
                 "time of vacuums by autovacuum, with their waits", since(18)),
    time_counter("total_analyze_time", "pg_catalog.pg_stat_get_total_analyze_time(c.oid)",
                 "time of manual analyzes, with their waits", since(18)),
    time_counter("total_autoanalyze_time", "pg_catalog.pg_stat_get_total_autoanalyze_time(c.oid)",
                 "time of analyzes by autovacuum, with their waits", since(18)),
    counter("heap_blks_fetched", "blocks", "pg_catalog.pg_stat_get_blocks_fetched(c.oid)",
            "blocks of the table asked for; heap_blks_read of pg_statio_all_tables is this less "
            "heap_blks_hit"),
    counter("heap_blks_hit", "blocks", "pg_catalog.pg_stat_get_blocks_hit(c.oid)",
            "blocks of the table found in shared buffers"),
    moment("stats_reset", "pg_catalog.pg_stat_get_stat_reset_time(c.oid)",
           "since when the counters count; before 19 see pg_stats.databases stats_reset",
           since(19)),
};

constexpr Source kIndexesSources[] = {
    {R"(FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) 'i'
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     since(13)},
};

constexpr Column kIndexes[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("indexrelid", kOid, "c.oid", "OID of the index"),
    label("relid", kOid, "x.indrelid", "OID of its table"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of both"),
    label("indexrelname", kText, "c.relname::pg_catalog.text", "name of the index"),
    counter("idx_scan", "scans", "pg_catalog.pg_stat_get_numscans(c.oid)",
            "scans of the index started"),
    moment("last_idx_scan", "pg_catalog.pg_stat_get_lastscan(c.oid)",
           "end of the transaction of the last scan", since(16)),
    counter("idx_tup_read", "rows", "pg_catalog.pg_stat_get_tuples_returned(c.oid)",
            "index entries returned by scans"),
    counter("idx_tup_fetch", "rows", "pg_catalog.pg_stat_get_tuples_fetched(c.oid)",
            "live rows fetched from the table by scans that are no bitmap scans"),
    counter("idx_blks_fetched", "blocks", "pg_catalog.pg_stat_get_blocks_fetched(c.oid)",
            "blocks of the index asked for; idx_blks_read of pg_statio_all_indexes is this less "
            "idx_blks_hit"),
    counter("idx_blks_hit", "blocks", "pg_catalog.pg_stat_get_blocks_hit(c.oid)",
            "blocks of the index found in shared buffers"),
    moment("stats_reset", "pg_catalog.pg_stat_get_stat_reset_time(c.oid)",
           "since when the counters count; before 19 see pg_stats.databases stats_reset",
           since(19)),
};

// A partition has one parent; what inherits without being a partition may have several, and they
// are not delivered.
constexpr Source kRelationsSources[] = {
    {R"(FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
LEFT JOIN pg_catalog.pg_inherits h
    ON h.inhrelid OPERATOR(pg_catalog.=) c.oid AND c.relispartition
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,i,t,m,p,I,f}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     since(13)},
};

constexpr Column kRelations[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the relation"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    label(
        "relkind", kText, "c.relkind::pg_catalog.text",
        "r table, i index, t TOAST table, m materialized view, p partitioned table, I partitioned "
        "index, f foreign table"),
    label("relpersistence", kText, "c.relpersistence::pg_catalog.text", "p permanent, u unlogged"),
    label("relisshared", kBool, "c.relisshared",
          "whether all databases share it; its figures are then the same in each"),
    label("relowner", kOid, "c.relowner", "OID of the owner"),
    label("amname", kText, "a.amname::pg_catalog.text", "access method"),
    label("reltablespace", kOid, "c.reltablespace",
          "OID of the tablespace; 0 for the database's own"),
    label("relfilenode", kOid, kRelationFilenode, "name of its file; null without storage"),
    gauge("relpages", kInt64, "pages", kRelationPages,
          "size at the last vacuum, analyze or index build; null without storage"),
    gauge("reltuples", kFloat64, "rows",
          "CASE WHEN c.reltuples OPERATOR(pg_catalog.<>) 0::pg_catalog.float4"
          " OR c.relpages OPERATOR(pg_catalog.<>) 0 THEN c.reltuples::pg_catalog.float8 END",
          "live rows at that time, estimated; null where unknown (before 14 also where empty)",
          until(13)),
    gauge("reltuples", kFloat64, "rows", kRelationTuples,
          "live rows at that time, estimated; null where unknown (before 14 also where empty)",
          since(14)),
    gauge("relallvisible", kInt64, "pages", kRelationAllVisible, "pages whose rows everybody sees"),
    gauge("relallfrozen", kInt64, "pages", kRelationAllFrozen, "pages that are frozen whole",
          since(18)),
    gauge(
        "relfrozenxid", kInt64, "", kRelationFrozenXid,
        "transaction ids before it are frozen in the table; subtract it from the lower 32 bits of "
        "pg_stats.server next_xid for the age"),
    gauge("relminmxid", kInt64, "", kRelationMinMultixact,
          "multixact ids before it are replaced in the table; subtract it from pg_stats.server "
          "next_multixact_id for the age"),
    label("reltoastrelid", kOid, kRelationToast, "OID of its TOAST table"),
    label("relispartition", kBool, "c.relispartition", "whether it is a partition"),
    label("inhparent", kOid, "h.inhparent", "OID of what it is a partition of"),
    label("relispopulated", kBool, "c.relispopulated",
          "false for a materialized view without data"),
    label("reloptions", kText, "c.reloptions::pg_catalog.text", "storage parameters, as an array"),
    label("indrelid", kOid, "x.indrelid", "OID of the table an index belongs to"),
    label("indisunique", kBool, "x.indisunique", "whether the index is unique"),
    label("indisprimary", kBool, "x.indisprimary", "whether it is the primary key"),
    label("indisexclusion", kBool, "x.indisexclusion", "whether it is an exclusion constraint"),
    label("indisvalid", kBool, "x.indisvalid", "whether queries may use it"),
    label("indisready", kBool, "x.indisready", "whether inserts maintain it"),
    label("indislive", kBool, "x.indislive", "false while it is being dropped"),
};

constexpr Rowset kRowsets[] = {
    {"pg_stats", "databases", Scope::kCluster, 0, kDatabasesSources, kDatabases,
     "databases: activity, blocks, sessions, conflicts, and how far transaction ids have aged"},
    {"pg_stats", "tables", Scope::kDatabase, 0, kTablesSources, kTables,
     "tables, TOAST tables, materialized views: scans, rows, vacuums, blocks; each row counts what "
     "is the relation's own"},
    {"pg_stats", "indexes", Scope::kDatabase, 0, kIndexesSources, kIndexes,
     "indexes: scans, entries, blocks"},
    changing_with_definitions(
        {"pg_stats", "relations", Scope::kDatabase, 600, kRelationsSources, kRelations,
         "tables and indexes as the catalog has them: kind, size, age, validity, options"},
        kWithVacuums),
};

}  // namespace

std::span<const Rowset> pg_stats() { return kRowsets; }

}  // namespace pganalytics::parts

// Plugin pg_stats, continued: functions, sequences, SLRU, I/O, what autovacuum goes by, and how
// near transaction ids are to their end.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// --- functions

constexpr Source kFunctionsSources[] = {
    {R"(FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE p.prolang OPERATOR(pg_catalog.<>) 12::pg_catalog.oid
  AND pg_catalog.pg_stat_get_function_calls(p.oid) IS NOT NULL)",
     since(13)},
};

constexpr Column kFunctions[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("funcid", kOid, "p.oid", "OID of the function"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("funcname", kText, "p.proname::pg_catalog.text", "its name"),
    counter("calls", "calls", "pg_catalog.pg_stat_get_function_calls(p.oid)",
            "calls counted (track_functions)"),
    time_counter("total_time", "pg_catalog.pg_stat_get_function_total_time(p.oid)",
                 "time in it and in the functions it called"),
    time_counter("self_time", "pg_catalog.pg_stat_get_function_self_time(p.oid)",
                 "time in it alone"),
    moment("stats_reset", "pg_catalog.pg_stat_get_function_stat_reset_time(p.oid)",
           "since when the counters count; before 19 see pg_stats.databases stats_reset",
           since(19)),
};

// --- sequences

// The column behind a sequence is the one that owns it, else one whose default asks it. A
// sequence's last value is in its own relation: that is opened with the lock nextval() takes, so
// sequences that somebody has locked or waits to lock against it are passed over, and so are those
// the role may not look at.
constexpr Source kSequencesSources[] = {
    {R"(FROM (SELECT ARRAY(SELECT l.relation FROM pg_catalog.pg_lock_status() l
             WHERE l.locktype OPERATOR(pg_catalog.=) 'relation'
               AND l.mode OPERATOR(pg_catalog.=) ANY (ARRAY['ShareLock', 'ShareRowExclusiveLock',
                   'ExclusiveLock', 'AccessExclusiveLock'])) AS locked,
             pg_catalog.pg_is_in_recovery() AS in_recovery OFFSET 0) m
CROSS JOIN pg_catalog.pg_sequence q
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) q.seqrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN LATERAL (
    SELECT u.relid, u.attnum, u.place FROM (
        SELECT d.refobjid AS relid, d.refobjsubid AS attnum, 1 AS place
        FROM pg_catalog.pg_depend d
        WHERE d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.objid OPERATOR(pg_catalog.=) q.seqrelid
          AND d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.refobjsubid OPERATOR(pg_catalog.>) 0
          AND d.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog."char"[])
        UNION ALL
        SELECT f.adrelid, f.adnum::pg_catalog.int4, 2
        FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_attrdef f ON f.oid OPERATOR(pg_catalog.=) d.objid
        WHERE d.refclassid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid
          AND d.refobjid OPERATOR(pg_catalog.=) q.seqrelid
          AND d.classid OPERATOR(pg_catalog.=) 2604::pg_catalog.oid) u
    ORDER BY u.place, u.relid, u.attnum LIMIT 1) u ON true
LEFT JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) u.relid
LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.relnamespace
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) u.relid
     AND a.attnum OPERATOR(pg_catalog.=) u.attnum
LEFT JOIN (VALUES (21::pg_catalog.oid, '-32768'::pg_catalog.int8, 32767::pg_catalog.int8),
                  (23::pg_catalog.oid, '-2147483648'::pg_catalog.int8, 2147483647),
                  (20::pg_catalog.oid, '-9223372036854775808'::pg_catalog.int8,
                   9223372036854775807)) AS e(type, least, most)
     ON e.type OPERATOR(pg_catalog.=) a.atttypid
LEFT JOIN (
    SELECT DISTINCT ON (r.confrelid, r.confnum) r.confrelid, r.confnum, e.least, e.most,
           pg_catalog.format('%I.%I.%I', rn.nspname, rc.relname, ra.attname) AS name,
           pg_catalog.format_type(ra.atttypid, ra.atttypmod) AS type_name
    FROM (SELECT k.conrelid, k.confrelid, pg_catalog.unnest(k.conkey) AS connum,
                 pg_catalog.unnest(k.confkey) AS confnum
          FROM pg_catalog.pg_constraint k WHERE k.contype OPERATOR(pg_catalog.=) 'f') r
    JOIN pg_catalog.pg_attribute ra ON ra.attrelid OPERATOR(pg_catalog.=) r.conrelid
         AND ra.attnum OPERATOR(pg_catalog.=) r.connum
    JOIN pg_catalog.pg_class rc ON rc.oid OPERATOR(pg_catalog.=) r.conrelid
    JOIN pg_catalog.pg_namespace rn ON rn.oid OPERATOR(pg_catalog.=) rc.relnamespace
    JOIN (VALUES (21::pg_catalog.oid, '-32768'::pg_catalog.int8, 32767::pg_catalog.int8),
                 (23::pg_catalog.oid, '-2147483648'::pg_catalog.int8, 2147483647),
                 (20::pg_catalog.oid, '-9223372036854775808'::pg_catalog.int8,
                  9223372036854775807)) AS e(type, least, most)
         ON e.type OPERATOR(pg_catalog.=) ra.atttypid
    ORDER BY r.confrelid, r.confnum, e.most, r.conrelid, r.connum) y
     ON y.confrelid OPERATOR(pg_catalog.=) u.relid AND y.confnum OPERATOR(pg_catalog.=) u.attnum
WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     since(13)},
};

constexpr Column kSequences[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("seqrelid", kOid, "q.seqrelid", "OID of the sequence"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("sequencename", kText, "c.relname::pg_catalog.text", "its name"),
    label("data_type", kText, "pg_catalog.format_type(q.seqtypid, NULL)", "its type"),
    gauge("last_value", kInt64, "",
          "CASE WHEN c.oid OPERATOR(pg_catalog.=) ANY (m.locked) THEN NULL"
          " WHEN m.in_recovery AND c.relpersistence OPERATOR(pg_catalog.=) 'u' THEN NULL"
          " WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT,USAGE')"
          " THEN pg_catalog.pg_sequence_last_value(c.oid) END",
          "last value given (of those cached by sessions the last); null where none was given yet, "
          "where the collecting role may not see it or somebody holds a lock against it"),
    gauge("last_usable", kInt64, "",
          "CASE WHEN q.seqincrement OPERATOR(pg_catalog.>) 0"
          " THEN LEAST(q.seqmax, e.most) ELSE GREATEST(q.seqmin, e.least) END",
          "the value at which it ends: its own limit or that of the column behind it, whichever "
          "comes first"),
    gauge("seqincrement", kInt64, "", "q.seqincrement", "what each value is from the one before"),
    gauge("seqstart", kInt64, "", "q.seqstart", "first value"),
    gauge("seqmin", kInt64, "", "q.seqmin", "its least value"),
    gauge("seqmax", kInt64, "", "q.seqmax", "its greatest value"),
    gauge("seqcache", kInt64, "", "q.seqcache", "values a session takes at once"),
    label("seqcycle", kBool, "q.seqcycle", "whether it begins again at its end"),
    label("relid", kOid, "u.relid", "OID of the table whose column it fills; null for none"),
    label("table_schemaname", kText, "tn.nspname::pg_catalog.text", "schema of that table"),
    label("relname", kText, "t.relname::pg_catalog.text", "name of that table"),
    label("attname", kText, "a.attname::pg_catalog.text", "name of that column"),
    label("column_type", kText, "pg_catalog.format_type(a.atttypid, a.atttypmod)",
          "type of that column"),
    label("owned", kBool, "u.place OPERATOR(pg_catalog.=) 1",
          "whether the column owns it; false: only its default asks it"),
    label("narrowest_reference", kText, "y.name",
          "of the foreign keys that point to that column: column of the narrowest integer type"),
    label("narrowest_reference_type", kText, "y.type_name", "that type"),
    gauge("last_referable", kInt64, "",
          "CASE WHEN q.seqincrement OPERATOR(pg_catalog.>) 0 THEN y.most ELSE y.least END",
          "the last value that fits there: rows beyond it can't be pointed to; null for none"),
};

// --- SLRU

constexpr Source kSlruSources[] = {{"FROM pg_catalog.pg_stat_slru s", since(13)}};

constexpr Column kSlru[] = {
    key("name", kText, "s.name", "name of the cache: of transaction states, multixacts and others"),
    counter("blks_zeroed", "blocks", "s.blks_zeroed", "blocks made new"),
    counter("blks_hit", "blocks", "s.blks_hit", "blocks found in the cache"),
    counter("blks_read", "blocks", "s.blks_read", "blocks read from disk"),
    counter("blks_written", "blocks", "s.blks_written", "blocks written"),
    counter("blks_exists", "blocks", "s.blks_exists", "blocks looked for on disk"),
    counter("flushes", "flushes", "s.flushes", "flushes of what was changed"),
    counter("truncates", "times", "s.truncates", "times old blocks were removed"),
    moment("stats_reset", "s.stats_reset", "since when its counters count"),
};

// --- I/O

constexpr Source kIoSources[] = {{"FROM pg_catalog.pg_stat_io s", since(16)}};

// LEAST passes over nulls.
#define PGANALYTICS_BYTES(column)                             \
    "CASE WHEN s." column " IS NOT NULL THEN LEAST(s." column \
    ", 9223372036854775807::pg_catalog.numeric)::pg_catalog.int8 END"

constexpr Column kIo[] = {
    key("backend_type", kText, "s.backend_type", "kind of process"),
    key("object", kText, "s.object", "relation, temp relation or wal"),
    key("context", kText, "s.context", "normal, vacuum, bulkread, bulkwrite or init"),
    counter("reads", "operations", "s.reads", "reads; null where there can be none"),
    counter("read_bytes", "bytes", PGANALYTICS_BYTES("read_bytes"), "bytes read", since(18)),
    time_counter("read_time", "s.read_time", "time of reads; 0 while track_io_timing is off"),
    counter("writes", "operations", "s.writes", "writes; null where there can be none"),
    counter("write_bytes", "bytes", PGANALYTICS_BYTES("write_bytes"), "bytes written", since(18)),
    time_counter("write_time", "s.write_time", "time of writes; 0 while track_io_timing is off"),
    counter("writebacks", "blocks", "s.writebacks", "blocks the kernel was asked to write to disk"),
    time_counter("writeback_time", "s.writeback_time",
                 "time of these requests; 0 while track_io_timing is off"),
    counter("extends", "operations", "s.extends", "extensions of files"),
    counter("extend_bytes", "bytes", PGANALYTICS_BYTES("extend_bytes"), "bytes files grew by",
            since(18)),
    time_counter("extend_time", "s.extend_time",
                 "time of extensions; 0 while track_io_timing is off"),
    gauge("op_bytes", kInt64, "bytes", "s.op_bytes", "bytes of one read, write or extension",
          between(16, 17)),
    counter("hits", "blocks", "s.hits", "blocks found in shared buffers"),
    counter("evictions", "blocks", "s.evictions", "blocks thrown out of a buffer to make room"),
    counter("reuses", "blocks", "s.reuses",
            "buffers of a small ring used again, by vacuums and bulk operations"),
    counter("fsyncs", "calls", "s.fsyncs", "calls of fsync"),
    time_counter("fsync_time", "s.fsync_time", "time of these; 0 while track_io_timing is off"),
    moment("stats_reset", "s.stats_reset", "since when the counters count"),
};

#undef PGANALYTICS_BYTES

// --- how near the end of transaction ids is

constexpr Source kWraparoundSources[] = {
    {"FROM pg_catalog.pg_control_checkpoint() k", between(13, 18)},
    {"FROM pg_catalog.pg_control_checkpoint() k"
     " CROSS JOIN pg_catalog.pg_get_multixact_stats() m",
     since(19)},
};

constexpr Column xid(std::string_view name, std::string_view sql, std::string_view help) {
    return gauge(name, kInt64, "", sql, help);
}
constexpr Column limit(std::string_view name, std::string_view sql, std::string_view help,
                       Versions versions = kEver) {
    return gauge(name, kInt64, "transactions", sql, help, versions);
}

#define PGANALYTICS_SETTING(name) "pg_catalog.current_setting('" name "')::pg_catalog.int8"

constexpr Column kWraparound[] = {
    xid("oldest_xid", "k.oldest_xid::pg_catalog.text::pg_catalog.int8",
        "oldest transaction id not frozen in some database, at the last checkpoint (32 bits)"),
    gauge("oldest_xid_datid", kOid, "", "k.oldest_xid_dbid", "OID of that database"),
    xid("oldest_active_xid", "k.oldest_active_xid::pg_catalog.text::pg_catalog.int8",
        "oldest transaction id in progress at the last checkpoint (32 bits; 0: not known)"),
    xid("oldest_multi_xid", "k.oldest_multi_xid::pg_catalog.text::pg_catalog.int8",
        "oldest multixact id not replaced in some database, at the last checkpoint (32 bits)"),
    gauge("oldest_multi_datid", kOid, "", "k.oldest_multi_dbid", "OID of that database"),
    xid("next_multi_offset", "k.next_multi_offset::pg_catalog.text::pg_catalog.int8",
        "place of the next member of a multixact, at the last checkpoint: its growth is the use of "
        "the space for members (4294967296 before 19; pg_stats.multixact_members tells the rest)"),
    gauge("multixacts", kInt64, "multixacts", "m.num_mxids", "multixacts there are", since(19)),
    gauge("multixact_members", kInt64, "members", "m.num_members", "members of them", since(19)),
    gauge("multixact_members_bytes", kInt64, "bytes", "m.members_size", "bytes of these",
          since(19)),
    moment("checkpoint_time", "k.checkpoint_time", "when that checkpoint was made"),
    limit("autovacuum_freeze_max_age", PGANALYTICS_SETTING("autovacuum_freeze_max_age"),
          "age of a table at which autovacuum freezes it in any case"),
    limit("autovacuum_multixact_freeze_max_age",
          PGANALYTICS_SETTING("autovacuum_multixact_freeze_max_age"),
          "age in multixacts at which it does so"),
    limit("vacuum_failsafe_age", PGANALYTICS_SETTING("vacuum_failsafe_age"),
          "age at which vacuum drops everything else", since(14)),
    limit("vacuum_multixact_failsafe_age", PGANALYTICS_SETTING("vacuum_multixact_failsafe_age"),
          "age in multixacts at which it does so", since(14)),
};

#undef PGANALYTICS_SETTING

// --- the relations that hold it back

// Temporary tables too: autovacuum can't freeze them. Ten of each are found without sorting all.
constexpr Source kOldestSources[] = {
    {R"(FROM (
    SELECT c.oid, pg_catalog.row_number() OVER (ORDER BY c.age DESC, c.oid) AS place
    FROM (SELECT c.oid, pg_catalog.age(c.relfrozenxid) AS age
          FROM pg_catalog.pg_class c
          WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog."char"[])
            AND c.relfrozenxid OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid
          ORDER BY 2 DESC, 1 LIMIT 10) c) x
FULL JOIN (
    SELECT c.oid, pg_catalog.row_number() OVER (ORDER BY c.age DESC, c.oid) AS place
    FROM (SELECT c.oid, pg_catalog.mxid_age(c.relminmxid) AS age
          FROM pg_catalog.pg_class c
          WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog."char"[])
            AND c.relfrozenxid OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid
          ORDER BY 2 DESC, 1 LIMIT 10) c) m
    ON m.oid OPERATOR(pg_catalog.=) x.oid
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) COALESCE(x.oid, m.oid)
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace)",
     since(13)},
};

constexpr Column kOldest[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the table, TOAST table or materialized view"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    label("relkind", kText, "c.relkind::pg_catalog.text",
          "r table, t TOAST table, m materialized view"),
    label("relpersistence", kText, "c.relpersistence::pg_catalog.text",
          "p permanent, u unlogged, t temporary"),
    gauge("by_xid", kInt64, "", "x.place",
          "its place by age in transaction ids; 1 is the oldest, null beyond the tenth"),
    gauge("by_mxid", kInt64, "", "m.place",
          "its place by age in multixact ids; null beyond the tenth"),
    xid("relfrozenxid", "c.relfrozenxid::pg_catalog.text::pg_catalog.int8",
        "transaction ids before it are frozen in it (32 bits)"),
    xid("relminmxid", "c.relminmxid::pg_catalog.text::pg_catalog.int8",
        "multixact ids before it are replaced in it (32 bits)"),
};

// --- heavyweight locks

constexpr Source kLockSources[] = {{"FROM pg_catalog.pg_stat_lock s", since(19)}};

constexpr Column kLock[] = {
    key("locktype", kText, "s.locktype", "kind of what is locked"),
    counter("waits", "events", "s.waits", "waits for such a lock of deadlock_timeout and longer"),
    time_counter("wait_time", "s.wait_time", "time of these waits"),
    counter("fastpath_exceeded", "locks", "s.fastpath_exceeded",
            "locks that found no place among the fast ones of their process"),
    moment("stats_reset", "s.stats_reset", "since when the counters count"),
};

constexpr Rowset kRowsets[] = {
    {"pg_stats", "slru", Scope::kCluster, 0, kSlruSources, kSlru,
     "the server's caches of transaction states and the like (SLRU)"},
    {"pg_stats", "io", Scope::kCluster, 0, kIoSources, kIo,
     "I/O by kind of process, object and context (16 and later)"},
    {"pg_stats", "lock", Scope::kCluster, 0, kLockSources, kLock,
     "waits for locks, by what is locked (19 and later)"},
    {"pg_stats", "wraparound", Scope::kCluster, 0, kWraparoundSources, kWraparound,
     "how far transaction and multixact ids have aged, and the ages at which the server acts"},
    {"pg_stats", "functions", Scope::kDatabase, 60, kFunctionsSources, kFunctions,
     "functions that were called while track_functions counted them"},
    changing_with_definitions(
        {"pg_stats", "sequences", Scope::kDatabase, 600, kSequencesSources, kSequences,
         "sequences: how far they are, where they end, and the column behind them"},
        kWithSequences),
    changing_with_definitions(
        {"pg_stats", "oldest_relations", Scope::kDatabase, 600, kOldestSources, kOldest,
         "the relations of each database that hold back its oldest transaction and multixact id"},
        kWithVacuums),
};

}  // namespace

std::span<const Rowset> pg_stats_more() { return kRowsets; }

}  // namespace pganalytics::parts

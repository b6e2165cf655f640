// Plugin pg_query_stats: pg_stat_statements of whichever database has it, at whichever version
// (1.8 to 1.13) it is installed there.
//
// - Counters are read without texts: the file with the texts is as long as all of them together,
// and
//   is read whole for each question. Texts have a rowset of their own, which is read rarely and of
//   which, as of each rowset, only rows not sent before leave the server.
// - The 5,000 busiest statements (fewer where pganalytics.max_rows says so) are one row each, all
//   others together one more, made in the same moment: the rows of a reading add up to all there
//   is.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// Columns by the version that brought them. P: as it is; S: summed up; N: none in that version.
#define PGANALYTICS_P(name, type) ", s." name " AS " name
#define PGANALYTICS_S(name, type) ", pg_catalog.sum(s." name ")::pg_catalog." type
#define PGANALYTICS_N(name, type) ", NULL::pg_catalog." type " AS " name

// clang-format off
#define PGANALYTICS_EVER(X) \
    X("calls", "int8") X("total_exec_time", "float8") \
    X("plans", "int8") X("total_plan_time", "float8") \
    X("rows", "int8") X("shared_blks_hit", "int8") \
    X("shared_blks_read", "int8") X("shared_blks_dirtied", "int8") \
    X("shared_blks_written", "int8") X("local_blks_hit", "int8") \
    X("local_blks_read", "int8") X("local_blks_dirtied", "int8") \
    X("local_blks_written", "int8") X("temp_blks_read", "int8") \
    X("temp_blks_written", "int8") X("wal_records", "int8") \
    X("wal_fpi", "int8")
#define PGANALYTICS_1_10(X) \
    X("temp_blk_read_time", "float8") X("temp_blk_write_time", "float8") \
    X("jit_functions", "int8") X("jit_generation_time", "float8") \
    X("jit_inlining_count", "int8") X("jit_inlining_time", "float8") \
    X("jit_optimization_count", "int8") X("jit_optimization_time", "float8") \
    X("jit_emission_count", "int8") X("jit_emission_time", "float8")
#define PGANALYTICS_1_11(X) \
    X("local_blk_read_time", "float8") X("local_blk_write_time", "float8") \
    X("jit_deform_count", "int8") X("jit_deform_time", "float8")
#define PGANALYTICS_1_12(X) \
    X("wal_buffers_full", "int8") X("parallel_workers_to_launch", "int8") \
    X("parallel_workers_launched", "int8")
#define PGANALYTICS_1_13(X) \
    X("generic_plan_calls", "int8") X("custom_plan_calls", "int8")
// clang-format on

#define PGANALYTICS_WAL(bytes) \
    ", LEAST(" bytes ", 9223372036854775807::pg_catalog.numeric)::pg_catalog.int8"

// The names the two times of blocks have from 1.11 on.
#define PGANALYTICS_BLOCKS_P(prefix)                                 \
    ", s." prefix "blk_read_time AS shared_blk_read_time, s." prefix \
    "blk_write_time AS shared_blk_write_time"
#define PGANALYTICS_BLOCKS_S(prefix)                                                           \
    ", pg_catalog.sum(s." prefix "blk_read_time)::pg_catalog.float8, pg_catalog.sum(s." prefix \
    "blk_write_time)::pg_catalog.float8"

// Several rows with one key are possible where version 1.8 is asked on a newer server, which counts
// statements of functions apart; all but the busiest of them are among the others.
#define PGANALYTICS_TWIN                                                     \
    "pg_catalog.row_number() OVER (PARTITION BY s.dbid, s.userid, s.queryid" \
    " ORDER BY s.total_exec_time DESC)"

// Whether no statement can be among the others, which takes no ranking then: there is a row for
// each that the extension can keep, and who reads sees whose all are.
#define PGANALYTICS_FIT                                                                \
    "(pg_catalog.current_setting('pg_stat_statements.max')::pg_catalog.int8"           \
    " OPERATOR(pg_catalog.<=) LEAST(5000, COALESCE("                                   \
    "pg_catalog.current_setting('pganalytics.max_rows', true)::pg_catalog.int8, 5001)" \
    " OPERATOR(pg_catalog.-) 1) AND pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'))"

#define PGANALYTICS_ONE(toplevel, since_p, blocks, newer_p)         \
    "SELECT s.dbid, s.userid, " toplevel                            \
    " AS toplevel, s.queryid,\n"                                    \
    "    s.min_plan_time, s.max_plan_time, s.stddev_plan_time,"     \
    " s.min_exec_time, s.max_exec_time, s.stddev_exec_time" since_p \
    "\n    " PGANALYTICS_EVER(PGANALYTICS_P)                        \
        PGANALYTICS_WAL("s.wal_bytes") " AS wal_bytes" PGANALYTICS_BLOCKS_P(blocks) newer_p

// Of a condition of constants the planner makes a gate: what is behind it is not run.
#define PGANALYTICS_RANKED " AND " PGANALYTICS_FIT " IS NOT TRUE"
#define PGANALYTICS_UNRANKED(toplevel, since_p, blocks, newer_p) \
    "UNION ALL\n" PGANALYTICS_ONE(                               \
        toplevel, since_p, blocks,                               \
        newer_p) "\nFROM @schema@.pg_stat_statements(false) s WHERE " PGANALYTICS_FIT "\n"

#define PGANALYTICS_STATEMENTS(toplevel, twin, since_p, since_n, blocks, newer_p, newer_s, gate, \
                               unranked)                                                         \
    "FROM (\n"                                                                                   \
    "WITH n AS MATERIALIZED (SELECT LEAST(5000, COALESCE("                                       \
    "pg_catalog.current_setting('pganalytics.max_rows', true)::pg_catalog.int8, 5001)"           \
    " OPERATOR(pg_catalog.-) 1) AS most),\n"                                                     \
    "p AS MATERIALIZED (SELECT s.*, s.total_exec_time OPERATOR(pg_catalog.+) s.total_plan_time"  \
    " AS spent, " twin                                                                           \
    " AS twin\n"                                                                                 \
    "    FROM @schema@.pg_stat_statements(false) s),\n"                                          \
    "c AS MATERIALIZED (SELECT COALESCE((SELECT p.spent FROM p ORDER BY p.spent DESC"            \
    " OFFSET (SELECT n.most FROM n) LIMIT 1), '-Infinity'::pg_catalog.float8) AS spent),\n"      \
    "s AS NOT MATERIALIZED (SELECT p.*, p.spent OPERATOR(pg_catalog.>) c.spent"                  \
    " AND p.queryid IS NOT NULL AND p.twin OPERATOR(pg_catalog.=) 1 AS top"                      \
    " FROM p CROSS JOIN c)\n" PGANALYTICS_ONE(                                                   \
        toplevel, since_p, blocks,                                                               \
        newer_p) "\nFROM s WHERE s.top" gate "\n" unranked                                       \
                 "UNION ALL\n"                                                                   \
                 "SELECT 0::pg_catalog.oid, 0::pg_catalog.oid, true, 0::pg_catalog.int8,\n"      \
                 "    pg_catalog.min(s.min_plan_time), pg_catalog.max(s.max_plan_time), "        \
                 "NULL::pg_catalog.float8,"                                                      \
                 " pg_catalog.min(s.min_exec_time), pg_catalog.max(s.max_exec_time), "           \
                 "NULL::pg_catalog.float8" since_n "\n    " PGANALYTICS_EVER(PGANALYTICS_S)      \
                     PGANALYTICS_WAL("pg_catalog.sum(s.wal_bytes)") PGANALYTICS_BLOCKS_S(blocks) \
                         newer_s                                                                 \
        "\nFROM s WHERE NOT s.top" gate                                                          \
        " HAVING pg_catalog.count(s.dbid) OPERATOR(pg_catalog.>) 0\nOFFSET 0) s\n"               \
        "LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.dbid\n"            \
        "LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.userid"

#define PGANALYTICS_SINCE_P ", s.stats_since, s.minmax_stats_since"
#define PGANALYTICS_SINCE_N                                                           \
    ", NULL::pg_catalog.timestamptz AS stats_since, NULL::pg_catalog.timestamptz AS " \
    "minmax_stats_since"

#define PGANALYTICS_NEWER(X10, X11, X12, X13) \
    PGANALYTICS_1_10(X10) PGANALYTICS_1_11(X11) PGANALYTICS_1_12(X12) PGANALYTICS_1_13(X13)

#define PGANALYTICS_OLD(toplevel, twin, X10, Y10, gate, unranked)                               \
    PGANALYTICS_STATEMENTS(toplevel, twin, PGANALYTICS_SINCE_N, PGANALYTICS_SINCE_N, "",        \
                           PGANALYTICS_NEWER(X10, PGANALYTICS_N, PGANALYTICS_N, PGANALYTICS_N), \
                           PGANALYTICS_NEWER(Y10, PGANALYTICS_N, PGANALYTICS_N, PGANALYTICS_N), \
                           gate, unranked)
#define PGANALYTICS_OLD_BOTH(X10, Y10)                              \
    PGANALYTICS_OLD(                                                \
        "s.toplevel", "1", X10, Y10, PGANALYTICS_RANKED,            \
        PGANALYTICS_UNRANKED("s.toplevel", PGANALYTICS_SINCE_N, "", \
                             PGANALYTICS_NEWER(X10, PGANALYTICS_N, PGANALYTICS_N, PGANALYTICS_N)))
#define PGANALYTICS_NEW(X12, Y12, X13, Y13)                                            \
    PGANALYTICS_STATEMENTS(                                                            \
        "s.toplevel", "1", PGANALYTICS_SINCE_P, PGANALYTICS_SINCE_N, "shared_",        \
        PGANALYTICS_NEWER(PGANALYTICS_P, PGANALYTICS_P, X12, X13),                     \
        PGANALYTICS_NEWER(PGANALYTICS_S, PGANALYTICS_S, Y12, Y13), PGANALYTICS_RANKED, \
        PGANALYTICS_UNRANKED("s.toplevel", PGANALYTICS_SINCE_P, "shared_",             \
                             PGANALYTICS_NEWER(PGANALYTICS_P, PGANALYTICS_P, X12, X13)))

constexpr Source kStatementsSources[] = {
    {PGANALYTICS_OLD("true", PGANALYTICS_TWIN, PGANALYTICS_N, PGANALYTICS_N, "", ""), kEver,
     between(108, 108)},
    {PGANALYTICS_OLD_BOTH(PGANALYTICS_N, PGANALYTICS_N), kEver, between(109, 109)},
    {PGANALYTICS_OLD_BOTH(PGANALYTICS_P, PGANALYTICS_S), kEver, between(110, 110)},
    {PGANALYTICS_NEW(PGANALYTICS_N, PGANALYTICS_N, PGANALYTICS_N, PGANALYTICS_N), kEver,
     between(111, 111)},
    {PGANALYTICS_NEW(PGANALYTICS_P, PGANALYTICS_S, PGANALYTICS_N, PGANALYTICS_N), kEver,
     between(112, 112)},
    {PGANALYTICS_NEW(PGANALYTICS_P, PGANALYTICS_S, PGANALYTICS_P, PGANALYTICS_S), kEver,
     since(113)},
};

// Finer than the clock it says nothing, and its digits are a twentieth of a push.
#define PGANALYTICS_TO_NANOSECONDS(time)                  \
    "pg_catalog.round(" time                              \
    " OPERATOR(pg_catalog.*) 1000000::pg_catalog.float8)" \
    " OPERATOR(pg_catalog./) 1000000::pg_catalog.float8"

constexpr Column kStatements[] = {
    key("dbid", kOid, "s.dbid", "OID of the database; 0 in the row of all others together"),
    key("userid", kOid, "s.userid", "OID of the role; 0 in the row of all others together"),
    key("toplevel", kBool, "s.toplevel",
        "whether it was sent by a client, not by a function; true where the extension is older "
        "than "
        "1.9, which does not tell"),
    key("queryid", kInt64, "s.queryid",
        "identifier of the statement; 0 in the row of all others together"),
    label("datname", kText, "d.datname::pg_catalog.text",
          "name of the database; null where it is gone"),
    label("rolname", kText, "r.rolname::pg_catalog.text",
          "name of the role; null where it is gone"),
    counter("calls", "calls", "s.calls", "executions"),
    time_counter("total_exec_time", "s.total_exec_time", "time of executions"),
    counter("rows", "rows", "s.rows", "rows returned or changed"),
    counter("plans", "times", "s.plans",
            "times it was planned; 0 while pg_stat_statements.track_planning is off"),
    time_counter("total_plan_time", "s.total_plan_time", "time of planning"),
    gauge("min_exec_time", kFloat64, "milliseconds", "s.min_exec_time", "shortest execution"),
    gauge("max_exec_time", kFloat64, "milliseconds", "s.max_exec_time", "longest execution"),
    gauge("stddev_exec_time", kFloat64, "milliseconds",
          PGANALYTICS_TO_NANOSECONDS("s.stddev_exec_time"),
          "standard deviation of executions' times, to the nanosecond"),
    gauge("min_plan_time", kFloat64, "milliseconds", "s.min_plan_time", "shortest planning"),
    gauge("max_plan_time", kFloat64, "milliseconds", "s.max_plan_time", "longest planning"),
    gauge("stddev_plan_time", kFloat64, "milliseconds",
          PGANALYTICS_TO_NANOSECONDS("s.stddev_plan_time"),
          "standard deviation of plannings' times, to the nanosecond"),
    counter("shared_blks_hit", "blocks", "s.shared_blks_hit", "blocks found in shared buffers"),
    counter("shared_blks_read", "blocks", "s.shared_blks_read", "blocks read"),
    counter("shared_blks_dirtied", "blocks", "s.shared_blks_dirtied", "blocks made dirty"),
    counter("shared_blks_written", "blocks", "s.shared_blks_written", "blocks written"),
    counter("local_blks_hit", "blocks", "s.local_blks_hit",
            "blocks of temporary tables found in local buffers"),
    counter("local_blks_read", "blocks", "s.local_blks_read", "blocks of temporary tables read"),
    counter("local_blks_dirtied", "blocks", "s.local_blks_dirtied",
            "blocks of temporary tables made dirty"),
    counter("local_blks_written", "blocks", "s.local_blks_written",
            "blocks of temporary tables written"),
    counter("temp_blks_read", "blocks", "s.temp_blks_read", "blocks of temporary files read"),
    counter("temp_blks_written", "blocks", "s.temp_blks_written",
            "blocks of temporary files written"),
    time_counter("shared_blk_read_time", "s.shared_blk_read_time",
                 "time of reading blocks, before 1.11 of temporary tables too; 0 while "
                 "track_io_timing is off"),
    time_counter("shared_blk_write_time", "s.shared_blk_write_time",
                 "time of writing blocks, before 1.11 of temporary tables too; 0 while "
                 "track_io_timing is off"),
    time_counter("local_blk_read_time", "s.local_blk_read_time",
                 "time of reading blocks of temporary tables (1.11)", since(17)),
    time_counter("local_blk_write_time", "s.local_blk_write_time",
                 "time of writing blocks of temporary tables (1.11)", since(17)),
    time_counter("temp_blk_read_time", "s.temp_blk_read_time",
                 "time of reading temporary files (1.10)", since(15)),
    time_counter("temp_blk_write_time", "s.temp_blk_write_time",
                 "time of writing temporary files (1.10)", since(15)),
    counter("wal_records", "records", "s.wal_records", "WAL records made"),
    counter("wal_fpi", "records", "s.wal_fpi", "full page images in WAL"),
    counter("wal_bytes", "bytes", "s.wal_bytes", "bytes of WAL made"),
    counter("wal_buffers_full", "times", "s.wal_buffers_full", "times WAL buffers were full (1.12)",
            since(18)),
    counter("jit_functions", "functions", "s.jit_functions", "functions compiled (1.10)",
            since(15)),
    time_counter("jit_generation_time", "s.jit_generation_time",
                 "time of generating code for compilation (1.10)", since(15)),
    counter("jit_inlining_count", "times", "s.jit_inlining_count", "times of inlining (1.10)",
            since(15)),
    time_counter("jit_inlining_time", "s.jit_inlining_time", "time of inlining (1.10)", since(15)),
    counter("jit_optimization_count", "times", "s.jit_optimization_count",
            "times of optimization (1.10)", since(15)),
    time_counter("jit_optimization_time", "s.jit_optimization_time", "time of optimization (1.10)",
                 since(15)),
    counter("jit_emission_count", "times", "s.jit_emission_count",
            "times machine code was emitted (1.10)", since(15)),
    time_counter("jit_emission_time", "s.jit_emission_time", "time of emitting machine code (1.10)",
                 since(15)),
    counter("jit_deform_count", "functions", "s.jit_deform_count",
            "functions compiled to take rows apart (1.11)", since(17)),
    time_counter("jit_deform_time", "s.jit_deform_time", "time of compiling these (1.11)",
                 since(17)),
    counter("parallel_workers_to_launch", "processes", "s.parallel_workers_to_launch",
            "parallel workers planned (1.12)", since(18)),
    counter("parallel_workers_launched", "processes", "s.parallel_workers_launched",
            "parallel workers launched (1.12)", since(18)),
    counter("generic_plan_calls", "calls", "s.generic_plan_calls",
            "executions with a generic plan (1.13)", since(19)),
    counter("custom_plan_calls", "calls", "s.custom_plan_calls",
            "executions with a custom plan (1.13)", since(19)),
    moment("stats_since", "s.stats_since",
           "since when it is counted (1.11); before, see pg_query_stats.info stats_reset",
           since(17)),
    moment("minmax_stats_since", "s.minmax_stats_since",
           "since when least and greatest times are of (1.11)", since(17)),
};

#define PGANALYTICS_TEXTS(toplevel)                                                      \
    "FROM (SELECT DISTINCT ON (s.dbid, s.userid, " toplevel                              \
    ", s.queryid)"                                                                       \
    " s.dbid, s.userid, " toplevel                                                       \
    " AS toplevel, s.queryid, s.query\n"                                                 \
    "      FROM @schema@.pg_stat_statements("                                            \
    "COALESCE(pg_catalog.current_setting('pganalytics.query_text', true), 'normalized')" \
    " OPERATOR(pg_catalog.<>) 'none') s\n"                                               \
    "      WHERE s.queryid IS NOT NULL) s"

constexpr Source kTextsSources[] = {
    {PGANALYTICS_TEXTS("(s.queryid IS NOT NULL)"), kEver, between(108, 108)},
    {PGANALYTICS_TEXTS("s.toplevel"), kEver, since(109)},
};

constexpr Column kTexts[] = {
    key("dbid", kOid, "s.dbid", "OID of the database"),
    key("userid", kOid, "s.userid", "OID of the role"),
    key("toplevel", kBool, "s.toplevel",
        "whether it was sent by a client, as in pg_query_stats.statements"),
    key("queryid", kInt64, "s.queryid", "identifier of the statement"),
    statement("query", "s.query",
              "its text; what constants the extension has left in it (utility commands) are taken "
              "out; null while pganalytics.query_text is none"),
};

#define PGANALYTICS_INFO(version)                                                       \
    "FROM (SELECT pg_catalog.count(s.dbid) AS entries"                                  \
    " FROM @schema@.pg_stat_statements(false) s) n\n"                                   \
    "CROSS JOIN (SELECT d.oid, d.datname FROM pg_catalog.pg_database d WHERE d.datname" \
    " OPERATOR(pg_catalog.=) pg_catalog.current_database()) d\n"                        \
    "CROSS JOIN (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname"    \
    " OPERATOR(pg_catalog.=) 'pg_stat_statements') e\n"                                 \
    "CROSS JOIN " version " i"

constexpr Source kInfoSources[] = {
    {PGANALYTICS_INFO("(SELECT NULL::pg_catalog.int8 AS dealloc,"
                      " NULL::pg_catalog.timestamptz AS stats_reset)"),
     kEver, between(108, 108)},
    {PGANALYTICS_INFO("@schema@.pg_stat_statements_info()"), kEver, since(109)},
};

constexpr Column kInfo[] = {
    label("datid", kOid, "d.oid", "OID of the database it is read in"),
    label("datname", kText, "d.datname::pg_catalog.text", "name of that database"),
    label("extversion", kText, "e.extversion", "version of the extension there"),
    gauge("entries", kInt64, "statements", "n.entries", "statements it keeps now"),
    gauge("max_entries", kInt64, "statements",
          "pg_catalog.current_setting('pg_stat_statements.max')::pg_catalog.int8",
          "most it can keep (pg_stat_statements.max)"),
    label("track_planning", kBool,
          "pg_catalog.current_setting('pg_stat_statements.track_planning')::pg_catalog.bool",
          "whether planning is counted"),
    counter("dealloc", "times", "i.dealloc",
            "times the least used statements were thrown out to make room: what is gone was not "
            "reset (1.9)"),
    moment("stats_reset", "i.stats_reset", "when all statements were reset last (1.9)"),
};

constexpr std::string_view kExtension = "pg_stat_statements";

constexpr Rowset kRowsets[] = {
    {"pg_query_stats", "info", Scope::kCluster, 300, kInfoSources, kInfo,
     "pg_stat_statements itself: where it is, its version, how full it is, what it threw out",
     kExtension},
    {"pg_query_stats", "statements", Scope::kCluster, 0, kStatementsSources, kStatements,
     "statements by pg_stat_statements: executions, planning, blocks, WAL, JIT; the busiest one by "
     "one, all others in one row",
     kExtension},
    {"pg_query_stats", "texts", Scope::kCluster, 300, kTextsSources, kTexts,
     "texts of these statements; read rarely, each sent once", kExtension},
};

}  // namespace

std::span<const Rowset> pg_query_stats() { return kRowsets; }

}  // namespace pganalytics::parts

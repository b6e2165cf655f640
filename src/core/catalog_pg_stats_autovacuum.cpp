// Plugin pg_stats, rowset autovacuum: the thresholds autovacuum reckons for each table, by the
// server's own rules (relation_needs_vacanalyze), in its own precision, so that "overdue" is exact.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// The options of a TOAST table are its own where it has any, else its table's.
#define PGANALYTICS_OPTION(name)            \
    "pg_catalog.max(x.option_value) FILTER" \
    " (WHERE x.option_name OPERATOR(pg_catalog.=) 'autovacuum_" name "') AS "

#define PGANALYTICS_GLOBAL(name, type) \
    "pg_catalog.current_setting('autovacuum_" name "')::pg_catalog." type

#define PGANALYTICS_THRESHOLDS(tuples, newer_settings, scores) \
    "FROM (SELECT " PGANALYTICS_GLOBAL("vacuum_threshold", "int4") " AS vacuum_threshold,\n"    \
    "             " PGANALYTICS_GLOBAL("vacuum_scale_factor", "float8") " AS vacuum_factor,\n"  \
    "             " PGANALYTICS_GLOBAL("vacuum_insert_threshold", "int4") " AS insert_threshold,\n" \
    "             " PGANALYTICS_GLOBAL("vacuum_insert_scale_factor", "float8") " AS insert_factor,\n" \
    "             " PGANALYTICS_GLOBAL("analyze_threshold", "int4") " AS analyze_threshold,\n"  \
    "             " PGANALYTICS_GLOBAL("analyze_scale_factor", "float8") " AS analyze_factor,\n" \
    "             " PGANALYTICS_GLOBAL("freeze_max_age", "int8") " AS freeze_age,\n"            \
    "             " PGANALYTICS_GLOBAL("multixact_freeze_max_age", "int8") " AS mxid_age,\n"    \
    "             " newer_settings                                                             \
    "pg_catalog.current_setting('autovacuum')::pg_catalog.bool"                                 \
    " AND pg_catalog.current_setting('track_counts')::pg_catalog.bool AS is_on\n"               \
    "      OFFSET 0) g\n"                                                                       \
    "CROSS JOIN pg_catalog.pg_class c\n"                                                        \
    "LEFT JOIN (SELECT m.reltoastrelid, m.reloptions FROM pg_catalog.pg_class m\n"              \
    "           WHERE m.reltoastrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid) m\n"           \
    "     ON m.reltoastrelid OPERATOR(pg_catalog.=) c.oid\n"                                    \
    "CROSS JOIN LATERAL (\n"                                                                    \
    "    SELECT " tuples                                                                       \
    " AS tuples, o.* FROM (\n"                                                                  \
    "    SELECT " PGANALYTICS_OPTION("enabled") "enabled,\n"                                    \
    "           " PGANALYTICS_OPTION("vacuum_threshold") "vacuum_threshold,\n"                  \
    "           " PGANALYTICS_OPTION("vacuum_scale_factor") "vacuum_factor,\n"                  \
    "           " PGANALYTICS_OPTION("vacuum_max_threshold") "vacuum_max,\n"                    \
    "           " PGANALYTICS_OPTION("vacuum_insert_threshold") "insert_threshold,\n"           \
    "           " PGANALYTICS_OPTION("vacuum_insert_scale_factor") "insert_factor,\n"           \
    "           " PGANALYTICS_OPTION("analyze_threshold") "analyze_threshold,\n"                \
    "           " PGANALYTICS_OPTION("analyze_scale_factor") "analyze_factor,\n"                \
    "           " PGANALYTICS_OPTION("freeze_max_age") "freeze_age,\n"                          \
    "           " PGANALYTICS_OPTION("multixact_freeze_max_age") "mxid_age\n"                   \
    "    FROM pg_catalog.pg_options_to_table(COALESCE(c.reloptions, m.reloptions)) x) o) o\n"   \
    scores                                                                                     \
    "WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog.\"char\"[])\n"           \
    "  AND c.relpersistence OPERATOR(pg_catalog.<>) 't'"

#define PGANALYTICS_TUPLES "GREATEST(c.reltuples, 0::pg_catalog.float4)"
#define PGANALYTICS_MAX                                \
    PGANALYTICS_GLOBAL("vacuum_max_threshold", "int4") \
    " AS vacuum_max,\n"                                \
    "             "

constexpr Source kSources[] = {
    {PGANALYTICS_THRESHOLDS("c.reltuples", "", ""), until(13)},
    {PGANALYTICS_THRESHOLDS(PGANALYTICS_TUPLES, "", ""), between(14, 17)},
    {PGANALYTICS_THRESHOLDS(PGANALYTICS_TUPLES, PGANALYTICS_MAX, ""), between(18, 18)},
    {PGANALYTICS_THRESHOLDS(PGANALYTICS_TUPLES, PGANALYTICS_MAX,
                            "LEFT JOIN pg_catalog.pg_stat_get_autovacuum_scores() v"
                            " ON v.oid OPERATOR(pg_catalog.=) c.oid\n"),
     since(19)},
};

// Four-byte floats throughout, as the server reckons.
#define PGANALYTICS_BASE(name) \
    "COALESCE(o." name "_threshold::pg_catalog.int4, g." name "_threshold)"
#define PGANALYTICS_FACTOR(name) \
    "COALESCE(o." name "_factor::pg_catalog.float8, g." name "_factor)::pg_catalog.float4"
#define PGANALYTICS_THRESHOLD(name)                                    \
    PGANALYTICS_BASE(name)                                             \
    "::pg_catalog.float4 OPERATOR(pg_catalog.+) (" PGANALYTICS_FACTOR( \
        name) " OPERATOR(pg_catalog.*) o.tuples"

constexpr Column threshold(std::string_view name, std::string_view sql, std::string_view help,
                           Versions versions = kEver) {
    return gauge(name, kFloat64, "rows", sql, help, versions);
}

constexpr Column score(std::string_view name, std::string_view sql, std::string_view help) {
    return gauge(name, kFloat64, "", sql, help, since(19));
}

constexpr std::string_view kVacuumHelp =
    "vacuum is due when pg_stats.tables n_dead_tup is above it";
constexpr std::string_view kInsertHelp =
    "vacuum is due when pg_stats.tables n_ins_since_vacuum is above it; null where inserts alone "
    "make none";

constexpr Column kAutovacuum[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the table, TOAST table or materialized view"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    gauge("enabled", kBool, "", "g.is_on AND COALESCE(o.enabled::pg_catalog.bool, true)",
          "whether autovacuum looks at the thresholds; against wraparound it works in any case"),
    threshold("vacuum_threshold", "(" PGANALYTICS_THRESHOLD("vacuum") "))::pg_catalog.float8",
              kVacuumHelp, until(17)),
    threshold(
        "vacuum_threshold",
        "CASE WHEN COALESCE(o.vacuum_max::pg_catalog.int4, g.vacuum_max)"
        " OPERATOR(pg_catalog.>=) 0 THEN LEAST(" PGANALYTICS_THRESHOLD(
            "vacuum") "),"
                      " COALESCE(o.vacuum_max::pg_catalog.int4, g.vacuum_max)::pg_catalog.float4)"
                      " ELSE " PGANALYTICS_THRESHOLD("vacuum") ") END::pg_catalog.float8",
        kVacuumHelp, since(18)),
    threshold("insert_threshold",
              "CASE WHEN " PGANALYTICS_BASE("insert") " OPERATOR(pg_catalog.>=) 0"
                                                      " THEN (" PGANALYTICS_THRESHOLD(
                                                          "insert") "))::pg_catalog.float8 END",
              kInsertHelp, until(17)),
    // Since 18 the part of the table that is not frozen yet counts.
    threshold("insert_threshold",
              "CASE WHEN " PGANALYTICS_BASE(
                  "insert") " OPERATOR(pg_catalog.>=) 0"
                            " THEN (" PGANALYTICS_THRESHOLD(
                                "insert") " OPERATOR(pg_catalog.*) CASE WHEN c.relpages "
                                          "OPERATOR(pg_catalog.>) 0"
                                          " AND c.relallfrozen OPERATOR(pg_catalog.>) 0"
                                          " THEN 1::pg_catalog.float4 OPERATOR(pg_catalog.-)"
                                          " (LEAST(c.relallfrozen, c.relpages)::pg_catalog.float4"
                                          " OPERATOR(pg_catalog./) c.relpages::pg_catalog.float4)"
                                          " ELSE 1::pg_catalog.float4 END))::pg_catalog.float8 END",
              kInsertHelp, since(18)),
    threshold("analyze_threshold",
              "CASE WHEN c.relkind OPERATOR(pg_catalog.<>) 't'"
              " THEN (" PGANALYTICS_THRESHOLD("analyze") "))::pg_catalog.float8 END",
              "analyze is due when pg_stats.tables n_mod_since_analyze is above it; null for a "
              "TOAST table"),
    gauge("freeze_max_age", kInt64, "transactions",
          "LEAST(o.freeze_age::pg_catalog.int8, g.freeze_age)",
          "age of relfrozenxid at which it is vacuumed in any case"),
    gauge("multixact_freeze_max_age", kInt64, "transactions",
          "LEAST(o.mxid_age::pg_catalog.int8, g.mxid_age)",
          "age of relminmxid at which it is vacuumed in any case; less while the space for members "
          "of multixacts is scarce"),
    score("score", "v.score", "how urgent the server finds it: the largest of its scores"),
    score("xid_score", "v.xid_score", "urgency by the age of relfrozenxid"),
    score("mxid_score", "v.mxid_score", "urgency by the age of relminmxid"),
    score("vacuum_score", "v.vacuum_score", "urgency by dead rows"),
    score("vacuum_insert_score", "v.vacuum_insert_score", "urgency by inserted rows"),
    score("analyze_score", "v.analyze_score", "urgency of an analyze"),
    gauge("do_vacuum", kBool, "", "v.do_vacuum", "whether the server would vacuum it now",
          since(19)),
    gauge("do_analyze", kBool, "", "v.do_analyze", "whether the server would analyze it now",
          since(19)),
    gauge("for_wraparound", kBool, "", "v.for_wraparound",
          "whether that vacuum is one against wraparound", since(19)),
};

#undef PGANALYTICS_OPTION
#undef PGANALYTICS_GLOBAL
#undef PGANALYTICS_THRESHOLDS
#undef PGANALYTICS_TUPLES
#undef PGANALYTICS_MAX
#undef PGANALYTICS_BASE
#undef PGANALYTICS_FACTOR
#undef PGANALYTICS_THRESHOLD

constexpr Rowset kRowsets[] = {
    changing_with_definitions(
        {"pg_stats", "autovacuum", Scope::kDatabase, 600, kSources, kAutovacuum,
         "what autovacuum goes by for each table, reckoned from settings, options and size"},
        kWithVacuums | kWithSettings, 18),
};

}  // namespace

std::span<const Rowset> pg_stats_autovacuum() { return kRowsets; }

}  // namespace pganalytics::parts

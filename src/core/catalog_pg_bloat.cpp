// Plugin pg_bloat: how much of tables and b-tree indexes is empty, estimated from statistics.
//
// Nothing of a relation is read: pages and rows are those of the last vacuum or analyze, widths
// those of the last analyze (pg_stats). What a role may not see there, or nobody has analyzed,
// makes the estimate null. From the widths follows how many pages the rows need when they are
// packed as CREATE INDEX or VACUUM FULL would, with the relation's fillfactor; what it has more is
// the estimate.
//
// How wide a row is depends on the padding between its columns. Fixed columns without nulls are
// laid out as the server does: a run begins at each column that is aligned to 8, a part of it at
// each that is aligned to 4, and each of them fills up to the next. Where a width varies, half the
// padding is taken.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// Of each relation: bytes of a row's columns, whether any is null, part of the rows whose only
// column is null, different keys.
#define PGANALYTICS_WIDTHS(nulls, columns)                                               \
    "(\n"                                                                                \
    "SELECT r.relation, CASE WHEN pg_catalog.bool_and(r.known) THEN"                     \
    " pg_catalog.sum(r.width) END AS width,\n"                                           \
    "pg_catalog.bool_or(r.nulls) AS nulls, pg_catalog.max(r.null_part) AS null_part,"    \
    " pg_catalog.exp(LEAST(pg_catalog.sum(r.log_keys), 700::pg_catalog.float8)) AS"      \
    " keys\n"                                                                            \
    "FROM (SELECT r.relation, pg_catalog.bool_and(r.known) AS known,"                    \
    " pg_catalog.bool_or(r.nulls) AS nulls,\n"                                           \
    "pg_catalog.max(r.null_part) AS null_part, pg_catalog.sum(r.log_keys) AS"            \
    " log_keys,\n"                                                                       \
    "CASE WHEN pg_catalog.bool_and(r.exact) THEN"                                        \
    " pg_catalog.ceil(pg_catalog.sum(r.width) OPERATOR(pg_catalog./)"                    \
    " 8::pg_catalog.float8) OPERATOR(pg_catalog.*) 8::pg_catalog.float8\n"               \
    "ELSE pg_catalog.sum(r.width) OPERATOR(pg_catalog.+) 2::pg_catalog.float8 END AS"    \
    " width\n"                                                                           \
    "FROM (SELECT r.relation, r.run, pg_catalog.bool_and(r.known) AS known,"             \
    " pg_catalog.bool_or(r.nulls) AS nulls,\n"                                           \
    "pg_catalog.bool_and(r.exact) AS exact, pg_catalog.max(r.null_part) AS null_part,\n" \
    "pg_catalog.sum(r.log_keys) AS log_keys,\n"                                          \
    "CASE WHEN pg_catalog.bool_and(r.exact)\n"                                           \
    "THEN pg_catalog.ceil(pg_catalog.sum(r.width) OPERATOR(pg_catalog./)"                \
    " 4::pg_catalog.float8) OPERATOR(pg_catalog.*) 4::pg_catalog.float8\n"               \
    "ELSE pg_catalog.sum(r.width) OPERATOR(pg_catalog.+) 1.5::pg_catalog.float8 END"     \
    " AS width\n"                                                                        \
    "FROM (SELECT t.attrelid AS relation, s.avg_width IS NOT NULL AS known,\n"           \
    "" nulls                                                                             \
    " OPERATOR(pg_catalog.>) 0::pg_catalog.float4 AS nulls,\n"                           \
    "t.attlen OPERATOR(pg_catalog.>) 0 AND " nulls                                       \
    " OPERATOR(pg_catalog.=)"                                                            \
    " 0::pg_catalog.float4 AS exact,\n"                                                  \
    "s.avg_width::pg_catalog.float8 OPERATOR(pg_catalog.*) (1::pg_catalog.float8"        \
    " OPERATOR(pg_catalog.-) (" nulls                                                    \
    ")::pg_catalog.float8) AS width,\n"                                                  \
    "pg_catalog.count(t.attrelid) FILTER (WHERE t.attalign OPERATOR(pg_catalog.=) 'd'\n" \
    "AND (t.attlen OPERATOR(pg_catalog.>) 0 OR s.avg_width OPERATOR(pg_catalog.>=)"      \
    " 127)) OVER w AS run,\n"                                                            \
    "pg_catalog.count(t.attrelid) FILTER (WHERE t.attalign OPERATOR(pg_catalog.=) ANY"   \
    " ('{d,i}'::pg_catalog.\"char\"[])\n"                                                \
    "AND (t.attlen OPERATOR(pg_catalog.>) 0 OR s.avg_width OPERATOR(pg_catalog.>=)"      \
    " 127)) OVER w AS part,\n" columns                                                   \
    "WINDOW w AS (PARTITION BY t.attrelid ORDER BY t.attnum)) r\n"                       \
    "GROUP BY r.relation, r.run, r.part) r\n"                                            \
    "GROUP BY r.relation, r.run) r\n"                                                    \
    "GROUP BY r.relation) w ON true\n"

// u: rows, as the relation has them; null where that was never found out. g, o: what it is set to.
#define PGANALYTICS_TUPLES                                                             \
    "CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::pg_catalog.float8"   \
    " AS block OFFSET 0) g\n"                                                          \
    "LEFT JOIN LATERAL (\n"                                                            \
    "SELECT pg_catalog.max(o.option_value) FILTER (WHERE o.option_name"                \
    " OPERATOR(pg_catalog.=) 'fillfactor')::pg_catalog.float8 AS fillfactor,\n"        \
    "pg_catalog.bool_and(o.option_value::pg_catalog.bool) FILTER (WHERE o.option_name" \
    " OPERATOR(pg_catalog.=) 'deduplicate_items')\n"                                   \
    "AS deduplicates\n"                                                                \
    "FROM pg_catalog.pg_options_to_table(c.reloptions) o) o ON true\n"                 \
    "CROSS JOIN LATERAL (\n"                                                           \
    "SELECT CASE WHEN c.reltuples OPERATOR(pg_catalog.>) 0::pg_catalog.float4 OR"      \
    " (c.reltuples OPERATOR(pg_catalog.=) 0::pg_catalog.float4 AND c.relpages"         \
    " OPERATOR(pg_catalog.>) 0)\n"                                                     \
    "THEN c.reltuples::pg_catalog.float8 END AS tuples) u\n"

constexpr Source kTablesSources[] = {
    {"FROM (SELECT c.oid, c.relname, c.relnamespace, c.relpages, c.reltuples,"
     " c.relnatts,\n"
     "c.reloptions FROM pg_catalog.pg_class c\n"
     "WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}'::pg_catalog.\"char\"[]) AND"
     " c.relpersistence OPERATOR(pg_catalog.<>) 't'\n"
     "ORDER BY c.relpages DESC, c.oid LIMIT 1000) c\n"
     "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace\n"
     "LEFT JOIN LATERAL \n" PGANALYTICS_WIDTHS(
         "s.null_frac",
         "NULL::pg_catalog.float8 AS null_part, NULL::pg_catalog.float8 AS log_keys\n"
         "FROM pg_catalog.pg_attribute t\n"
         "LEFT JOIN LATERAL (\n"
         "SELECT s.attname, s.null_frac, s.avg_width FROM pg_catalog.pg_stats s\n"
         "WHERE s.schemaname OPERATOR(pg_catalog.=) n.nspname AND s.tablename"
         " OPERATOR(pg_catalog.=) c.relname\n"
         "AND NOT s.inherited) s ON s.attname OPERATOR(pg_catalog.=) t.attname\n"
         "WHERE t.attrelid OPERATOR(pg_catalog.=) c.oid AND t.attnum"
         " OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT t.attisdropped\n") PGANALYTICS_TUPLES
     "CROSS JOIN LATERAL (\n"
     "SELECT w.width OPERATOR(pg_catalog.+) 4::pg_catalog.float8"
     " OPERATOR(pg_catalog.+) CASE WHEN w.nulls\n"
     "THEN (((30 OPERATOR(pg_catalog.+) ((c.relnatts OPERATOR(pg_catalog.+) 7)"
     " OPERATOR(pg_catalog./) 8)) OPERATOR(pg_catalog./) 8) OPERATOR(pg_catalog.*)"
     " 8)::pg_catalog.float8 ELSE 24::pg_catalog.float8 END AS bytes,\n"
     "(g.block OPERATOR(pg_catalog.*) COALESCE(o.fillfactor, 100::pg_catalog.float8)"
     " OPERATOR(pg_catalog./) 100::pg_catalog.float8) OPERATOR(pg_catalog.-)"
     " 24::pg_catalog.float8 AS room) z\n"
     "CROSS JOIN LATERAL (\n"
     "SELECT CASE WHEN z.bytes IS NOT NULL THEN\n"
     "pg_catalog.ceil(u.tuples OPERATOR(pg_catalog./) GREATEST(pg_catalog.floor(z.room"
     " OPERATOR(pg_catalog./) z.bytes), 1::pg_catalog.float8)) END AS pages) e\n",
     since(13)},
};

// Rows of a null alone are counted apart.
#define PGANALYTICS_NULLS                                                                   \
    "CASE WHEN x.indnatts OPERATOR(pg_catalog.>) 1::pg_catalog.int2 THEN s.null_frac WHEN " \
    "s.null_frac IS NOT NULL THEN 0::pg_catalog.float4 END"
constexpr Source kIndexesSources[] = {
    {"FROM (SELECT c.oid, c.relname, c.relnamespace, c.relpages, c.reltuples,"
     " c.reloptions\n"
     "FROM pg_catalog.pg_class c\n"
     "WHERE c.relkind OPERATOR(pg_catalog.=) 'i' AND c.relam OPERATOR(pg_catalog.=)"
     " 403::pg_catalog.oid AND c.relpersistence OPERATOR(pg_catalog.<>) 't'\n"
     "ORDER BY c.relpages DESC, c.oid LIMIT 1000) c\n"
     "JOIN pg_catalog.pg_index x ON x.indexrelid OPERATOR(pg_catalog.=) c.oid\n"
     "JOIN pg_catalog.pg_class m ON m.oid OPERATOR(pg_catalog.=) x.indrelid\n"
     "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace\n"
     "LEFT JOIN LATERAL \n" PGANALYTICS_WIDTHS(
         PGANALYTICS_NULLS,
         "CASE WHEN x.indnatts OPERATOR(pg_catalog.=) 1::pg_catalog.int2 THEN"
         " s.null_frac::pg_catalog.float8 END AS null_part,\n"
         "CASE WHEN t.attnum OPERATOR(pg_catalog.<=) x.indnkeyatts THEN"
         " pg_catalog.ln(GREATEST(1::pg_catalog.float8,\n"
         "CASE WHEN s.n_distinct OPERATOR(pg_catalog.>) 0::pg_catalog.float4 THEN"
         " s.n_distinct::pg_catalog.float8\n"
         "WHEN s.n_distinct OPERATOR(pg_catalog.<) 0::pg_catalog.float4 THEN"
         " m.reltuples::pg_catalog.float8\n"
         "OPERATOR(pg_catalog.*) (0::pg_catalog.float4 OPERATOR(pg_catalog.-)"
         " s.n_distinct)::pg_catalog.float8\n"
         "ELSE m.reltuples::pg_catalog.float8 END)) END AS log_keys\n"
         "FROM pg_catalog.pg_attribute t\n"
         "LEFT JOIN pg_catalog.pg_attribute ta ON ta.attrelid OPERATOR(pg_catalog.=)"
         " x.indrelid\n"
         "AND ta.attnum OPERATOR(pg_catalog.=) x.indkey[t.attnum OPERATOR(pg_catalog.-)"
         " 1::pg_catalog.int2]\n"
         "LEFT JOIN LATERAL (\n"
         "SELECT s.attname, s.null_frac, s.avg_width, s.n_distinct FROM"
         " pg_catalog.pg_stats s\n"
         "WHERE s.schemaname OPERATOR(pg_catalog.=) n.nspname AND s.tablename"
         " OPERATOR(pg_catalog.=) m.relname\n"
         "AND NOT s.inherited) s1 ON s1.attname OPERATOR(pg_catalog.=) ta.attname\n"
         "LEFT JOIN LATERAL (\n"
         "SELECT s.attname, s.null_frac, s.avg_width, s.n_distinct FROM"
         " pg_catalog.pg_stats s\n"
         "WHERE s.schemaname OPERATOR(pg_catalog.=) n.nspname AND s.tablename"
         " OPERATOR(pg_catalog.=) c.relname\n"
         "AND NOT s.inherited AND x.indexprs IS NOT NULL) s2\n"
         "ON s2.attname OPERATOR(pg_catalog.=) t.attname AND ta.attname IS NULL\n"
         "CROSS JOIN LATERAL (\n"
         "SELECT COALESCE(s1.null_frac, s2.null_frac) AS null_frac,\n"
         "COALESCE(s1.avg_width, s2.avg_width) AS avg_width,\n"
         "COALESCE(s1.n_distinct, s2.n_distinct) AS n_distinct) s\n"
         "WHERE t.attrelid OPERATOR(pg_catalog.=) c.oid\n") PGANALYTICS_TUPLES
     "CROSS JOIN (\n"
     "SELECT ARRAY(SELECT k.oid FROM pg_catalog.pg_opclass k\n"
     "JOIN pg_catalog.pg_amproc f ON f.amprocfamily OPERATOR(pg_catalog.=) k.opcfamily\n"
     "AND f.amproclefttype OPERATOR(pg_catalog.=) k.opcintype AND f.amprocrighttype"
     " OPERATOR(pg_catalog.=) k.opcintype\n"
     "AND f.amprocnum OPERATOR(pg_catalog.=) 4::pg_catalog.int2\n"
     "WHERE k.opcmethod OPERATOR(pg_catalog.=) 403::pg_catalog.oid) AS images,\n"
     "ARRAY(SELECT l.oid FROM pg_catalog.pg_collation l\n"
     "WHERE NOT l.collisdeterministic) AS vague OFFSET 0) d\n"
     "CROSS JOIN LATERAL (\n"
     "SELECT w.width OPERATOR(pg_catalog.+) CASE WHEN w.nulls THEN"
     " 20::pg_catalog.float8 ELSE 12::pg_catalog.float8 END AS bytes,\n"
     "(g.block OPERATOR(pg_catalog.*) COALESCE(o.fillfactor, 90::pg_catalog.float8)"
     " OPERATOR(pg_catalog./) 100::pg_catalog.float8) OPERATOR(pg_catalog.-)"
     " 40::pg_catalog.float8 AS room,\n"
     "u.tuples OPERATOR(pg_catalog.*) COALESCE(w.null_part, 0::pg_catalog.float8) AS"
     " null_tuples,\n"
     "u.tuples OPERATOR(pg_catalog.*) (1::pg_catalog.float8 OPERATOR(pg_catalog.-)"
     " COALESCE(w.null_part, 0::pg_catalog.float8)) AS tuples,\n"
     "NOT x.indisunique AND x.indnatts OPERATOR(pg_catalog.=) x.indnkeyatts AND"
     " COALESCE(o.deduplicates, true)\n"
     "AND x.indclass::pg_catalog.oid[] OPERATOR(pg_catalog.<@) d.images\n"
     "AND NOT (x.indcollation::pg_catalog.oid[] OPERATOR(pg_catalog.&&) d.vague) AS"
     " deduplicates) z\n"
     "CROSS JOIN LATERAL (\n"
     "SELECT CASE WHEN z.bytes IS NULL THEN NULL\n"
     "WHEN z.deduplicates AND w.keys OPERATOR(pg_catalog.>) 0::pg_catalog.float8 AND"
     " z.tuples OPERATOR(pg_catalog.>=) (2::pg_catalog.float8 OPERATOR(pg_catalog.*)"
     " w.keys)\n"
     "THEN ((z.tuples OPERATOR(pg_catalog.*) 6::pg_catalog.float8)"
     " OPERATOR(pg_catalog.+) (w.keys OPERATOR(pg_catalog.*) z.bytes\n"
     "OPERATOR(pg_catalog.*) pg_catalog.ceil((z.tuples OPERATOR(pg_catalog./) w.keys)"
     " OPERATOR(pg_catalog.*) 6::pg_catalog.float8\n"
     "OPERATOR(pg_catalog./) GREATEST((g.block OPERATOR(pg_catalog./)"
     " 10::pg_catalog.float8) OPERATOR(pg_catalog.-) z.bytes, 6::pg_catalog.float8))))\n"
     "OPERATOR(pg_catalog./) GREATEST(z.room OPERATOR(pg_catalog.-) z.bytes, z.bytes)\n"
     "ELSE z.tuples OPERATOR(pg_catalog./) GREATEST(pg_catalog.floor((z.room"
     " OPERATOR(pg_catalog.-) z.bytes) OPERATOR(pg_catalog./) z.bytes),"
     " 1::pg_catalog.float8) END AS filled,\n"
     "z.null_tuples OPERATOR(pg_catalog.*) CASE WHEN z.deduplicates THEN"
     " 6.1::pg_catalog.float8 ELSE 20::pg_catalog.float8 END\n"
     "OPERATOR(pg_catalog./) z.room AS of_nulls) v\n"
     "CROSS JOIN LATERAL (SELECT pg_catalog.ceil(v.filled OPERATOR(pg_catalog.+)"
     " v.of_nulls) AS leaves) y\n"
     "CROSS JOIN LATERAL (\n"
     "SELECT 1::pg_catalog.float8 OPERATOR(pg_catalog.+) y.leaves"
     " OPERATOR(pg_catalog.+) CASE WHEN y.leaves OPERATOR(pg_catalog.>)"
     " 1::pg_catalog.float8\n"
     "THEN pg_catalog.ceil(y.leaves OPERATOR(pg_catalog.*) z.bytes"
     " OPERATOR(pg_catalog./) ((g.block OPERATOR(pg_catalog.*) 0.7::pg_catalog.float8)"
     " OPERATOR(pg_catalog.-) 40::pg_catalog.float8))\n"
     "ELSE 0::pg_catalog.float8 END AS pages) e\n"
     "WHERE m.relkind OPERATOR(pg_catalog.<>) 't'\n",
     since(13)},
};

#undef PGANALYTICS_WIDTHS
#undef PGANALYTICS_TUPLES
#undef PGANALYTICS_NULLS

constexpr Column pages(std::string_view name, std::string_view sql, std::string_view help) {
    return gauge(name, kInt64, "pages", sql, help);
}

constexpr std::string_view kPages = "c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295";
constexpr std::string_view kPagesHelp = "its pages at the last vacuum, analyze or index build";
constexpr std::string_view kTuplesHelp = "its rows at that time; null where unknown";
constexpr std::string_view kEstimated = "e.pages::pg_catalog.int8";
constexpr std::string_view kEstimatedHelp =
    "estimate of the pages that its rows need; null where a column has no statistics, or none that "
    "the collecting role may see";
constexpr std::string_view kBloat =
    "(GREATEST((c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295)::pg_catalog.float8"
    " OPERATOR(pg_catalog.-) e.pages, CASE WHEN e.pages IS NOT NULL THEN 0::pg_catalog.float8 END)"
    " OPERATOR(pg_catalog.*) CASE WHEN e.pages IS NOT NULL THEN g.block END)::pg_catalog.int8";
constexpr std::string_view kBloatHelp =
    "estimate of the bytes that it has beyond these; a few percent of the relation mean nothing";

constexpr Column kTables[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the table or materialized view"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    pages("relpages", kPages, kPagesHelp),
    gauge("reltuples", kFloat64, "rows", "u.tuples", kTuplesHelp),
    gauge("estimated_row_bytes", kFloat64, "bytes", "z.bytes",
          "estimate of a row with header, padding and pointer"),
    pages("estimated_pages", kEstimated, kEstimatedHelp),
    gauge("estimated_bloat_bytes", kInt64, "bytes", kBloat, kBloatHelp),
};

constexpr Column kIndexes[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("indexrelid", kOid, "c.oid", "OID of the b-tree index"),
    label("relid", kOid, "x.indrelid", "OID of its table"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of both"),
    label("indexrelname", kText, "c.relname::pg_catalog.text", "name of the index"),
    pages("relpages", kPages, kPagesHelp),
    gauge("reltuples", kFloat64, "rows", "u.tuples", kTuplesHelp),
    gauge("estimated_row_bytes", kFloat64, "bytes", "z.bytes",
          "estimate of an entry with header, padding and pointer; equal ones may share it"),
    pages("estimated_pages", kEstimated, kEstimatedHelp),
    gauge("estimated_bloat_bytes", kInt64, "bytes", kBloat, kBloatHelp),
};

constexpr int kPeriod = 3600;
constexpr int kWhole = 12 * 3600;

constexpr Rowset kRowsets[] = {
    changing_with_definitions(
        {"pg_bloat",
         "tables",
         Scope::kDatabase,
         kPeriod,
         kTablesSources,
         kTables,
         "estimates of what is empty in the 1,000 largest tables and materialized views, from "
         "statistics",
         {},
         kWhole},
        kWithVacuums),
    changing_with_definitions(
        {"pg_bloat",
         "indexes",
         Scope::kDatabase,
         kPeriod,
         kIndexesSources,
         kIndexes,
         "estimates of what is empty in the 1,000 largest b-tree indexes, from statistics",
         {},
         kWhole},
        kWithVacuums),
};

}  // namespace

std::span<const Rowset> pg_bloat() { return kRowsets; }

}  // namespace pganalytics::parts

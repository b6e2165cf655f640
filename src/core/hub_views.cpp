// The views for people as SQL text (see the header). Runs in the hub worker.
#include "pganalytics/core/hub_views.hpp"

#include "pganalytics/core/hub_schema.hpp"

namespace pganalytics {

namespace {

constexpr std::string_view kDatabaseTables[] = {"pg_stats_databases", "pganalytics_fulls",
                                                "pganalytics_gone"};
constexpr std::string_view kTableTables[] = {"pg_stats_tables", "pg_stats_indexes",
                                             "pg_stats_databases", "pganalytics_fulls",
                                             "pganalytics_gone"};
constexpr std::string_view kIndexTables[] = {"pg_stats_indexes", "pg_stats_databases",
                                             "pganalytics_fulls", "pganalytics_gone"};

constexpr HubView kViews[] = {
    {"current_databases", "databases_at", "pg_stats_databases", "pg_stats.databases", "datid",
     false, kDatabaseTables},
    {"current_indexes", "indexes_at", "pg_stats_indexes", "pg_stats.indexes", "indexrelid", true,
     kIndexTables},
    {"current_tables", "tables_at", "pg_stats_tables", "pg_stats.tables", "relid", true,
     kTableTables},
};

constexpr std::string_view kArguments = "(collector uuid, at timestamp with time zone)";

// What both kinds of function read in the end. Where a database is meant, that of `f`. Nested loops
// are off in it: rows and marks of what is gone can be many, whatever the planner thinks.
std::string state_query(const HubView& view) {
    const std::string key = quote_identifier(view.key);
    const std::string where =
        std::string(" WHERE r.collector_id = collector AND r.\"time\" BETWEEN f.since AND at") +
        (view.of_database ? " AND r.datid = f.datid" : "");
    return "RETURN QUERY\n"
           "    SELECT l.* FROM (\n"
           "        SELECT DISTINCT ON (r." +
           key + ") r.* FROM " + qualified_table(view.table) + " r\n        " + where +
           "\n         ORDER BY r." + key + ", r.\"time\" DESC) l\n" +
           "      LEFT JOIN (\n"
           "        SELECT (r.key ->> " +
           quote_literal(view.key) +
           ")::oid AS gone_key, max(r.\"time\") AS gone_time\n"
           "          FROM pganalytics.pganalytics_gone r\n        " +
           where + " AND r.rowset = " + quote_literal(view.rowset) +
           "\n         GROUP BY 1) g ON g.gone_key = l." + key +
           "\n     WHERE g.gone_time IS NULL OR g.gone_time <= l.\"time\";\n";
}

// Since when rows count: what a full rowset left out on purpose is not current either. Where none
// was complete (an error or a timeout cut each), since the first one: nothing proves anything gone
// then.
std::string last_full(const HubView& view) {
    const std::string datid = view.of_database ? "u.datid, " : "";
    return "SELECT " + datid +
           "coalesce(max(u.\"time\") FILTER (WHERE (u.complete OR u.left_out > 0)"
           " AND w.value IS NOT FALSE),"
           " min(u.\"time\"))"
           " AS since\n"
           "          FROM pganalytics.pganalytics_fulls u\n"
           "         CROSS JOIN LATERAL pganalytics.is_whole(u.collector_id, u.cycle) w(value)\n"
           "         WHERE u.collector_id = collector AND u.rowset = " +
           quote_literal(view.rowset) +
           "\n           AND u.\"time\" BETWEEN at - INTERVAL '25 hours' AND at\n" +
           (view.of_database ? "         GROUP BY u.datid\n" : "");
}

// What was read in a database that is dropped is no longer current. Where nothing is known of
// databases, all count.
constexpr std::string_view kKnownDatabases =
    "    known := ARRAY(SELECT d.datid FROM pganalytics.databases_at(collector, at) d);\n";
constexpr std::string_view kSkipUnknown =
    "        CONTINUE WHEN cardinality(known) > 0 AND NOT f.datid = ANY (known);\n";

std::string function_body(const HubView& view) {
    std::string body =
        "#variable_conflict use_column\nDECLARE\n    f record;\n    known oid[];\nBEGIN\n";
    if (view.of_database) body += kKnownDatabases;
    body += "    FOR f IN " + last_full(view) + "    LOOP\n";
    if (view.of_database) body += kSkipUnknown;
    return body + state_query(view) + "    END LOOP;\nEND\n";
}

// What pg_stat_all_tables adds up from a table's indexes.
constexpr std::string_view kIndexSums =
    "  LEFT JOIN LATERAL (\n"
    "    SELECT i.datid, i.relid,\n"
    "           pg_catalog.sum(i.idx_scan)::pg_catalog.int8 AS idx_scan,\n"
    "           pg_catalog.sum(i.idx_tup_fetch)::pg_catalog.int8 AS idx_tup_fetch,\n"
    "           pg_catalog.sum(i.idx_blks_fetched)::pg_catalog.int8 AS idx_blks_fetched,\n"
    "           pg_catalog.sum(i.idx_blks_hit)::pg_catalog.int8 AS idx_blks_hit\n"
    "      FROM pganalytics.indexes_at(c.collector_id, c.last_time) i\n"
    "     GROUP BY i.datid, i.relid) x ON x.datid = t.datid AND x.relid = t.relid\n";
constexpr std::string_view kIndexSumColumns =
    ", x.idx_scan, t.tuples_fetched + x.idx_tup_fetch AS idx_tup_fetch,"
    " x.idx_blks_fetched, x.idx_blks_hit";

std::string_view comment(const HubView& view) {
    if (view.name == "current_databases") return "databases of every server, as last reported";
    if (view.name == "current_indexes") return "indexes of every server, as last reported";
    return "tables of every server, as last reported, with the sums of their indexes";
}

}  // namespace

std::span<const HubView> hub_views() { return kViews; }

std::string create_state_function_sql(const HubView& view) {
    const std::string name = "pganalytics." + std::string(view.function);
    const std::string signature = name + "(uuid, timestamp with time zone)";
    return "CREATE OR REPLACE FUNCTION " + name + std::string(kArguments) + " RETURNS SETOF " +
           qualified_table(view.table) +
           "\nLANGUAGE plpgsql STABLE ROWS 10000 COST 10000\n"
           "SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off\n"
           "AS $$\n" +
           function_body(view) + "$$;\nCOMMENT ON FUNCTION " + signature + " IS " +
           quote_literal("state of " + std::string(view.rowset) + " of a collector at a time") +
           ";\nREVOKE ALL ON FUNCTION " + signature + " FROM PUBLIC;\nGRANT EXECUTE ON FUNCTION " +
           signature + " TO pg_monitor";
}

std::string create_view_sql(const HubView& view, std::span<const std::string> columns) {
    const std::string name = qualified_table(view.name);
    const bool sums = view.name == "current_tables";
    std::string sql =
        "CREATE OR REPLACE VIEW " + name + " AS\nSELECT c.name AS server, c.collector_id";
    for (const std::string& column : columns) {
        if (column != "collector_id") sql += ", t." + quote_identifier(column);
    }
    if (sums) sql += kIndexSumColumns;
    sql += "\n  FROM pganalytics.collectors c\n CROSS JOIN LATERAL pganalytics." +
           std::string(view.function) + "(c.collector_id, c.last_time) t\n";
    if (sums) sql += kIndexSums;
    return sql + ";\nCOMMENT ON VIEW " + name + " IS " + quote_literal(comment(view)) +
           ";\nGRANT SELECT ON " + name + " TO pg_monitor";
}

std::string drop_view_sql(const HubView& view) {
    return "DROP VIEW IF EXISTS " + qualified_table(view.name);
}

}  // namespace pganalytics

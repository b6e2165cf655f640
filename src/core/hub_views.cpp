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
    {"current_databases", kDatabaseTables},
    {"current_tables", kTableTables},
    {"current_indexes", kIndexTables},
};

// A rowset that a view shows the state of.
struct Subject {
    std::string_view table;   // "pg_stats_tables"
    std::string_view rowset;  // as pganalytics.fulls and .gone name it
    std::string_view key;     // beside datid, where rows are of a database
    bool of_database;
};
constexpr Subject kDatabases = {"pg_stats_databases", "pg_stats.databases", "datid", false};
constexpr Subject kTables = {"pg_stats_tables", "pg_stats.tables", "relid", true};
constexpr Subject kIndexes = {"pg_stats_indexes", "pg_stats.indexes", "indexrelid", true};

// Times of the last complete full rowset, `since`; of a database's rowset one for each datid.
std::string last_full(const Subject& subject) {
    std::string sql = "SELECT ";
    if (subject.of_database) sql += "u.datid, ";
    sql +=
        "pg_catalog.max(u.\"time\") AS since FROM pganalytics.pganalytics_fulls u"
        " WHERE u.collector_id = c.collector_id AND u.rowset = ";
    sql += quote_literal(subject.rowset);
    sql += " AND u.complete AND u.\"time\" >= c.last_time - INTERVAL '25 hours'";
    if (subject.of_database) sql += " GROUP BY u.datid";
    return sql;
}

// Rows and the marks of keys gone as one list, of which the latest of each key counts: a join of
// the two could be planned as a loop over both. `full` is the alias of last_full().
std::string latest(const Subject& subject, std::string_view full,
                   std::span<const std::string> columns) {
    const std::string since(full);
    const std::string key = quote_identifier(subject.key);
    const std::string datid = subject.of_database ? " AND r.datid = " + since + ".datid" : "";
    std::string rows = "SELECT false AS is_gone";
    std::string marks = "SELECT true";
    for (const std::string& column : columns) {
        const std::string name = quote_identifier(column);
        rows += ", r." + name;
        if (column == "time") {
            marks += ", r.\"time\"";
        } else if (column == subject.key) {
            marks += ", (r.key ->> " + quote_literal(subject.key) + ")::pg_catalog.oid";
        } else {
            marks += ", NULL";
        }
    }
    const std::string where =
        " WHERE r.collector_id = c.collector_id" + datid + " AND r.\"time\" >= " + since + ".since";
    return "SELECT DISTINCT ON (l." + key + ") l.* FROM (\n        " + rows + " FROM " +
           qualified_table(subject.table) + " r" + where + "\n        UNION ALL\n        " + marks +
           " FROM pganalytics.pganalytics_gone r" + where +
           " AND r.rowset = " + quote_literal(subject.rowset) + ") l\n        ORDER BY l." + key +
           ", l.\"time\" DESC, l.is_gone";
}

// The databases there are: what was read in one that is dropped is no longer current. Null where
// nothing is known of databases.
std::string known_databases() {
    const std::string columns[] = {"time", "datid"};
    return "CROSS JOIN LATERAL (\n    SELECT pg_catalog.array_agg(k.datid) AS datids FROM (" +
           last_full(kDatabases) + ") w\n    CROSS JOIN LATERAL (" +
           latest(kDatabases, "w", columns) + ") k WHERE NOT k.is_gone) known\n";
}

constexpr std::string_view kWhereKnown =
    "WHERE NOT t.is_gone AND (known.datids IS NULL OR t.datid = ANY (known.datids))";

std::string from_state(const Subject& subject, std::span<const std::string> columns) {
    return "FROM pganalytics.collectors c\nCROSS JOIN LATERAL (" + last_full(subject) +
           ") f\nCROSS JOIN LATERAL (" + latest(subject, "f", columns) + ") t\n";
}

// What pg_stat_all_tables adds up from a table's indexes.
std::string index_sums() {
    const std::string columns[] = {"time",     "datid",         "indexrelid",       "relid",
                                   "idx_scan", "idx_tup_fetch", "idx_blks_fetched", "idx_blks_hit"};
    std::string sql = "LEFT JOIN LATERAL (\n    SELECT i.relid";
    for (const char* column : {"idx_scan", "idx_tup_fetch", "idx_blks_fetched", "idx_blks_hit"})
        sql += ", pg_catalog.sum(i." + std::string(column) + ")::pg_catalog.int8 AS " + column;
    return sql + "\n      FROM (" + last_full(kIndexes) + ") w\n     CROSS JOIN LATERAL (" +
           latest(kIndexes, "w", columns) +
           ") i\n     WHERE w.datid = f.datid AND NOT i.is_gone\n     GROUP BY i.relid) x ON "
           "x.relid = t.relid\n";
}

std::string select_list(std::span<const std::string> columns) {
    std::string sql = "SELECT c.name AS server, c.collector_id";
    for (const std::string& column : columns) {
        if (column != "collector_id") sql += ", t." + quote_identifier(column);
    }
    return sql;
}

std::string body(const HubView& view, std::span<const std::string> columns) {
    if (view.name == "current_databases")
        return select_list(columns) + "\n" + from_state(kDatabases, columns) +
               "WHERE NOT t.is_gone";
    if (view.name == "current_indexes")
        return select_list(columns) + "\n" + from_state(kIndexes, columns) + known_databases() +
               std::string(kWhereKnown);
    return select_list(columns) +
           ", x.idx_scan, t.tuples_fetched + x.idx_tup_fetch AS idx_tup_fetch,"
           " x.idx_blks_fetched, x.idx_blks_hit\n" +
           from_state(kTables, columns) + index_sums() + known_databases() +
           std::string(kWhereKnown);
}

std::string_view comment(const HubView& view) {
    if (view.name == "current_databases") return "databases of every server, as last reported";
    if (view.name == "current_indexes") return "indexes of every server, as last reported";
    return "tables of every server, as last reported, with the sums of their indexes";
}

}  // namespace

std::span<const HubView> hub_views() { return kViews; }

std::string create_view_sql(const HubView& view, std::span<const std::string> columns) {
    const std::string name = qualified_table(view.name);
    return "CREATE OR REPLACE VIEW " + name + " AS\n" + body(view, columns) +
           ";\nCOMMENT ON VIEW " + name + " IS " + quote_literal(comment(view)) +
           ";\nGRANT SELECT ON " + name + " TO pg_monitor";
}

std::string drop_view_sql(const HubView& view) {
    return "DROP VIEW IF EXISTS " + qualified_table(view.name);
}

}  // namespace pganalytics

// The history of schemas as SQL text (see the header). Runs in the hub worker.
#include "pganalytics/core/hub_schema_changes.hpp"

#include "pganalytics/core/hub_schema.hpp"

namespace pganalytics {

namespace {

enum class Of : uint8_t { kDatabase, kServer };

struct ObjectKind {
    std::string_view name;
    Of of;
    std::string_view plugin;
    std::string_view rowset;
    std::string_view key;
    std::string_view second_key;  // empty: none
    std::string_view object;      // what people call it, from a state in jsonb
    std::string_view digest = "r.digest";

    std::string table() const {
        return qualified_table(std::string(plugin) + "_" + std::string(rowset));
    }
    std::string full_name() const {
        return quote_literal(std::string(plugin) + "." + std::string(rowset));
    }
    // The database of a row `of`; 0 for what the server has.
    std::string datid(std::string_view of_row) const {
        return of == Of::kServer ? "0::oid" : std::string(of_row) + ".datid";
    }
};

constexpr ObjectKind kKinds[] = {
    {"database", Of::kServer, "pg_schema", "databases", "datid", "",
     "format('%I', s.state ->> 'datname')"},
    {"tablespace", Of::kServer, "pg_schema", "tablespaces", "oid", "",
     "format('%I', s.state ->> 'spcname')"},
    {"role", Of::kServer, "pg_roles", "roles", "oid", "", "format('%I', s.state ->> 'rolname')",
     "md5((to_jsonb(r) - ARRAY['time', 'collector_id'])::text)"},
    {"relation", Of::kDatabase, "pg_schema", "relations", "relid", "",
     "format('%I.%I', s.state ->> 'schemaname', s.state ->> 'relname')"},
    {"column", Of::kDatabase, "pg_schema", "columns", "relid", "attnum",
     "format('%I.%I.%I', s.state ->> 'schemaname', s.state ->> 'relname',"
     " s.state ->> 'attname')"},
    {"constraint", Of::kDatabase, "pg_schema", "constraints", "conid", "",
     "format('%I on %I.%I', s.state ->> 'conname', s.state ->> 'schemaname',"
     " coalesce(s.state ->> 'relname', s.state ->> 'typname'))"},
    {"trigger", Of::kDatabase, "pg_schema", "triggers", "tgid", "",
     "format('%I on %I.%I', s.state ->> 'tgname', s.state ->> 'schemaname',"
     " s.state ->> 'relname')"},
    {"index", Of::kDatabase, "pg_schema", "indexes", "indexrelid", "",
     "format('%I.%I', s.state ->> 'schemaname', s.state ->> 'indexrelname')"},
};

constexpr std::string_view kTables[] = {
    "pg_schema_databases", "pg_schema_tablespaces", "pg_roles_roles",     "pg_schema_relations",
    "pg_schema_columns",   "pg_schema_constraints", "pg_schema_triggers", "pg_schema_indexes",
    "pganalytics_fulls",   "pganalytics_gone"};

constexpr std::string_view kSignature =
    "pganalytics.schema_changes_of(uuid, timestamp with time zone, timestamp with time zone)";

// A full rowset comes each day at the latest.
#define PGANALYTICS_WINDOW(row)                                                                  \
    row ".collector_id = collector AND " row ".\"time\" >= since - INTERVAL '25 hours' AND " row \
        ".\"time\" <= until"

std::string second(const ObjectKind& kind, std::string_view of_row, std::string_view otherwise) {
    if (kind.second_key.empty()) return std::string(otherwise);
    return std::string(of_row) + std::string(kind.second_key);
}

// Rows and marks of what is gone in one line for each object, with their neighbours, and the first
// complete full rowset that comes after each. What was left out, as too many, is not gone.
std::string lines_of(const ObjectKind& kind) {
    const std::string rowset = kind.full_name();
    const std::string key(kind.key);
    const std::string second_gone =
        kind.second_key.empty() ? "0"
                                : "(g.key ->> " + quote_literal(kind.second_key) + ")::bigint";
    return "    WITH fulls AS (\n"
           "        SELECT u.datid, array_agg(u.\"time\" ORDER BY u.\"time\") AS times\n"
           "          FROM pganalytics.pganalytics_fulls u\n"
           "         CROSS JOIN LATERAL pganalytics.is_whole(u.collector_id, u.cycle) w(value)\n"
           "         WHERE " PGANALYTICS_WINDOW("u") " AND u.rowset = " +
           rowset +
           "\n           AND u.complete AND w.value IS NOT FALSE\n"
           "         GROUP BY u.datid\n"
           "    ), entries AS (\n"
           "        SELECT " +
           kind.datid("r") + " AS datid, r." + key + " AS id, " + second(kind, "r.", "0::bigint") +
           " AS number, r.\"time\", " + std::string(kind.digest) +
           " AS digest, false AS gone\n"
           "          FROM " +
           kind.table() + " r\n" +
           "         WHERE " PGANALYTICS_WINDOW("r") "\n"
           "        UNION ALL\n"
           "        SELECT " +
           kind.datid("g") + ", (g.key ->> " +
           quote_literal(kind.key) + ")::oid, " + second_gone +
           ", g.\"time\", NULL, true\n"
           "          FROM pganalytics.pganalytics_gone g\n"
           "         WHERE " PGANALYTICS_WINDOW("g") " AND g.left_out IS NOT TRUE AND g.rowset = " +
           rowset +
           "\n    ), lines AS (\n"
           "        SELECT e.*, f.times,\n"
           "               f.times[width_bucket(e.\"time\", f.times) + 1] AS next_full,\n"
           "               lag(e.\"time\") OVER w AS p_time, lag(e.digest) OVER w AS p_digest,\n"
           "               lag(e.gone) OVER w AS p_gone, lead(e.\"time\") OVER w AS n_time\n"
           "          FROM entries e\n"
           "          LEFT JOIN fulls f ON f.datid = e.datid\n"
           "        WINDOW w AS (PARTITION BY e.datid, e.id, e.number ORDER BY e.\"time\")\n"
           "    ), steps AS (\n"
           "        SELECT l.*, l.p_time IS NOT NULL AND NOT l.p_gone\n"
           "                    AND (l.times[width_bucket(l.p_time, l.times) + 1] < l.\"time\")\n"
           "                        IS NOT TRUE AS p_there\n"
           "          FROM lines l\n";
}

// What happened, with the times of the rows that tell the states before and after.
constexpr std::string_view kEvents =
    "    ), events AS (\n"
    "        SELECT s.datid, s.id, s.number, s.\"time\",\n"
    "               CASE WHEN s.p_there THEN 'changed' ELSE 'created' END AS change,\n"
    "               CASE WHEN s.p_there THEN s.p_time END AS before_time,\n"
    "               s.\"time\" AS after_time\n"
    "          FROM steps s\n"
    "         WHERE NOT s.gone AND CASE WHEN s.p_there THEN s.digest IS DISTINCT FROM s.p_digest\n"
    "               ELSE s.p_time IS NOT NULL OR s.times[1] < s.\"time\" END\n"
    "        UNION ALL\n"
    "        SELECT s.datid, s.id, s.number, s.\"time\", 'dropped', s.p_time, NULL\n"
    "          FROM steps s WHERE s.gone AND s.p_there\n"
    "        UNION ALL\n"
    "        SELECT s.datid, s.id, s.number, s.next_full, 'dropped', s.\"time\", NULL\n"
    "          FROM steps s\n"
    "         WHERE NOT s.gone AND s.next_full < coalesce(s.n_time, 'infinity')\n";

// The rows themselves are fetched for what happened only.
std::string told(const ObjectKind& kind) {
    const bool of_server = kind.of == Of::kServer;
    const std::string same =
        (of_server ? "r." : "r.datid = e.datid AND r.") + std::string(kind.key) + " = e.id" +
        (kind.second_key.empty() ? "" : " AND r." + std::string(kind.second_key) + " = e.number");
    const auto state = [&](std::string_view when) {
        return "    ), " + std::string(when) + " AS (\n" +
               "        SELECT e.datid, e.id, e.number, e.\"time\", e.change, " +
               (of_server ? "NULL::text AS " : "r.") +
               "datname,\n"
               "               jsonb_strip_nulls(to_jsonb(r) - ARRAY['time', 'collector_id'" +
               (of_server ? "" : ", 'datid', 'datname'") +
               "]) AS state\n"
               "          FROM events e JOIN " +
               kind.table() + " r ON " + same + " AND r.\"time\" = e." + std::string(when) +
               "_time\n         WHERE " PGANALYTICS_WINDOW("r") "\n";
    };
    return state("before") + state("after") +
           "    )\n"
           "    SELECT e.\"time\", nullif(e.datid, 0), coalesce(a.datname, b.datname), " +
           quote_literal(kind.name) + ", e.id, " +
           (kind.second_key.empty() ? "NULL::bigint" : "e.number") + ", " +
           std::string(kind.object) +
           ",\n           e.change, d.before, d.after\n"
           "      FROM events e\n"
           "      LEFT JOIN before b USING (datid, id, number, \"time\", change)\n"
           "      LEFT JOIN after a USING (datid, id, number, \"time\", change)\n"
           "     CROSS JOIN LATERAL (SELECT coalesce(a.state, b.state) AS state) s\n"
           "     CROSS JOIN LATERAL pganalytics.what_differs(b.state, a.state) d\n"
           "     WHERE e.\"time\" > since;\n";
}

constexpr std::string_view kWhatDiffers =
    "CREATE OR REPLACE FUNCTION pganalytics.what_differs(one jsonb, other jsonb,"
    " OUT before jsonb, OUT after jsonb)\n"
    "LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp\n"
    "AS $$\n"
    "SELECT CASE WHEN other IS NULL THEN one ELSE\n"
    "           (SELECT jsonb_object_agg(o.key, o.value) FROM jsonb_each(one) o\n"
    "             WHERE o.value IS DISTINCT FROM other -> o.key) END,\n"
    "       CASE WHEN one IS NULL THEN other ELSE\n"
    "           (SELECT jsonb_object_agg(o.key, o.value) FROM jsonb_each(other) o\n"
    "             WHERE o.value IS DISTINCT FROM one -> o.key) END\n"
    "$$;\n"
    "COMMENT ON FUNCTION pganalytics.what_differs(jsonb, jsonb) IS 'members of two objects that "
    "differ; all of one where the other is null';\n"
    "REVOKE ALL ON FUNCTION pganalytics.what_differs(jsonb, jsonb) FROM PUBLIC;\n"
    "GRANT EXECUTE ON FUNCTION pganalytics.what_differs(jsonb, jsonb) TO pg_monitor;\n";

constexpr std::string_view kView =
    "CREATE OR REPLACE VIEW pganalytics.schema_changes AS\n"
    "SELECT c.name AS server, c.collector_id, x.*\n"
    "  FROM pganalytics.collectors c\n"
    " CROSS JOIN LATERAL pganalytics.schema_changes_of(c.collector_id, '-infinity', 'infinity') "
    "x;\n"
    "COMMENT ON VIEW pganalytics.schema_changes IS 'what was created, changed and dropped in the "
    "databases of every server, and of databases, tablespaces and roles; when, before and after';\n"
    "GRANT SELECT ON pganalytics.schema_changes TO pg_monitor";

}  // namespace

#undef PGANALYTICS_WINDOW

std::span<const std::string_view> schema_change_tables() { return kTables; }

std::string create_schema_changes_sql() {
    const std::string signature(kSignature);
    std::string sql(kWhatDiffers);
    sql +=
        "CREATE OR REPLACE FUNCTION pganalytics.schema_changes_of(collector uuid,"
        " since timestamp with time zone, until timestamp with time zone)\n"
        "RETURNS TABLE (\"time\" timestamp with time zone, datid oid, datname text, kind text,"
        " oid oid, attnum bigint, object text, change text, before jsonb, after jsonb)\n"
        "LANGUAGE plpgsql STABLE ROWS 100 COST 100000\n"
        "SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off\n"
        "AS $$\n#variable_conflict use_column\nBEGIN\n";
    for (const ObjectKind& kind : kKinds)
        sql += "    RETURN QUERY\n" + lines_of(kind) + std::string(kEvents) + told(kind);
    sql += "END\n$$;\nCOMMENT ON FUNCTION " + signature +
           " IS 'what became of the schemas of a collector''s databases between two times';\n"
           "REVOKE ALL ON FUNCTION " +
           signature + " FROM PUBLIC;\nGRANT EXECUTE ON FUNCTION " + signature +
           " TO pg_monitor;\n";
    return sql + std::string(kView);
}

}  // namespace pganalytics

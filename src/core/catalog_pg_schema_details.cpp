// Plugin pg_schema, continued: what hangs on relations and their columns - constraints, triggers,
// indexes. How and why: catalog_pg_schema.cpp.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// Names of the columns `numbers` of a relation in their order, as the text of an array.
#define PGANALYTICS_NAMES(relation, numbers)                                         \
    "CASE WHEN " numbers                                                             \
    " IS NOT NULL THEN (SELECT pg_catalog.array_agg(t.attname ORDER BY"              \
    " u.place) FROM ROWS FROM (pg_catalog.unnest(" numbers                           \
    "::pg_catalog.int2[]))"                                                          \
    " WITH ORDINALITY AS u(attnum, place)"                                           \
    " JOIN pg_catalog.pg_attribute t ON t.attrelid OPERATOR(pg_catalog.=) " relation \
    " AND t.attnum OPERATOR(pg_catalog.=) u.attnum)::pg_catalog.text END"

// The same of an array that begins with 1; most have one member, for which this is much cheaper.
#define PGANALYTICS_MOSTLY_ONE_NAME(relation, numbers)             \
    "CASE WHEN pg_catalog.cardinality(" numbers                    \
    ") OPERATOR(pg_catalog.=) 1"                                   \
    " THEN ARRAY[(SELECT t.attname FROM pg_catalog.pg_attribute t" \
    " WHERE t.attrelid OPERATOR(pg_catalog.=) " relation           \
    " AND t.attnum"                                                \
    " OPERATOR(pg_catalog.=) (" numbers                            \
    ")[1])]::pg_catalog.text"                                      \
    " ELSE " PGANALYTICS_NAMES(relation, numbers) " END"

#define PGANALYTICS_OF_NO_SESSION "(c.relpersistence OPERATOR(pg_catalog.<>) 't') IS NOT FALSE"

// --- constraints

// A foreign key whose triggers somebody switched off checks nothing.
constexpr Source kConstraintsSources[] = {
    {R"(FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) k.connamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) k.conrelid
LEFT JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) k.contypid
LEFT JOIN pg_catalog.pg_class f ON f.oid OPERATOR(pg_catalog.=) k.confrelid
LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid OPERATOR(pg_catalog.=) f.relnamespace
LEFT JOIN (SELECT DISTINCT g.tgconstraint FROM pg_catalog.pg_trigger g
           WHERE g.tgisinternal AND g.tgenabled OPERATOR(pg_catalog.<>) 'O') g
     ON g.tgconstraint OPERATOR(pg_catalog.=) k.oid
WHERE k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND )" PGANALYTICS_OF_NO_SESSION
     " AND " PGANALYTICS_NO_DAY_OF_THE_HUB("c"),
     since(13)},
};

#define PGANALYTICS_CONSTRAINT_DIGEST(more)                                                    \
    "ROW(k.conname, k.connamespace, k.contype, k.conrelid, k.contypid, k.conkey, k.confrelid," \
    " k.confkey, k.confupdtype, k.confdeltype, k.confmatchtype, k.condeferrable,"              \
    " k.condeferred, k.convalidated, k.conparentid, k.connoinherit, k.conpfeqop,"              \
    " k.conexclop, k.conbin, g.tgconstraint" more ")::pg_catalog.text"

constexpr Column kConstraints[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("conid", kOid, "k.oid", "OID of the constraint"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("conname", kText, "k.conname::pg_catalog.text", "its name"),
    label("contype", kText, "k.contype::pg_catalog.text",
          "c check, f foreign key, n not null (18 and later), p primary key, t constraint trigger, "
          "u unique, x exclusion"),
    label("relid", kOid,
          "CASE WHEN k.conrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN k.conrelid END",
          "OID of its table; null for a domain's"),
    label("relname", kText, "c.relname::pg_catalog.text", "name of its table"),
    label("typname", kText, "y.typname::pg_catalog.text", "name of its domain"),
    label("columns", kText, PGANALYTICS_MOSTLY_ONE_NAME("k.conrelid", "k.conkey"),
          "its columns, as an array"),
    label("confrelid", kOid,
          "CASE WHEN k.confrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN k.confrelid END",
          "OID of the table a foreign key points to"),
    label("foreign_table", kText,
          "CASE WHEN f.oid IS NOT NULL THEN"
          " pg_catalog.format('%I.%I', fn.nspname, f.relname) END",
          "name of that table"),
    label("foreign_columns", kText, PGANALYTICS_MOSTLY_ONE_NAME("k.confrelid", "k.confkey"),
          "columns it points to, as an array"),
    label("confupdtype", kText,
          "CASE WHEN f.oid IS NOT NULL THEN k.confupdtype::pg_catalog.text END",
          "what an update of these does: a no action, r restrict, c cascade, n set null, d set "
          "default"),
    label("confdeltype", kText,
          "CASE WHEN f.oid IS NOT NULL THEN k.confdeltype::pg_catalog.text END",
          "what a delete of these does"),
    label("condeferrable", kBool, "k.condeferrable", "whether it can be deferred"),
    label("condeferred", kBool, "k.condeferred", "whether it is deferred by default"),
    label("convalidated", kBool, "k.convalidated",
          "false: rows that were there before it were not checked (NOT VALID)"),
    label("conenforced", kBool, "k.conenforced", "false: nothing is checked", since(18)),
    label("triggers_enabled", kBool,
          "CASE WHEN k.contype OPERATOR(pg_catalog.=) 'f' THEN g.tgconstraint IS NULL END",
          "false: somebody switched triggers of the foreign key off, it checks not all"),
    label("conparentid", kOid,
          "CASE WHEN k.conparentid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
          " THEN k.conparentid END",
          "OID of the constraint of the partitioned table it belongs to"),
    digest(PGANALYTICS_CONSTRAINT_DIGEST(""), until(14)),
    digest(PGANALYTICS_CONSTRAINT_DIGEST(", k.confdelsetcols"), between(15, 17)),
    digest(PGANALYTICS_CONSTRAINT_DIGEST(", k.confdelsetcols, k.conenforced, k.conperiod"),
           since(18)),
};

#undef PGANALYTICS_CONSTRAINT_DIGEST

// --- triggers

constexpr Source kTriggersSources[] = {
    {R"(FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid OPERATOR(pg_catalog.=) p.pronamespace
WHERE NOT g.tgisinternal AND g.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND )" PGANALYTICS_OF_NO_SESSION,
     since(13)},
};

#define PGANALYTICS_BIT(bit, yes, no)                \
    "CASE WHEN g.tgtype OPERATOR(pg_catalog.&) " bit \
    "::pg_catalog.int2"                              \
    " OPERATOR(pg_catalog.<>) 0::pg_catalog.int2 THEN " yes " ELSE " no " END"
#define PGANALYTICS_EVENT(bit, name) PGANALYTICS_BIT(bit, "'" name "'", "NULL")

constexpr Column kTriggers[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("tgid", kOid, "g.oid", "OID of the trigger"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of its table"),
    label("relid", kOid, "g.tgrelid", "OID of its table or view"),
    label("relname", kText, "c.relname::pg_catalog.text", "name of that"),
    label("tgname", kText, "g.tgname::pg_catalog.text", "name of the trigger"),
    label("tgenabled", kText, "g.tgenabled::pg_catalog.text",
          "when it fires: O origin and local sessions, R replicas, A always, D never"),
    label("tgfoid", kOid, "g.tgfoid", "OID of the function it calls"),
    label("function", kText, "pg_catalog.format('%I.%I', pn.nspname, p.proname)",
          "name of that function"),
    label("timing", kText,
          PGANALYTICS_BIT("2", "'BEFORE'",
                          PGANALYTICS_BIT("64", "'INSTEAD OF'", "'AFTER'::pg_catalog.text")),
          "BEFORE, AFTER or INSTEAD OF"),
    label(
        "events", kText,
        "pg_catalog.concat_ws(' OR ', " PGANALYTICS_EVENT("4", "INSERT") ", " PGANALYTICS_EVENT(
            "16", "UPDATE") ", " PGANALYTICS_EVENT("8",
                                                   "DELETE") ", " PGANALYTICS_EVENT("32",
                                                                                    "TRUNCATE") ")",
        "INSERT, UPDATE, DELETE, TRUNCATE, joined by OR"),
    label("columns", kText,
          "CASE WHEN g.tgattr::pg_catalog.text OPERATOR(pg_catalog.<>) '' THEN " PGANALYTICS_NAMES(
              "g.tgrelid", "g.tgattr") " END",
          "columns whose update fires it, as an array; null: any"),
    label("for_each_row", kBool, PGANALYTICS_BIT("1", "true", "false"), "false: once a statement"),
    label("has_condition", kBool, "g.tgqual IS NOT NULL", "whether it has a WHEN"),
    label("tgdeferrable", kBool, "g.tgdeferrable", "whether it can be deferred"),
    label("tginitdeferred", kBool, "g.tginitdeferred", "whether it is deferred by default"),
    digest("ROW(g.tgname, g.tgrelid, g.tgparentid, g.tgfoid, g.tgtype, g.tgenabled,"
           " g.tgconstrrelid, g.tgdeferrable, g.tginitdeferred, g.tgattr, g.tgargs, g.tgqual,"
           " g.tgoldtable, g.tgnewtable)::pg_catalog.text"),
};

#undef PGANALYTICS_BIT
#undef PGANALYTICS_EVENT

// --- indexes

// Of a concurrent build the row is there before it is valid; of others when they are over.
constexpr Source kIndexesSources[] = {
    {R"(FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) x.indexrelid
JOIN pg_catalog.pg_class m ON m.oid OPERATOR(pg_catalog.=) x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid OPERATOR(pg_catalog.=) c.reltablespace
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN (SELECT DISTINCT b.index_relid FROM pg_catalog.pg_stat_progress_create_index b
           WHERE b.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) b
     ON b.index_relid OPERATOR(pg_catalog.=) c.oid
WHERE m.relkind OPERATOR(pg_catalog.<>) 't'
  AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND )" PGANALYTICS_OF_NO_SESSION
     " AND " PGANALYTICS_NO_DAY_OF_THE_HUB("m"),
     since(13)},
};

// In its order; what it is sorted by unusually stands behind.
constexpr std::string_view kIndexColumns =
    "CASE WHEN x.indnkeyatts OPERATOR(pg_catalog.=) 1::pg_catalog.int2"
    " AND x.indoption[0] OPERATOR(pg_catalog.=) 0::pg_catalog.int2"
    " AND x.indkey[0] OPERATOR(pg_catalog.<>) 0::pg_catalog.int2"
    " THEN ARRAY[(SELECT t.attname FROM pg_catalog.pg_attribute t"
    " WHERE t.attrelid OPERATOR(pg_catalog.=) x.indrelid"
    " AND t.attnum OPERATOR(pg_catalog.=) x.indkey[0])]::pg_catalog.text ELSE"
    " (SELECT pg_catalog.array_agg(pg_catalog.concat(CASE WHEN u.attnum"
    " OPERATOR(pg_catalog.=) 0::pg_catalog.int2 THEN '(expression)' ELSE t.attname END,"
    " CASE WHEN u.way OPERATOR(pg_catalog.=) 1::pg_catalog.int2 THEN ' DESC NULLS LAST'"
    " WHEN u.way OPERATOR(pg_catalog.=) 2::pg_catalog.int2 THEN ' NULLS FIRST'"
    " WHEN u.way OPERATOR(pg_catalog.=) 3::pg_catalog.int2 THEN ' DESC' END) ORDER BY u.place)"
    " FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[]),"
    " pg_catalog.unnest(x.indoption::pg_catalog.int2[])) WITH ORDINALITY AS u(attnum, way, place)"
    " LEFT JOIN pg_catalog.pg_attribute t ON t.attrelid OPERATOR(pg_catalog.=) x.indrelid"
    " AND t.attnum OPERATOR(pg_catalog.=) u.attnum"
    " WHERE u.place OPERATOR(pg_catalog.<=) x.indnkeyatts)::pg_catalog.text END";

constexpr std::string_view kIncludedColumns =
    "CASE WHEN x.indnatts OPERATOR(pg_catalog.>) x.indnkeyatts THEN"
    " (SELECT pg_catalog.array_agg(t.attname ORDER BY u.place)"
    " FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[]))"
    " WITH ORDINALITY AS u(attnum, place)"
    " JOIN pg_catalog.pg_attribute t ON t.attrelid OPERATOR(pg_catalog.=) x.indrelid"
    " AND t.attnum OPERATOR(pg_catalog.=) u.attnum"
    " WHERE u.place OPERATOR(pg_catalog.>) x.indnkeyatts)::pg_catalog.text END";

#define PGANALYTICS_INDEX_DIGEST(more)                                                       \
    "ROW(c.relname, c.relam, c.reltablespace, c.reloptions, c.relispartition, h.inhparent,"  \
    " x.indrelid, x.indnkeyatts, x.indkey, x.indcollation, x.indclass, x.indoption,"         \
    " x.indisunique, x.indisprimary, x.indisexclusion, x.indimmediate, x.indisclustered,"    \
    " x.indisvalid, x.indisready, x.indislive, x.indisreplident, x.indexprs, x.indpred" more \
    ")"                                                                                      \
    "::pg_catalog.text"

constexpr Column kIndexes[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("indexrelid", kOid, "c.oid", "OID of the index"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of index and table"),
    label("indexrelname", kText, "c.relname::pg_catalog.text", "name of the index"),
    label("relid", kOid, "x.indrelid", "OID of its table"),
    label("relname", kText, "m.relname::pg_catalog.text", "name of its table"),
    label("amname", kText, "a.amname::pg_catalog.text", "access method"),
    label("columns", kText, kIndexColumns,
          "what it is sorted or found by, as an array; (expression) for an expression"),
    label("included", kText, kIncludedColumns, "columns it has besides, as an array"),
    label("has_predicate", kBool, "x.indpred IS NOT NULL", "whether it has a WHERE"),
    label("indisunique", kBool, "x.indisunique", "whether it is unique"),
    label("indnullsnotdistinct", kBool, "x.indnullsnotdistinct",
          "whether it takes nulls for the same", since(15)),
    label("indisprimary", kBool, "x.indisprimary", "whether it is the primary key"),
    label("indisexclusion", kBool, "x.indisexclusion", "whether it is an exclusion constraint"),
    label("indimmediate", kBool, "x.indimmediate", "false: uniqueness is checked later"),
    label("indisclustered", kBool, "x.indisclustered",
          "whether the table was clustered by it last"),
    label("indisreplident", kBool, "x.indisreplident", "whether it is the replica identity"),
    label("indisvalid", kBool, "x.indisvalid",
          "whether queries may use it; false and not building: what a failed build left"),
    label("indisready", kBool, "x.indisready", "whether inserts maintain it"),
    label("indislive", kBool, "x.indislive", "false while it is being dropped"),
    gauge("building", kBool, "", "b.index_relid IS NOT NULL",
          "whether a session builds it at the moment"),
    label("reloptions", kText, "c.reloptions::pg_catalog.text", "storage parameters, as an array"),
    label("spcname", kText, "s.spcname::pg_catalog.text",
          "tablespace; null for the database's own"),
    label("inhparent", kOid, "h.inhparent", "OID of the partitioned index it belongs to"),
    digest(PGANALYTICS_INDEX_DIGEST(""), until(14)),
    digest(PGANALYTICS_INDEX_DIGEST(", x.indnullsnotdistinct"), since(15)),
};

#undef PGANALYTICS_INDEX_DIGEST
#undef PGANALYTICS_NAMES
#undef PGANALYTICS_MOSTLY_ONE_NAME
#undef PGANALYTICS_OF_NO_SESSION

constexpr int kPeriod = 900;
constexpr int kWhole = 12 * 3600;

constexpr Rowset kRowsets[] = {
    changing_with_definitions({"pg_schema",
                               "constraints",
                               Scope::kDatabase,
                               kPeriod,
                               kConstraintsSources,
                               kConstraints,
                               "constraints of tables and domains as they are defined",
                               {},
                               kWhole}),
    changing_with_definitions({"pg_schema",
                               "triggers",
                               Scope::kDatabase,
                               kPeriod,
                               kTriggersSources,
                               kTriggers,
                               "triggers as they are defined; not those that make up a foreign key",
                               {},
                               kWhole}),
    changing_with_definitions(
        {"pg_schema",
         "indexes",
         Scope::kDatabase,
         kPeriod,
         kIndexesSources,
         kIndexes,
         "indexes as they are defined, invalid ones and those being built included",
         {},
         kWhole}),
};

}  // namespace

std::span<const Rowset> pg_schema_details() { return kRowsets; }

}  // namespace pganalytics::parts

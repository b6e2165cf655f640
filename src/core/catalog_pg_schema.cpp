// Plugin pg_schema: databases, tablespaces, relations and their columns as they are defined; what
// hangs on them is in catalog_pg_schema_details.cpp.
//
// A row is an object by its OID, with a digest of all that defines it: another digest is a change,
// and the hub tells what, when, before and after (view schema_changes). The digest is made of what
// the catalogs have: names of the object itself, OIDs of others (so that renaming a table changes
// no column of it), expressions as the server stores them. Nothing of it changes by use: no pages,
// no file, no statistics.
//
// Only catalogs are read. The functions that write a definition out (pg_get_constraintdef and the
// like) lock the relation and keep its relation cache entry; pg_get_expr() does neither where it is
// not told the relation, which is enough for what names no column of it. Constants are taken out of
// such text, and what may hold a secret (options of foreign tables, arguments of triggers) is in
// the digest only.
//
// The server's own objects (OIDs below 16384), temporary ones, and the hub's own partitions, of
// which there are new ones each day, are left out.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

#define PGANALYTICS_KINDS \
    "c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,c,S}'::pg_catalog.\"char\"[])"
#define PGANALYTICS_OURS_NOT                                                                       \
    "c.relpersistence OPERATOR(pg_catalog.<>) 't'"                                                 \
    " AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND " PGANALYTICS_NO_DAY_OF_THE_HUB( \
        "c")

// Rights by the OIDs of roles: those who are renamed have the same.
#define PGANALYTICS_RIGHTS(acl)                               \
    "CASE WHEN " acl                                          \
    " IS NOT NULL THEN (SELECT pg_catalog.array_agg(ROW(r.*)" \
    "::pg_catalog.text) FROM pg_catalog.aclexplode(" acl ") r) END"

// --- relations

constexpr Source kRelationsSources[] = {
    {R"(FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid OPERATOR(pg_catalog.=) c.reltablespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN pg_catalog.pg_rewrite v ON v.ev_class OPERATOR(pg_catalog.=) c.oid
     AND v.rulename OPERATOR(pg_catalog.=) '_RETURN'::pg_catalog.name
LEFT JOIN pg_catalog.pg_foreign_table f ON f.ftrelid OPERATOR(pg_catalog.=) c.oid
LEFT JOIN (
    SELECT i.inhrelid, pg_catalog.array_agg(i.inhparent ORDER BY i.inhseqno) AS oids,
           pg_catalog.array_agg(pg_catalog.format('%I.%I', mn.nspname, m.relname)
                                ORDER BY i.inhseqno) AS names,
           pg_catalog.min(mp.partstrat::pg_catalog.text) AS strategy
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class m ON m.oid OPERATOR(pg_catalog.=) i.inhparent
    JOIN pg_catalog.pg_namespace mn ON mn.oid OPERATOR(pg_catalog.=) m.relnamespace
    LEFT JOIN pg_catalog.pg_partitioned_table mp
         ON mp.partrelid OPERATOR(pg_catalog.=) i.inhparent
    GROUP BY i.inhrelid) h ON h.inhrelid OPERATOR(pg_catalog.=) c.oid
WHERE )" PGANALYTICS_KINDS " AND " PGANALYTICS_OURS_NOT,
     since(13)},
};

constexpr std::string_view kPartitionBound =
    "CASE WHEN c.relispartition AND h.strategy OPERATOR(pg_catalog.<>) 'l'"
    " THEN pg_catalog.pg_get_expr(c.relpartbound, 0::pg_catalog.oid) END";

constexpr Column kRelations[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the relation"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    label("relkind", kText, "c.relkind::pg_catalog.text",
          "r table, p partitioned table, v view, m materialized view, f foreign table, c composite "
          "type, S sequence"),
    label("relpersistence", kText, "c.relpersistence::pg_catalog.text", "p permanent, u unlogged"),
    label("owner", kText, "pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text",
          "role that owns it"),
    label("amname", kText, "a.amname::pg_catalog.text", "access method"),
    label("spcname", kText, "s.spcname::pg_catalog.text",
          "tablespace; null for the database's own"),
    label("reloptions", kText, "c.reloptions::pg_catalog.text", "storage parameters, as an array"),
    label("relacl", kText, "c.relacl::pg_catalog.text", "rights; null: as by default"),
    label("relrowsecurity", kBool, "c.relrowsecurity", "whether row security is on"),
    label("relforcerowsecurity", kBool, "c.relforcerowsecurity",
          "whether row security holds for the owner too"),
    label("relreplident", kText, "c.relreplident::pg_catalog.text",
          "replica identity: d primary key, n nothing, f all columns, i an index"),
    label("parents", kText, "h.names::pg_catalog.text",
          "what it inherits from or is a partition of, as an array"),
    label("relispartition", kBool, "c.relispartition", "whether it is a partition"),
    label("partition_bound", kText, kPartitionBound,
          "bounds of the partition; null in a table partitioned by list, whose values may be data"),
    label("partstrat", kText, "p.partstrat::pg_catalog.text",
          "how it is partitioned: r by range, l by list, h by hash"),
    label("partattrs", kText, "p.partattrs::pg_catalog.text",
          "attnum of the columns it is partitioned by; 0 for an expression"),
    digest("ROW(c.relname, c.relnamespace, c.relkind, c.relpersistence, c.relowner, c.relam,"
           " c.reltablespace, c.reloptions, " PGANALYTICS_RIGHTS(
               "c.relacl") ", c.relrowsecurity, c.relforcerowsecurity, c.relreplident, "
                           "c.relispartition,"
                           " c.relpartbound, c.reloftype, h.oids, p.partstrat, p.partattrs, "
                           "p.partclass,"
                           " p.partcollation, p.partexprs, v.ev_action, f.ftserver, f.ftoptions)"
                           "::pg_catalog.text"),
};

// --- columns

constexpr Source kColumnsSources[] = {
    {R"(FROM pg_catalog.pg_attribute t
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) t.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid OPERATOR(pg_catalog.=) t.attrelid
     AND d.adnum OPERATOR(pg_catalog.=) t.attnum
LEFT JOIN pg_catalog.pg_collation l ON l.oid OPERATOR(pg_catalog.=) t.attcollation
     AND t.attcollation OPERATOR(pg_catalog.<>) y.typcollation
WHERE t.attnum OPERATOR(pg_catalog.>) 0 AND NOT t.attisdropped
  AND c.relkind OPERATOR(pg_catalog.<>) 'S' AND )" PGANALYTICS_KINDS " AND " PGANALYTICS_OURS_NOT,
     since(13)},
};

// Some minor versions of 15 keep a number of the last change among a column's options.
#define PGANALYTICS_OPTIONS                                                             \
    "CASE WHEN pg_catalog.cardinality(t.attoptions) OPERATOR(pg_catalog.>) 1"           \
    " OR NOT pg_catalog.starts_with(t.attoptions[1], 'pg_attver=')"                     \
    " THEN (SELECT pg_catalog.array_agg(o.option) FROM pg_catalog.unnest(t.attoptions)" \
    " AS o(option) WHERE NOT pg_catalog.starts_with(o.option, 'pg_attver=')) END"

#define PGANALYTICS_COLUMN_DIGEST(more)                                                   \
    "ROW(t.attname, t.atttypid, t.atttypmod, t.attcollation, t.attnotnull,"               \
    " t.attidentity, t.attgenerated, t.attstorage, t.attstattarget, " PGANALYTICS_OPTIONS \
    ","                                                                                   \
    " t.attfdwoptions, " PGANALYTICS_RIGHTS("t.attacl") ", d.adbin" more                  \
                                                        ")"                               \
                                                        "::pg_catalog.text"

constexpr Column kColumns[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "t.attrelid", "OID of the relation"),
    key("attnum", kInt64, "t.attnum::pg_catalog.int8",
        "number of the column; the same under any name"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of the relation"),
    label("relname", kText, "c.relname::pg_catalog.text", "name of the relation"),
    label("attname", kText, "t.attname::pg_catalog.text", "name of the column"),
    label("data_type", kText, "pg_catalog.format_type(t.atttypid, t.atttypmod)", "its type"),
    label("attnotnull", kBool, "t.attnotnull", "whether it is NOT NULL"),
    {"column_default",
     "CASE WHEN t.attgenerated OPERATOR(pg_catalog.=) ''"
     " THEN pg_catalog.pg_get_expr(d.adbin, 0::pg_catalog.oid) END",
     kText, Kind::kLabel, "",
     "its default without constants; null for none, for a generated column, and where "
     "pganalytics.query_text is none",
     kEver, TextForm::kStatement},
    label("attidentity", kText,
          "CASE WHEN t.attidentity OPERATOR(pg_catalog.<>) '' THEN"
          " t.attidentity::pg_catalog.text END",
          "identity column: a always, d by default; null for none"),
    label("attgenerated", kText,
          "CASE WHEN t.attgenerated OPERATOR(pg_catalog.<>) '' THEN"
          " t.attgenerated::pg_catalog.text END",
          "generated column: s stored, v virtual; null for none"),
    label("collname", kText, "l.collname::pg_catalog.text",
          "collation where it is not the type's own"),
    label("attstorage", kText, "t.attstorage::pg_catalog.text",
          "p plain, e external, m main, x extended"),
    label("attcompression", kText,
          "CASE WHEN t.attcompression OPERATOR(pg_catalog.<>) '' THEN"
          " t.attcompression::pg_catalog.text END",
          "compression: p pglz, l lz4; null: as default_toast_compression says", since(14)),
    label("attoptions", kText, "(" PGANALYTICS_OPTIONS ")::pg_catalog.text",
          "options, as an array"),
    label("attacl", kText, "t.attacl::pg_catalog.text", "rights of its own; null for none"),
    digest(PGANALYTICS_COLUMN_DIGEST(""), until(13)),
    digest(PGANALYTICS_COLUMN_DIGEST(", t.attcompression"), since(14)),
};

// --- of the server

constexpr Source kDatabasesSources[] = {
    {R"(FROM pg_catalog.pg_database d
JOIN pg_catalog.pg_tablespace s ON s.oid OPERATOR(pg_catalog.=) d.dattablespace
LEFT JOIN pg_catalog.pg_db_role_setting e ON e.setdatabase OPERATOR(pg_catalog.=) d.oid
     AND e.setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid)",
     since(13)},
};

constexpr Column kDatabases[] = {
    key("datid", kOid, "d.oid", "OID of the database"),
    label("datname", kText, "d.datname::pg_catalog.text", "its name"),
    label("owner", kText, "pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text",
          "role that owns it"),
    label("encoding", kText, "pg_catalog.pg_encoding_to_char(d.encoding)::pg_catalog.text",
          "encoding of its texts"),
    label("datcollate", kText, "d.datcollate::pg_catalog.text", "LC_COLLATE"),
    label("datctype", kText, "d.datctype::pg_catalog.text", "LC_CTYPE"),
    label("datistemplate", kBool, "d.datistemplate", "whether anybody may copy it"),
    label("datallowconn", kBool, "d.datallowconn", "whether anybody can connect"),
    label("datconnlimit", kInt64,
          "CASE WHEN d.datconnlimit OPERATOR(pg_catalog.>=) 0"
          " THEN d.datconnlimit::pg_catalog.int8 END",
          "limit of sessions; null: none"),
    label("spcname", kText, "s.spcname::pg_catalog.text", "its tablespace"),
    label("datacl", kText, "d.datacl::pg_catalog.text", "rights; null: as by default"),
    digest("ROW(d.datname, d.datdba, d.encoding, d.datcollate, d.datctype, d.datistemplate,"
           " d.datallowconn, d.datconnlimit, d.dattablespace, " PGANALYTICS_RIGHTS(
               "d.datacl") ", e.setconfig)::pg_catalog.text"),
};

constexpr Source kTablespacesSources[] = {{"FROM pg_catalog.pg_tablespace s", since(13)}};

constexpr Column kTablespaces[] = {
    key("oid", kOid, "s.oid", "OID of the tablespace"),
    label("spcname", kText, "s.spcname::pg_catalog.text", "its name"),
    label("owner", kText, "pg_catalog.pg_get_userbyid(s.spcowner)::pg_catalog.text",
          "role that owns it"),
    label("spcoptions", kText, "s.spcoptions::pg_catalog.text", "its options, as an array"),
    label("spcacl", kText, "s.spcacl::pg_catalog.text", "rights; null: as by default"),
    digest("ROW(s.spcname, s.spcowner, s.spcoptions, " PGANALYTICS_RIGHTS(
        "s.spcacl") ")::pg_catalog.text"),
};

#undef PGANALYTICS_COLUMN_DIGEST
#undef PGANALYTICS_OPTIONS
#undef PGANALYTICS_RIGHTS
#undef PGANALYTICS_KINDS
#undef PGANALYTICS_OURS_NOT

// At 10,000 tables of 10 columns the five rowsets cost a second of CPU.
constexpr int kPeriod = 900;
constexpr int kWhole = 12 * 3600;

constexpr Rowset kRowsets[] = {
    {"pg_schema", "databases", Scope::kCluster, 300, kDatabasesSources, kDatabases,
     "databases as they are defined"},
    {"pg_schema", "tablespaces", Scope::kCluster, 300, kTablespacesSources, kTablespaces,
     "tablespaces as they are defined"},
    changing_with_definitions(
        {"pg_schema",
         "relations",
         Scope::kDatabase,
         kPeriod,
         kRelationsSources,
         kRelations,
         "tables, views, sequences, composite and foreign ones as they are defined",
         {},
         kWhole}),
    changing_with_definitions({"pg_schema",
                               "columns",
                               Scope::kDatabase,
                               kPeriod,
                               kColumnsSources,
                               kColumns,
                               "columns of these as they are defined",
                               {},
                               kWhole}),
};

}  // namespace

std::span<const Rowset> pg_schema() { return kRowsets; }

}  // namespace pganalytics::parts

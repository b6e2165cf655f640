// Plugin pg_stats, what only files tell. Rowset file_sizes: how large the files of each relation
// are, by fork. Rowset multixact_members: how much of the space for members is in use.
//
// The visitor delivers which file in which folder a relation has, from the catalog alone; the
// program asks the file system (src/host/relation_sizes.cpp) and fills in what is null here.
// pg_relation_size() would open each relation and keep its cache entry.
#include "catalog_parts.hpp"
#include "pganalytics/core/relation_expressions.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// The path of one relation in each tablespace tells the folder of all.
constexpr Source kSources[] = {
    {R"(FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN (
    SELECT f.reltablespace, pg_catalog.regexp_replace(
               pg_catalog.pg_relation_filepath(pg_catalog.min(f.oid)), '/[^/]*$', '') AS folder
    FROM pg_catalog.pg_class f
    WHERE f.relkind OPERATOR(pg_catalog.=) ANY ('{r,i,t,m,S}'::pg_catalog."char"[])
      AND f.relpersistence OPERATOR(pg_catalog.<>) 't'
    GROUP BY f.reltablespace) f ON f.reltablespace OPERATOR(pg_catalog.=) c.reltablespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,i,t,m,S}'::pg_catalog."char"[])
  AND c.relpersistence OPERATOR(pg_catalog.<>) 't')",
     since(13)},
};

constexpr Column size(std::string_view name, std::string_view help) {
    return gauge(name, kInt64, "bytes", "NULL::pg_catalog.int8", help);
}

constexpr Column kFileSizes[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("relid", kOid, "c.oid", "OID of the relation"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "its schema"),
    label("relname", kText, "c.relname::pg_catalog.text", "its name"),
    label("relkind", kText, "c.relkind::pg_catalog.text",
          "r table, i index, t TOAST table, m materialized view, S sequence"),
    label("relisshared", kBool, "c.relisshared",
          "whether all databases share it; it is then told by each"),
    label("folder", kText, "f.folder", "where its files are, below the data directory"),
    label("relfilenode", kOid, kRelationFilenode, "name of its files"),
    size("main_bytes", "size of the relation itself; null where its file was not there"),
    size("fsm_bytes", "size of its free space map"),
    size("vm_bytes", "size of its visibility map"),
    size("init_bytes", "size of what an unlogged relation begins with after a crash"),
};

// --- members of multixacts

constexpr Column members(std::string_view name, std::string_view help) {
    return gauge(name, kInt64, "members", "", help);
}

constexpr Column kMultixactMembers[] = {
    gauge("files", kInt64, "files", "", "files of pg_multixact/members"),
    gauge("bytes", kInt64, "bytes", "", "bytes of them"),
    members("members", "members they have room for: what is in use, rounded up to whole files"),
    members("low_threshold",
            "beyond it vacuum goes by an age less than autovacuum_multixact_freeze_max_age"),
    members("high_threshold", "beyond it vacuum goes by no age: it freezes every table it can"),
    members(
        "member_limit",
        "with so many no row can be locked by several any more; null from 19 on: without limit"),
};

constexpr Rowset kRowsets[] = {
    changing_with_definitions({"pg_stats",
                               "file_sizes",
                               Scope::kDatabase,
                               900,
                               kSources,
                               kFileSizes,
                               "sizes of tables, indexes, materialized views and sequences by "
                               "fork, as the file system has "
                               "them",
                               {},
                               12 * 3600}),
    {"pg_stats",
     "multixact_members",
     Scope::kHost,
     300,
     {},
     kMultixactMembers,
     "space for members of multixacts, by its files: it can run out before their ages tell"},
};

}  // namespace

std::span<const Rowset> pg_stats_files() { return kRowsets; }

}  // namespace pganalytics::parts

// Expressions of pg_stats.relations that are more than a column of pg_class: the catalog declares
// its columns with them, and the visitor that reads the rows without a query knows them by them.
#pragma once

#include <string_view>

namespace pganalytics {

inline constexpr std::string_view kRelationFilenode =
    "CASE WHEN c.relfilenode OPERATOR(pg_catalog.<>) 0::pg_catalog.oid THEN c.relfilenode"
    " ELSE pg_catalog.pg_relation_filenode(c.oid) END";
// Block numbers have 32 bits, the catalog's columns are signed.
inline constexpr std::string_view kRelationPages =
    "CASE WHEN c.relkind OPERATOR(pg_catalog.<>) ALL ('{p,I}'::pg_catalog.\"char\"[])"
    " THEN c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295 END";
inline constexpr std::string_view kRelationTuples =
    "CASE WHEN c.reltuples OPERATOR(pg_catalog.>=) 0::pg_catalog.float4"
    " THEN c.reltuples::pg_catalog.float8 END";
inline constexpr std::string_view kRelationAllVisible =
    "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog.\"char\"[])"
    " THEN c.relallvisible::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295 END";
inline constexpr std::string_view kRelationAllFrozen =
    "CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,t,m}'::pg_catalog.\"char\"[])"
    " THEN c.relallfrozen::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295 END";
inline constexpr std::string_view kRelationFrozenXid =
    "CASE WHEN c.relfrozenxid OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid"
    " THEN c.relfrozenxid::pg_catalog.text::pg_catalog.int8 END";
inline constexpr std::string_view kRelationMinMultixact =
    "CASE WHEN c.relminmxid OPERATOR(pg_catalog.<>) '0'::pg_catalog.xid"
    " THEN c.relminmxid::pg_catalog.text::pg_catalog.int8 END";
inline constexpr std::string_view kRelationToast =
    "CASE WHEN c.reltoastrelid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid"
    " THEN c.reltoastrelid END";

}  // namespace pganalytics

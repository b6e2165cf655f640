// Plugin own: users' own rowsets (core/own_rowset.hpp). Two tables hold all of them, whatever they
// are.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column kDefinitions[] = {
    key("rowset", kText, "", "name of the rowset"),
    label("digest", kText, "", "SHA-256 of its definition, in hexadecimal digits"),
    label("scope", kText, "", "cluster: read in pganalytics.database only; database: in each"),
    gauge("period", kInt64, "seconds", "", "how often it is read"),
    label("columns", kJson, "", "its columns: name, kind, type, unit"),
    gauge("state", kText, "", "",
          "on, off (after three failures one after the other, where all were off), partly off"),
    gauge("databases_off", kInt64, "databases", "", "databases in which it is off"),
    counter("failures", "readings", "", "readings that failed since the collector's start"),
    gauge("last_error", kText, "", "",
          "what the last of them failed with; of PostgreSQL's errors the code"),
};

constexpr Column kRows[] = {
    key("datid", kOid, "", "OID of the database it was read in"),
    key("rowset", kText, "", "name of the rowset"),
    key("digest", kText, "", "which definition of that name"),
    key("key", kText, "", "its key columns' values, as the text of a json array"),
    gauge("row", kJson, "", "", "its columns and their values"),
};

constexpr Rowset kRowsets[] = {
    {"own",
     "rowsets",
     Scope::kOwn,
     0,
     {},
     kDefinitions,
     "users' own rowsets that this server has, and whether they can be read"},
    {"own",
     "rows",
     Scope::kOwn,
     0,
     {},
     kRows,
     "rows of users' own rowsets; pganalytics_accept_rowset() makes a view with their columns"},
};

}  // namespace

std::span<const Rowset> own() { return kRowsets; }

}  // namespace pganalytics::parts

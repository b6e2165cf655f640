// Plugin pganalytics: what the hub writes beside what it was sent, so that a reader can tell a row
// that did not change from one that is gone.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column kGone[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\")"),
    key("datid", kOid, "", "database the rows were of; 0 for rowsets of the whole server"),
    key("key", kJson, "", "key columns and their values"),
};

constexpr Column kFulls[] = {
    key("rowset", kText, "", "the rowset (\"pg_stats.tables\")"),
    key("datid", kOid, "", "database it was read in; 0 for rowsets of the whole server"),
    label("datname", kText, "", "name of that database"),
    gauge("complete", kBool, "", "",
          "whether it held every row: what is not in it, and older, is gone"),
    label(
        "cycle", kUuid, "",
        "where its cycle was cut into several pushes: which; it counts when all of them are here"),
};

constexpr Rowset kRowsets[] = {
    {"pganalytics",
     "gone",
     Scope::kHub,
     0,
     {},
     kGone,
     "rows that are no longer there, by key, at the time the collector saw it"},
    {"pganalytics",
     "fulls",
     Scope::kHub,
     0,
     {},
     kFulls,
     "rowsets that arrived whole: the state before their time is replaced"},
};

}  // namespace

std::span<const Rowset> pganalytics_own() { return kRowsets; }

}  // namespace pganalytics::parts

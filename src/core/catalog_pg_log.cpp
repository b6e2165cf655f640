// Plugin pg_log: events of the server's log. No source of ours yet: rows come from other collectors
// of the family, whose field names level, message, detail and duration_ms are kept.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column kEntries[] = {
    label("level", kText, "", "severity: LOG, WARNING, ERROR, FATAL, PANIC and others"),
    label("sqlstate", kText, "", "five characters"),
    label("message", kText, "", "text of the event"),
    label("detail", kText, "", "DETAIL of the event"),
    label("hint", kText, "", "HINT of the event"),
    label("context", kText, "", "CONTEXT of the event"),
    label("datname", kText, "", "database of the session"),
    label("usename", kText, "", "role of the session"),
    label("application_name", kText, "", "application of the session"),
    label("backend_type", kText, "", "kind of process"),
    label("pid", kInt64, "", "process id"),
    label("query_id", kInt64, "", "identifier of the statement, as in pg_stat_statements"),
    gauge("duration_ms", kFloat64, "milliseconds", "", "duration the event tells of"),
};

constexpr Rowset kRowsets[] = {
    {"pg_log",
     "entries",
     Scope::kExternal,
     0,
     {},
     kEntries,
     "events of the server's log; time is the event's own"},
};

}  // namespace

std::span<const Rowset> pg_log() { return kRowsets; }

}  // namespace pganalytics::parts

// The catalog as text. Runs in the program's tool and in tests.
#include "pganalytics/core/catalog_text.hpp"

#include "pganalytics/core/catalog.hpp"

namespace pganalytics {

namespace {

std::string_view scope_help(Scope scope) {
    switch (scope) {
        case Scope::kCluster:
            return "Read once a cycle for the whole server";
        case Scope::kDatabase:
            return "Read in each database";
        case Scope::kHost:
            return "Read from the host";
        case Scope::kProgram:
            return "Told by the collector of itself";
        case Scope::kExternal:
            return "Not collected by us: stored as other collectors of the family send it";
        case Scope::kHub:
            return "Written by the hub";
        case Scope::kOwn:
            return "Of the rowsets that users defined";
    }
    return "";
}

void append_json(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else {
            out += c;
        }
    }
    out += '"';
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
    append_json(out, name);
    out += ": ";
    append_json(out, value);
}

// The versions of all declarations of one name, joined: "", "16", "14-17", "until 16".
std::string versions_text(const Rowset& rowset, std::string_view name) {
    int first = 999;
    int last = 0;
    for (const Column& column : rowset.columns) {
        if (column.name != name) continue;
        if (column.versions.first < first) first = column.versions.first;
        if (column.versions.last > last) last = column.versions.last;
    }
    const bool open = last == 999;
    if (first == 0) return open ? "" : "until " + std::to_string(last);
    if (open) return "since " + std::to_string(first);
    return std::to_string(first) + " to " + std::to_string(last);
}

void append_cell(std::string& out, std::string_view text) {
    out += ' ';
    for (const char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    out += " |";
}

void append_rowset(std::string& out, const Rowset& rowset) {
    out += "\n## ";
    out += rowset.plugin;
    out += '.';
    out += rowset.name;
    out += "\n\n";
    out += rowset.help;
    out += ".\n\n";
    out += scope_help(rowset.scope);
    if (rowset.period_seconds > 0) {
        out += ", every ";
        out += std::to_string(rowset.period_seconds);
        out += " s";
        if (rowset.changes_with != 0) out += " where something changed";
    }
    if (rowset.whole_seconds > 0) {
        out += ", whole every ";
        out += std::to_string(rowset.whole_seconds / 3600);
        out += " h at most";
    }
    if (!rowset.extension.empty()) {
        out += ", in one database that has the extension ";
        out += rowset.extension;
    }
    out += "; table `pganalytics.";
    out += hub_table(rowset);
    out += "` of the hub.\n\n| column | type | kind | unit | PostgreSQL | |\n";
    out += "|---|---|---|---|---|---|\n";
    for (const Column* column : all_columns(rowset)) {
        out += "| `";
        out += column->name;
        out += "` |";
        append_cell(out, sql_type(column->type));
        append_cell(out, kind_name(column->kind));
        append_cell(out, column->unit);
        append_cell(out, versions_text(rowset, column->name));
        append_cell(out, column->help);
        out += '\n';
    }
}

constexpr std::string_view kIntroduction =
    R"(# What is collected

Generated from the catalog by `pganalytics catalog --markdown`; do not edit.

Every figure is declared once, in `src/core/catalog_*.cpp`. From that declaration follow the query on
the watched server, the JSON on the wire, the hub's table and this page.

- A **key** column tells rows apart; its value is never null. A **label** describes. A **counter**
  only grows until it is reset (the reset time is beside it, or in `pg_stats.databases`); the hub
  makes rates of it. A **gauge** is the value at the moment.
- Unknown is null, never 0.
- Nothing changes by time alone: ages are not delivered but what they are counted from
  (transaction ids, start times, WAL positions); `pg_stats.server` has what to subtract them from.
- Tables of the hub have `time` and `collector_id` before these columns, and those of rowsets read
  in each database also `datname`.
- "PostgreSQL" says which major versions of the watched server have the column; empty means each
  (13 to 19).
- A table's row counts what is its own. What PostgreSQL's views add up from its indexes and its
  TOAST table is on their rows, and is added up by the hub's views.
- A **digest** stands for what may hold data of yours: it is made with a secret of the server, only
  tells that something changed, and is the same on a server and its standbys.
- "Where something changed": on 15 to 18 the shared statistics tell, without a visit, whether
  a database's catalogs were written, its relations vacuumed or analyzed, its sequences used. What
  did not change is read again after an hour, of servers with many databases after twelve at the
  latest. A session tells what it did when its command ends, or never where `track_counts` is off.
- Temporary relations are not collected; views, sequences and composite types are in `pg_schema`
  only, sequences in `pg_stats.sequences` too.
)";

}  // namespace

std::string catalog_list() {
    std::string out;
    for (const Rowset& rowset : catalog()) {
        std::string name(rowset.plugin);
        name += '.';
        name += rowset.name;
        name.resize(36, ' ');
        std::string scope(scope_name(rowset.scope));
        scope.resize(10, ' ');
        out += name;
        out += scope;
        out += rowset.help;
        out += '\n';
    }
    return out;
}

std::string catalog_markdown() {
    std::string out(kIntroduction);
    for (const Rowset& rowset : catalog()) append_rowset(out, rowset);
    return out;
}

// Versions of extensions whose queries are known to be right.
constexpr int kOldestExtension = 108;
constexpr int kNewestExtension = 113;

void append_extension(std::string& out, const Rowset& rowset, int major) {
    append_member(out, "extension", rowset.extension);
    out += ", \"extension_sql\": {";
    bool first = true;
    for (int version = kOldestExtension; version <= kNewestExtension; ++version) {
        const std::string sql = extension_sql(rowset, major, {"@schema@", version});
        if (sql.empty()) continue;
        out += first ? "\n  " : ",\n  ";
        first = false;
        append_member(out, std::to_string(version), sql);
    }
    out += "}, ";
}

std::string catalog_sql(int major) {
    std::string out;
    for (const Rowset& rowset : catalog()) {
        const std::string sql = rowset_sql(rowset, major);
        if (sql.empty()) continue;
        out += "-- ";
        out += rowset.plugin;
        out += '.';
        out += rowset.name;
        out += '\n';
        out += sql;
        out += ";\n\n";
    }
    return out;
}

std::string catalog_json(int major) {
    std::string out = "[";
    for (const Rowset& rowset : catalog()) {
        if (out.size() > 1) out += ",";
        out += "\n{";
        append_member(out, "plugin", rowset.plugin);
        out += ", ";
        append_member(out, "name", rowset.name);
        out += ", ";
        append_member(out, "scope", scope_name(rowset.scope));
        out += ", \"period_seconds\": " + std::to_string(rowset.period_seconds) + ", ";
        append_member(out, "hub_table", hub_table(rowset));
        out += ", ";
        append_member(out, "sql", rowset_sql(rowset, major));
        out += ", ";
        if (!rowset.extension.empty()) append_extension(out, rowset, major);
        out += "\"columns\": [";
        bool first = true;
        for (const Column* column : columns_for(rowset, major)) {
            out += first ? "\n  {" : ",\n  {";
            first = false;
            append_member(out, "name", column->name);
            out += ", ";
            append_member(out, "type", sql_type(column->type));
            out += ", ";
            append_member(out, "kind", kind_name(column->kind));
            out += ", ";
            append_member(out, "unit", column->unit);
            out += ", ";
            append_member(out, "help", column->help);
            out += '}';
        }
        out += "]}";
    }
    out += "\n]\n";
    return out;
}

}  // namespace pganalytics

// The declarations: complete, without contradiction, and safe to run in a hostile database. What
// the queries answer is compared with PostgreSQL's own views in tests/e2e.
#include "pganalytics/core/catalog.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <set>

#include "pganalytics/core/catalog_text.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {
namespace {

constexpr int kOldest = 13;
constexpr int kNewest = 19;

bool has_sql(const Rowset& rowset) {
    return rowset.scope == Scope::kCluster || rowset.scope == Scope::kDatabase;
}

std::string full_name(const Rowset& rowset) {
    return std::string(rowset.plugin) + "." + std::string(rowset.name);
}

TEST(Catalog, HasTheRowsetsOfTheDesign) {
    std::set<std::string> names;
    for (const Rowset& rowset : catalog()) {
        EXPECT_TRUE(names.insert(full_name(rowset)).second) << full_name(rowset);
        EXPECT_EQ(find_rowset(rowset.plugin, rowset.name), &rowset);
        EXPECT_EQ(&catalog()[rowset_number(rowset)], &rowset);
    }
    EXPECT_EQ(names, (std::set<std::string>{"disk_usage.filesystems",
                                            "own.rows",
                                            "own.rowsets",
                                            "pg_activity.connections",
                                            "pg_activity.horizon",
                                            "pg_activity.old_sessions",
                                            "pg_activity.prepared_transactions",
                                            "pg_activity.progress_analyze",
                                            "pg_activity.progress_basebackup",
                                            "pg_activity.progress_cluster",
                                            "pg_activity.progress_copy",
                                            "pg_activity.progress_create_index",
                                            "pg_activity.progress_vacuum",
                                            "pg_activity.sessions",
                                            "pg_bloat.indexes",
                                            "pg_bloat.tables",
                                            "pg_extensions.available",
                                            "pg_extensions.installed",
                                            "pg_locks.blocking",
                                            "pg_locks.locks",
                                            "pg_locks.usage",
                                            "pg_log.entries",
                                            "pg_query_stats.info",
                                            "pg_query_stats.statements",
                                            "pg_query_stats.texts",
                                            "pg_replication.publications",
                                            "pg_replication.receiver",
                                            "pg_replication.recovery",
                                            "pg_replication.recovery_prefetch",
                                            "pg_replication.senders",
                                            "pg_replication.slots",
                                            "pg_replication.subscription_tables",
                                            "pg_replication.subscription_workers",
                                            "pg_replication.subscriptions",
                                            "pg_roles.counts",
                                            "pg_roles.memberships",
                                            "pg_roles.roles",
                                            "pg_schema.columns",
                                            "pg_schema.constraints",
                                            "pg_schema.databases",
                                            "pg_schema.indexes",
                                            "pg_schema.relations",
                                            "pg_schema.tablespaces",
                                            "pg_schema.triggers",
                                            "pg_settings.overrides",
                                            "pg_settings.settings",
                                            "pg_stats.autovacuum",
                                            "pg_stats.databases",
                                            "pg_stats.file_sizes",
                                            "pg_stats.functions",
                                            "pg_stats.indexes",
                                            "pg_stats.io",
                                            "pg_stats.lock",
                                            "pg_stats.multixact_members",
                                            "pg_stats.oldest_relations",
                                            "pg_stats.relations",
                                            "pg_stats.sequences",
                                            "pg_stats.server",
                                            "pg_stats.slru",
                                            "pg_stats.tables",
                                            "pg_stats.wraparound",
                                            "pganalytics.collector",
                                            "pganalytics.fulls",
                                            "pganalytics.gone",
                                            "pganalytics.left_out",
                                            "pganalytics.losses",
                                            "pganalytics.rowsets",
                                            "pganalytics.visibility",
                                            "sysstat.cgroup",
                                            "sysstat.cpu",
                                            "sysstat.disk_io",
                                            "sysstat.load",
                                            "sysstat.memory",
                                            "sysstat.network",
                                            "sysstat.paging",
                                            "sysstat.pressure",
                                            "sysstat.processes"}));
    EXPECT_EQ(find_rowset("pg_stats", "nothing"), nullptr);
    EXPECT_NE(catalog_digest(), 0U);
}

bool is_identifier(std::string_view name) {
    if (name.empty() || name.size() > 63 || std::islower(static_cast<unsigned char>(name[0])) == 0)
        return false;
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

TEST(Catalog, NamesAreIdentifiersThatNeedNoQuotes) {
    for (const Rowset& rowset : catalog()) {
        EXPECT_TRUE(is_identifier(hub_table(rowset))) << hub_table(rowset);
        EXPECT_LE(hub_table(rowset).size(), 40U);  // room for the names of its partitions
        EXPECT_FALSE(rowset.help.empty());
        for (const Column& column : rowset.columns) {
            EXPECT_TRUE(is_identifier(column.name)) << column.name;
            // What the hub's tables have beside the columns, or every table has.
            for (const char* taken :
                 {"time", "collector_id", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}) {
                EXPECT_NE(column.name, taken);
            }
            if (is_of_database(rowset)) {
                EXPECT_NE(column.name, "datname");
            }
        }
    }
}

TEST(Catalog, ColumnsAreCompleteInEachVersion) {
    const std::set<std::string_view> units = {"",
                                              "blocks",
                                              "buffers",
                                              "bytes",
                                              "calls",
                                              "checkpoints",
                                              "conflicts",
                                              "connections",
                                              "cycles",
                                              "databases",
                                              "deadlocks",
                                              "errors",
                                              "events",
                                              "faults",
                                              "files",
                                              "flushes",
                                              "functions",
                                              "indexes",
                                              "inodes",
                                              "interrupts",
                                              "locks",
                                              "members",
                                              "multixacts",
                                              "microseconds",
                                              "milliseconds",
                                              "objects",
                                              "operations",
                                              "packets",
                                              "pages",
                                              "periods",
                                              "processes",
                                              "queries",
                                              "readings",
                                              "records",
                                              "requests",
                                              "roles",
                                              "rounds",
                                              "rows",
                                              "rowsets",
                                              "runs",
                                              "seconds",
                                              "scans",
                                              "schemas",
                                              "sectors",
                                              "sessions",
                                              "slots",
                                              "snapshots",
                                              "spills",
                                              "stalls",
                                              "statements",
                                              "switches",
                                              "tables",
                                              "tablespaces",
                                              "tasks",
                                              "ticks",
                                              "times",
                                              "transactions",
                                              "visits",
                                              "writes"};
    for (const Rowset& rowset : catalog()) {
        for (const Column& column : rowset.columns) {
            const std::string at = full_name(rowset) + "." + std::string(column.name);
            EXPECT_EQ(column.sql.empty(), !has_sql(rowset)) << at;
            EXPECT_FALSE(column.help.empty()) << at;
            EXPECT_NE(column.help.back(), '.') << at;
            EXPECT_TRUE(units.contains(column.unit)) << at << " " << column.unit;
            EXPECT_LE(column.versions.first, column.versions.last) << at;
            if (column.kind == Kind::kCounter) {
                EXPECT_TRUE(column.type == ColumnType::kInt64 ||
                            column.type == ColumnType::kFloat64)
                    << at;
                EXPECT_FALSE(column.unit.empty()) << at;
            }
            if (column.kind == Kind::kKey || column.kind == Kind::kLabel) {
                EXPECT_TRUE(column.unit.empty()) << at;
            }
        }
        for (int major = kOldest; major <= kNewest; ++major) {
            const auto columns = columns_for(rowset, major);
            EXPECT_LE(columns.size(), kMaxColumns);
            std::set<std::string_view> names;
            for (const Column* column : columns) {
                EXPECT_TRUE(names.insert(column->name).second)
                    << full_name(rowset) << "." << column->name << " twice in " << major;
            }
        }
    }
}

TEST(Catalog, AColumnOfTwoExpressionsIsOneColumn) {
    for (const Rowset& rowset : catalog()) {
        std::map<std::string_view, const Column*> seen;
        for (const Column& column : rowset.columns) {
            const auto [at, fresh] = seen.emplace(column.name, &column);
            if (fresh) continue;
            EXPECT_EQ(column.type, at->second->type) << column.name;
            EXPECT_EQ(column.kind, at->second->kind) << column.name;
            EXPECT_EQ(column.unit, at->second->unit) << column.name;
        }
        EXPECT_EQ(all_columns(rowset).size(), seen.size());
    }
}

TEST(Catalog, KeysComeFirst) {
    for (const Rowset& rowset : catalog()) {
        for (int major = kOldest; major <= kNewest; ++major) {
            const auto columns = columns_for(rowset, major);
            const size_t keys = key_count(columns);
            for (size_t i = keys; i < columns.size(); ++i) {
                EXPECT_NE(columns[i]->kind, Kind::kKey)
                    << full_name(rowset) << "." << columns[i]->name;
            }
            EXPECT_EQ(keys, key_count(all_columns(rowset)));
            if (is_of_database(rowset)) {
                ASSERT_GE(keys, 2U);
                EXPECT_EQ(columns[0]->name, "datid");
                EXPECT_EQ(columns[0]->type, ColumnType::kOid);
            }
        }
    }
}

// Since when there is something to read; on the majors before no query is made.
int first_major(const Rowset& rowset) {
    static const std::map<std::string, int> later = {{"pg_activity.progress_copy", 14},
                                                     {"pg_replication.recovery_prefetch", 15},
                                                     {"pg_stats.io", 16},
                                                     {"pg_stats.lock", 19}};
    const auto found = later.find(full_name(rowset));
    return found == later.end() ? kOldest : found->second;
}

constexpr int kAnyExtension = 110;
constexpr int kOldestExtension = 108;
constexpr int kNewestExtension = 113;

// Every query there can be on that major.
std::vector<std::string> queries(const Rowset& rowset, int major) {
    if (rowset.extension.empty()) return {rowset_sql(rowset, major)};
    std::vector<std::string> all;
    for (int version = kOldestExtension; version <= kNewestExtension; ++version) {
        all.push_back(extension_sql(rowset, major, {"pg_catalog", version}));
    }
    return all;
}

TEST(Catalog, OneSourceCoversEachVersion) {
    for (const Rowset& rowset : catalog()) {
        for (int major = kOldest; major <= kNewest; ++major) {
            int covering = 0;
            for (const Source& source : rowset.sources) {
                if (!rowset.extension.empty() && !source.extension.contain(kAnyExtension)) continue;
                covering += source.versions.contain(major) ? 1 : 0;
            }
            const bool there = has_sql(rowset) && major >= first_major(rowset);
            EXPECT_EQ(covering, there ? 1 : 0) << full_name(rowset) << " " << major;
            EXPECT_EQ(is_queried(rowset, major), there);
            EXPECT_EQ(rowset_sql(rowset, major).empty(), !there || !rowset.extension.empty());
        }
    }
}

bool is_name_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '"';
}

// Names (dotted ones as one token), literals as '', "::", and every other character by itself; an
// OPERATOR(pg_catalog...) is a comma, EXTRACT is without its field.
std::vector<std::string> tokens_of(std::string_view sql) {
    std::vector<std::string> tokens;
    size_t at = 0;
    while (at < sql.size()) {
        const size_t start = at;
        constexpr std::string_view kOperator = "OPERATOR(pg_catalog.";
        constexpr std::string_view kExtract = "EXTRACT(epoch FROM";
        if (sql.substr(at, kOperator.size()) == kOperator) {
            at = sql.find(')', at) + 1;
            tokens.emplace_back(",");
        } else if (sql.substr(at, kExtract.size()) == kExtract) {
            at += kExtract.size();
            tokens.emplace_back("EXTRACT");
        } else if (sql[at] == '\'') {
            at = sql.find('\'', at + 1) + 1;
            tokens.emplace_back("''");
        } else if (is_name_character(sql[at])) {
            while (at < sql.size() && is_name_character(sql[at])) ++at;
            tokens.emplace_back(sql.substr(start, at - start));
        } else if (sql.substr(at, 2) == "::") {
            at += 2;
            tokens.emplace_back("::");
        } else {
            ++at;
            if (sql[start] != ' ' && sql[start] != '\n') tokens.emplace_back(1, sql[start]);
        }
    }
    return tokens;
}

// Names a WITH gives: they come before any table of that name.
std::set<std::string> given_names(const std::vector<std::string>& tokens) {
    std::set<std::string> given;
    for (size_t i = 0; i + 2 < tokens.size(); ++i) {
        const bool with = tokens[i + 1] == "AS" && (tokens[i + 2] == "MATERIALIZED" ||
                                                    tokens[i + 2] == "NOT" || tokens[i + 2] == "(");
        if (with && is_name_character(tokens[i][0])) given.insert(tokens[i]);
    }
    return given;
}

bool is_qualified(const std::string& name) { return name.starts_with("pg_catalog."); }

// A name that is left bare could be bound to an object that somebody else made.
TEST(Catalog, EveryFunctionTypeRelationAndOperatorIsQualified) {
    const std::set<std::string> before_parentheses = {
        "ALL",     "ANY",    "AND",      "CASE",   "ELSE",         "FROM",     "IN",    "JOIN",
        "LATERAL", "LEAST",  "NOT",      "SELECT", "THEN",         "WHEN",     "WHERE", "GREATEST",
        "AS",      "BY",     "COALESCE", "OFFSET", "MATERIALIZED", "DISTINCT", "ON",    "WITH",
        "ROW",     "HAVING", "VALUES",   "ARRAY",  "EXISTS",       "FILTER",   "OR",    "OVER"};
    for (const Rowset& rowset : catalog()) {
        for (int major = kOldest; major <= kNewest; ++major) {
            std::vector<std::string> tokens;
            for (const std::string& sql : queries(rowset, major)) {
                for (std::string& token : tokens_of(sql)) tokens.push_back(std::move(token));
            }
            const std::set<std::string> given = given_names(tokens);
            for (size_t i = 0; i + 1 < tokens.size(); ++i) {
                const std::string& token = tokens[i];
                const std::string& next = tokens[i + 1];
                if (token == "*" && tokens[i - 1].ends_with('.')) continue;
                if (next == "(" && i > 0 && tokens[i - 1] == "AS") continue;  // names of columns
                const std::string at = full_name(rowset) + ": " + token + " " + next;
                EXPECT_EQ(std::string("=<>+-*/&|~!@#%^?").find(token), std::string::npos) << at;
                if (token == "::" ||
                    ((token == "FROM" || token == "JOIN") && next != "(" && next != "LATERAL" &&
                     next != "ROWS" && !given.contains(next))) {
                    EXPECT_TRUE(is_qualified(next)) << at;
                }
                if (next == "(" && is_name_character(token[0]) &&
                    !before_parentheses.contains(token)) {
                    EXPECT_TRUE(is_qualified(token)) << at;
                }
            }
        }
    }
}

// Each of these takes a lock on relations, opens files, changes by time alone, or finds its
// operator by search_path.
TEST(Catalog, NoQueryCallsWhatItMustNot) {
    for (const Rowset& rowset : catalog()) {
        for (int major = kOldest; major <= kNewest; ++major) {
            std::string sql;
            for (const std::string& one : queries(rowset, major)) sql += one;
            for (const char* forbidden :
                 {"DISTINCT FROM", "NULLIF", "BETWEEN", " LIKE ", " USING ", "pg_relation_size",
                  "pg_table_size", "pg_total_relation_size", "pg_indexes_size", "pg_database_size",
                  "pg_get_indexdef", "regclass", "now()", "pg_ls_", "current_timestamp"}) {
                EXPECT_EQ(sql.find(forbidden), std::string::npos) << full_name(rowset);
            }
        }
    }
}

TEST(Catalog, ExtensionsAreAskedInTheirSchemaAtTheirVersion) {
    const Rowset* statements = find_rowset("pg_query_stats", "statements");
    ASSERT_NE(statements, nullptr);
    EXPECT_EQ(statements->scope, Scope::kCluster);
    EXPECT_EQ(rowset_sql(*statements, 15), "");
    const std::string old_sql = extension_sql(*statements, 17, {"\"St at\"", 108});
    EXPECT_NE(old_sql.find("\"St at\".pg_stat_statements(false)"), std::string::npos);
    EXPECT_EQ(old_sql.find("@schema@"), std::string::npos);
    EXPECT_EQ(old_sql.find("s.toplevel,"), old_sql.find("s.toplevel,\n"));
    EXPECT_NE(old_sql.find("NULL::pg_catalog.int8 AS jit_functions"), std::string::npos);
    const std::string new_sql = extension_sql(*statements, 17, {"public", 112});
    EXPECT_NE(new_sql.find("s.jit_functions AS jit_functions"), std::string::npos);
    EXPECT_EQ(extension_sql(*statements, 17, {"public", 107}), "");
    EXPECT_EQ(extension_version("1.10"), 110);
    EXPECT_EQ(extension_version("1.8"), 108);
    for (const char* wrong : {"", "1", "1.", "1.x", "1.8.1", "-1.8", "1.100", "x1.8"}) {
        EXPECT_EQ(extension_version(wrong), 0) << wrong;
    }
}

TEST(Catalog, SqlNamesTheColumnsInOrder) {
    const Rowset* server = find_rowset("pg_stats", "server");
    ASSERT_NE(server, nullptr);
    const std::string old_sql = rowset_sql(*server, 16);
    const std::string new_sql = rowset_sql(*server, 17);
    EXPECT_NE(old_sql.find("b.checkpoints_timed AS checkpoints_timed"), std::string::npos);
    EXPECT_EQ(old_sql.find("pg_stat_checkpointer"), std::string::npos);
    EXPECT_NE(new_sql.find("c.num_timed AS checkpoints_timed"), std::string::npos);
    EXPECT_EQ(new_sql.find("buffers_backend"), std::string::npos);
    EXPECT_EQ(hub_table(*server), "pg_stats_server");
    const auto columns = columns_for(*server, 17);
    size_t position = 0;
    for (const Column* column : columns) {
        const size_t next = new_sql.find(" AS " + std::string(column->name), position);
        ASSERT_NE(next, std::string::npos) << column->name;
        position = next;
    }
    EXPECT_EQ(types_of(columns).size(), columns.size());
}

TEST(CatalogText, NamesEveryColumnOnce) {
    const std::string page = catalog_markdown();
    for (const Rowset& rowset : catalog()) {
        EXPECT_NE(page.find("\n## " + full_name(rowset) + "\n"), std::string::npos);
        for (const Column& column : rowset.columns) {
            EXPECT_NE(page.find("| `" + std::string(column.name) + "` |"), std::string::npos);
        }
    }
    EXPECT_NE(page.find("| `wal_write` | bigint | counter | writes | 14 to 17 |"),
              std::string::npos);
    EXPECT_NE(page.find("| `buffers_backend` | bigint | counter | buffers | until 16 |"),
              std::string::npos);
    EXPECT_NE(page.find("| `checkpoints_timed` | bigint | counter | checkpoints |  |"),
              std::string::npos);
}

}  // namespace
}  // namespace pganalytics

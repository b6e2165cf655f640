// The hub's tables as SQL text. That the text does what it should is shown on a server
// (tests/e2e/test_hub_worker.py); here: that no declaration of the catalog can make it fail.
#include "pganalytics/core/hub_schema.hpp"

#include <gtest/gtest.h>

#include <set>

#include "pganalytics/core/hub_schema_changes.hpp"
#include "pganalytics/core/hub_views.hpp"

namespace pganalytics {
namespace {

constexpr size_t kLongestName = 63;

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

TEST(HubSchema, EveryTableCanBeMade) {
    const std::set<std::string_view> system = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"};
    std::set<std::string> tables;
    for (const Rowset& rowset : catalog()) {
        SCOPED_TRACE(hub_table(rowset));
        EXPECT_TRUE(tables.insert(hub_table(rowset)).second);
        EXPECT_LE(partition_name(rowset, 20504, kPartitionNames).size(), kLongestName);
        std::set<std::string_view> names;
        for (const HubColumn& column : hub_columns(rowset)) {
            EXPECT_TRUE(names.insert(column.name).second) << column.name;
            EXPECT_EQ(system.count(column.name), 0U) << column.name;
            EXPECT_LE(column.name.size(), kLongestName) << column.name;
        }
        EXPECT_EQ(names.count("datname") > 0 || !is_of_database(rowset), true);
    }
}

TEST(HubSchema, FixedTablesAreNotShadowed) {
    for (const char* fixed : {"hub", "collectors", "certificates", "tokens", "ledger", "rowsets",
                              "configuration", "audit", "servers"}) {
        for (const Rowset& rowset : catalog()) EXPECT_NE(hub_table(rowset), fixed);
    }
}

TEST(HubSchema, Columns) {
    const Rowset* tables = find_rowset("pg_stats", "tables");
    ASSERT_NE(tables, nullptr);
    const std::vector<HubColumn> columns = hub_columns(*tables);
    EXPECT_EQ(columns[0].name, "time");
    EXPECT_EQ(columns[1].name, "collector_id");
    EXPECT_EQ(columns[2].name, "datid");
    EXPECT_EQ(columns[3].name, "datname");
    EXPECT_EQ(columns[4].name, "relid");
    const std::string sql = create_table_sql(*tables);
    EXPECT_TRUE(contains(sql, "(collector_id, datid, \"time\")")) << sql;
    EXPECT_TRUE(contains(sql, "\"seq_scan\" bigint")) << sql;
    const Rowset* gone = find_rowset("pganalytics", "gone");
    EXPECT_TRUE(
        contains(create_table_sql(*gone), "(collector_id, \"rowset\", \"datid\", \"time\")"));
    const Rowset* cpu = find_rowset("sysstat", "cpu");
    EXPECT_TRUE(contains(create_table_sql(*cpu), "(collector_id, \"time\")"));
}

// Days by `date -u -d 2026-02-20 +%s` and the like.
TEST(HubSchema, Days) {
    const Rowset* cpu = find_rowset("sysstat", "cpu");
    EXPECT_EQ(partition_name(*cpu, 20504), "sysstat_cpu_20260220");
    EXPECT_EQ(partition_name(*cpu, 20504, 2), "sysstat_cpu_20260220_2");
    EXPECT_EQ(day_text(20504), "2026-02-20 00:00:00+00");
    EXPECT_EQ(day_text(0), "1970-01-01 00:00:00+00");
    EXPECT_EQ(day_text(-1), "1969-12-31 00:00:00+00");
    EXPECT_EQ(day_text(19782), "2024-02-29 00:00:00+00");
    const std::string sql = create_partition_sql(*cpu, 20512);
    EXPECT_TRUE(contains(sql, "FROM ('2026-02-28 00:00:00+00') TO ('2026-03-01 00:00:00+00')"));
    EXPECT_FALSE(contains(sql, "PARTITION OF"));
}

TEST(HubSchema, Quotes) {
    EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
    EXPECT_EQ(quote_literal("it's"), "'it''s'");
    EXPECT_EQ(qualified_table("x"), "pganalytics.\"x\"");
}

TEST(HubViews, ReadTablesOfTheCatalog) {
    for (const HubView& view : hub_views()) {
        const std::vector<std::string> columns = {"time", "collector_id", "datid", "relid"};
        const std::string sql = create_state_function_sql(view);
        EXPECT_TRUE(contains(sql, view.table)) << sql;
        EXPECT_TRUE(contains(create_view_sql(view, columns), view.function));
        for (const std::string_view table : view.reads) {
            bool found = false;
            for (const Rowset& rowset : catalog()) found = found || hub_table(rowset) == table;
            EXPECT_TRUE(found) << table;
        }
    }
}

TEST(HubSchemaChanges, ReadEveryRowsetOfSchemas) {
    const std::string sql = create_schema_changes_sql();
    std::string tables;
    for (const std::string_view table : schema_change_tables()) {
        tables += std::string(table) + " ";
        EXPECT_TRUE(contains(sql, table)) << table;
    }
    for (const Rowset& rowset : catalog()) {
        if (rowset.plugin != "pg_schema") continue;
        EXPECT_TRUE(contains(tables, hub_table(rowset)));
        for (const Column* column : all_columns(rowset)) {
            if (column->kind != Kind::kKey || column->name == "datid") continue;
            EXPECT_TRUE(contains(sql, "r." + std::string(column->name) + " = e."));
        }
        EXPECT_EQ(all_columns(rowset).back()->name, "digest");
    }
}

}  // namespace
}  // namespace pganalytics

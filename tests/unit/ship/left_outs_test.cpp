// What was left out of rowsets, by their last reading.
#include "pganalytics/ship/left_outs.hpp"

#include <gtest/gtest.h>

namespace pganalytics::ship {
namespace {

constexpr uint32_t kDatabases[] = {5, 6};

RowsetReport reading(std::string_view name, uint32_t datid, uint64_t left_out) {
    RowsetReport report;
    report.rowset = find_rowset("pg_stats", name);
    report.datid = datid;
    report.datname = "app";
    report.complete = true;
    report.left_out = left_out;
    report.sums = R"({"seq_scan":1})";
    return report;
}

std::vector<std::string> told(const LeftOuts& left_outs) {
    const std::vector<ColumnType> types =
        types_of(all_columns(*find_rowset("pganalytics", "left_out")));
    RowBuilder rows(types);
    left_outs.put_rows(rows);
    std::vector<std::string> texts;
    const std::string bytes = rows.take();
    RowReader reader(bytes);
    std::vector<Value> values(types.size());
    for (std::string_view body; reader.next(body);) {
        EXPECT_TRUE(decode_row(body, types, values));
        texts.push_back(std::string(values[0].text) + " " + std::to_string(values[1].integer) +
                        " " + std::string(values[2].text) + " " +
                        std::to_string(values[3].integer) + " " + std::string(values[4].text));
    }
    return texts;
}

void take(LeftOuts& left_outs, const RowsetReport& report) {
    left_outs.take({&report, 1}, kDatabases);
}

using Texts = std::vector<std::string>;

TEST(LeftOuts, ARowForEachRowsetAndDatabase) {
    LeftOuts left_outs;
    const RowsetReport reports[] = {reading("tables", 5, 3), reading("tables", 6, 0),
                                    reading("indexes", 6, 4)};
    left_outs.take(reports, kDatabases);
    EXPECT_EQ(told(left_outs), (Texts{R"(pg_stats.tables 5 app 3 {"seq_scan":1})",
                                      R"(pg_stats.indexes 6 app 4 {"seq_scan":1})"}));
}

TEST(LeftOuts, StaysUntilEverythingIsRead) {
    LeftOuts left_outs;
    take(left_outs, reading("tables", 5, 3));
    RowsetReport failed = reading("tables", 5, 0);
    failed.complete = false;
    take(left_outs, failed);
    RowsetReport partial = reading("tables", 5, 0);
    partial.partial = true;
    take(left_outs, partial);
    EXPECT_EQ(told(left_outs).size(), 1U);
    take(left_outs, reading("tables", 5, 0));
    EXPECT_EQ(told(left_outs), Texts{});
}

TEST(LeftOuts, GoesWithItsDatabase) {
    LeftOuts left_outs;
    take(left_outs, reading("tables", 5, 3));
    take(left_outs, reading("functions", 0, 2));
    constexpr uint32_t kOther[] = {6};
    left_outs.take({}, kOther);
    EXPECT_EQ(told(left_outs), Texts{R"(pg_stats.functions 0 app 2 {"seq_scan":1})"});
}

}  // namespace
}  // namespace pganalytics::ship

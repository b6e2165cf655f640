// Rowsets that are read in slices: how long these are, and where they begin.
#include "pganalytics/core/slice_rounds.hpp"

#include <gtest/gtest.h>

namespace pganalytics {
namespace {

constexpr uint32_t kDatabase = 16384;
constexpr uint16_t kRowset = 7;
constexpr int64_t kLimit = 2000000;
constexpr int64_t kSlow = kLimit / 10;

class SliceRoundsTest : public testing::Test {
  protected:
    Slice next() {
        const auto slice = rounds_.next(kDatabase, kRowset);
        EXPECT_TRUE(slice);
        return slice.value_or(Slice{});
    }
    bool is_whole() const { return !rounds_.next(kDatabase, kRowset); }
    void too_long() { rounds_.too_long(kDatabase, kRowset); }
    void read(uint64_t rows, uint32_t last, int64_t elapsed_us = kSlow) {
        rounds_.read(kDatabase, kRowset, rows, last, elapsed_us, kLimit);
    }

    SliceRounds rounds_;
};

TEST_F(SliceRoundsTest, WhatTookTooLongGoesOnBehindTheLastKey) {
    EXPECT_TRUE(is_whole());
    read(5, 1);
    EXPECT_TRUE(is_whole());
    too_long();
    EXPECT_EQ(next().number, 1);
    EXPECT_EQ(next().rowset, kRowset);
    EXPECT_TRUE(next().after == 0);
    EXPECT_FALSE(rounds_.next(kDatabase + 1, kRowset));
    EXPECT_FALSE(rounds_.next(kDatabase, kRowset + 1));
    read(4000, 16390);
    EXPECT_EQ(next().number, 2);
    EXPECT_EQ(next().after, 16390U);
    EXPECT_EQ(next().before, 4000U);
    read(100, 16400);
    EXPECT_EQ(next().before, 4100U);
    // The last; the next round begins anew.
    read(10, 0, kLimit / 2 - 2 * kSlow);
    EXPECT_EQ(next().number, 1);
    EXPECT_TRUE(next().after == 0);
    EXPECT_EQ(next().before, 0U);
    // One slice does it: no more of them.
    read(10, 0);
    EXPECT_TRUE(is_whole());
}

TEST_F(SliceRoundsTest, SlicesAreAsLongAsTheTimeAllows) {
    too_long();
    EXPECT_EQ(next().objects, SliceRounds::kFirstObjects);
    read(9, 1, kSlow - 1);
    EXPECT_EQ(next().objects, SliceRounds::kFirstObjects * 2);
    too_long();
    EXPECT_EQ(next().objects, SliceRounds::kFirstObjects);
    EXPECT_EQ(next().number, 2);
    for (uint32_t i = 0; i < 10; ++i) read(1, i + 2, 0);
    EXPECT_EQ(next().objects, SliceRounds::kMostObjects);
    for (uint32_t objects = SliceRounds::kMostObjects; objects > SliceRounds::kLeastObjects;) {
        too_long();
        EXPECT_LT(next().objects, objects);
        objects = next().objects;
    }
    EXPECT_EQ(next().objects, SliceRounds::kLeastObjects);
    const uint16_t number = next().number;
    for (uint32_t i = 1; i < SliceRounds::kTriesOfTheLeast; ++i) too_long();
    EXPECT_EQ(next().number, number) << "what was read before is kept";
    read(1, 20);
    for (uint32_t i = 1; i < SliceRounds::kTriesOfTheLeast; ++i) too_long();
    EXPECT_EQ(next().number, number + 1) << "tries in a row count";
    too_long();
    EXPECT_TRUE(is_whole());
}

// It was the server that was slow, not the rowset.
TEST_F(SliceRoundsTest, QuickRoundsLeadBackToOneReading) {
    too_long();
    for (uint32_t last : {1U, 2U, 3U}) read(9, last);
    read(9, 0, kLimit / 2 - 3 * kSlow);
    EXPECT_EQ(next().number, 1) << "half of the time for one reading";
    for (uint32_t last : {1U, 2U, 3U}) read(9, last);
    rounds_.restart();
    for (uint32_t last : {1U, 2U, 3U}) read(9, last);
    EXPECT_EQ(next().number, 4);
    read(9, 0, kLimit / 2 - 3 * kSlow - 1);
    EXPECT_TRUE(is_whole()) << "less than half";
}

TEST_F(SliceRoundsTest, WhatIsLostIsReadFromTheBeginning) {
    too_long();
    read(10, 5);
    rounds_.restart();
    EXPECT_EQ(next().number, 1);
    EXPECT_TRUE(next().after == 0);
    EXPECT_EQ(next().before, 0U);
    constexpr uint32_t kOther[] = {1};
    rounds_.keep_databases(kOther);
    EXPECT_TRUE(is_whole());
}

TEST(Slices, AreOfRowsetsWithNumbersForKeys) {
    EXPECT_TRUE(is_sliceable(*find_rowset("pg_schema", "columns"), 15));
    EXPECT_TRUE(is_sliceable(*find_rowset("pg_stats", "tables"), 13));
    EXPECT_FALSE(is_sliceable(*find_rowset("pg_extensions", "installed"), 15));
    EXPECT_FALSE(is_sliceable(*find_rowset("pg_settings", "settings"), 15));
    EXPECT_FALSE(is_sliceable(*find_rowset("pg_query_stats", "statements"), 15));
    EXPECT_FALSE(is_sliceable(*find_rowset("sysstat", "cpu"), 15));
}

TEST(Slices, AreTheRowsOfSoManyObjects) {
    const Rowset& columns = *find_rowset("pg_schema", "columns");
    Slice slice;
    slice.after = 4294967295;
    slice.objects = 100;
    EXPECT_EQ(
        slice_end_sql(columns, 15, slice),
        "SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) 100 THEN"
        " pg_catalog.max(o.oid) END\nFROM (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid"
        " OPERATOR(pg_catalog.>) '4294967295'::pg_catalog.oid ORDER BY c.oid LIMIT 100) o");
    const std::string behind = "\nFROM (\n" + rowset_sql(columns, 15) +
                               "\n) s WHERE s.relid OPERATOR(pg_catalog.>) "
                               "'4294967295'::pg_catalog.oid";
    EXPECT_EQ(slice_sql(columns, 15, slice, 0), "SELECT s.*" + behind);
    EXPECT_EQ(slice_sql(columns, 15, slice, 7),
              "SELECT s.*" + behind + " AND s.relid OPERATOR(pg_catalog.<=) '7'::pg_catalog.oid");
    EXPECT_EQ(rows_behind_sql(columns, 15, 4294967295), "SELECT pg_catalog.count(*)" + behind);
    EXPECT_EQ(slice_sql(*find_rowset("sysstat", "cpu"), 15, slice, 0), "");
}

}  // namespace
}  // namespace pganalytics

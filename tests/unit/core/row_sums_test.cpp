// Rows too many: which are kept, and what the others come to.
#include "pganalytics/core/row_sums.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace pganalytics {
namespace {

using enum ColumnType;

constexpr Column kRelid{"relid", "", kOid, Kind::kKey, "", ""};
constexpr Column kName{"relname", "", kText, Kind::kLabel, "", ""};
constexpr Column kScans{"seq_scan", "", kInt64, Kind::kCounter, "scans", ""};
constexpr Column kTime{"time", "", kFloat64, Kind::kCounter, "milliseconds", ""};
constexpr Column kSize{"size", "", kInt64, Kind::kGauge, "bytes", ""};
constexpr Column kAge{"least", "", kInt64, Kind::kGauge, "transactions", ""};
constexpr Column kSeen{"seen", "", kTimestamp, Kind::kGauge, "", ""};
constexpr const Column* kColumns[] = {&kRelid, &kName, &kScans, &kTime, &kSize, &kAge, &kSeen};

class RowSumsTest : public testing::Test {
  protected:
    RowSumsTest() {
        types_ = types_of(kColumns);
        for (const Column* column : kColumns) summings_.push_back(summing_of(*column));
        summing_ = {types_, summings_.data()};
    }

    std::string row(std::optional<int64_t> scans, double time, int64_t size) {
        RowBuilder rows(types_);
        rows.begin();
        rows.number(7);
        rows.text("t");
        scans ? rows.integer(*scans) : rows.null();
        rows.real(time);
        rows.integer(size);
        rows.integer(1000);
        rows.integer(5);
        rows.end();
        const std::string all = rows.take();
        RowReader reader(all);
        std::string_view body;
        EXPECT_TRUE(reader.next(body));
        return std::string(body);
    }

    RowWeight weight(const std::string& body) { return weight_of(summing_, body); }

    std::vector<ColumnType> types_;
    std::vector<Summing> summings_;
    RowSumming summing_;
};

TEST_F(RowSumsTest, OnlyWhatMakesASumIsSummedUp) {
    EXPECT_EQ(summings_, (std::vector<Summing>{Summing::kNone, Summing::kNone, Summing::kCounter,
                                               Summing::kCounter, Summing::kAmount, Summing::kNone,
                                               Summing::kNone}));
}

TEST_F(RowSumsTest, BusierGoesBeforeLarger) {
    EXPECT_TRUE(weight(row(10, 0, 0)).is_above(weight(row(9, 0, 1'000'000))));
    EXPECT_TRUE(weight(row(9, 1.5, 0)).is_above(weight(row(10, 0, 0))));
    EXPECT_TRUE(weight(row(5, 0, 2)).is_above(weight(row(5, 0, 1))));
    EXPECT_FALSE(weight(row(5, 0, 1)).is_above(weight(row(5, 0, 1))));
    // Not known is not less than nothing.
    EXPECT_EQ(weight(row(5, 0, -1)), weight(row(5, 0, 0)));
    EXPECT_EQ(weight(row(std::nullopt, 0, 0)), weight(row(0, 0, 0)));
    const double infinite = std::numeric_limits<double>::infinity();
    EXPECT_EQ(weight(row(3, infinite, 0)), weight(row(3, 0, 0)));
    EXPECT_EQ(weight("nonsense"), RowWeight{});
}

TEST_F(RowSumsTest, SumsByColumn) {
    RowSums sums;
    add_to_sums(summing_, row(10, 1.5, -1), &sums);
    add_to_sums(summing_, row(std::nullopt, 2.25, -1), &sums);
    EXPECT_EQ(sums.rows, 2U);
    EXPECT_EQ(sums_json(summing_, kColumns, sums), R"({"seq_scan":10,"time":3.75})");
    add_to_sums(summing_, row(int64_t{1} << 60, 0, 8192), &sums);
    EXPECT_EQ(sums_json(summing_, kColumns, sums),
              R"({"seq_scan":1152921504606846986,"time":3.75,"size":8192})");
    // Malformed rows are counted.
    add_to_sums(summing_, "nonsense", &sums);
    EXPECT_EQ(sums.rows, 4U);
    EXPECT_EQ(sums_json(summing_, kColumns, RowSums{}), "{}");
}

TEST_F(RowSumsTest, SumsEndAt64Bits) {
    RowSums sums;
    const int64_t most = std::numeric_limits<int64_t>::max();
    add_to_sums(summing_, row(most, 0, most), &sums);
    add_to_sums(summing_, row(1, 0, 1), &sums);
    EXPECT_EQ(sums_json(summing_, kColumns, sums),
              R"({"seq_scan":9223372036854775807,"time":0,"size":9223372036854775807})");
}

}  // namespace
}  // namespace pganalytics

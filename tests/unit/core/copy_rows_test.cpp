// Binary COPY rows as hostile bytes: each rule broken by itself, cut at every byte.
#include "pganalytics/core/copy_rows.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace pganalytics {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kDay = 86400 * kSecond;
// 2026-02-20 10:30:00 UTC, by `date -u -d '2026-02-20 10:30' +%s`.
constexpr int64_t kNow = 1771583400 * kSecond;
constexpr int64_t kEpoch2000 = 946684800 * kSecond;

Uuid collector(uint8_t last) {
    Uuid uuid{};
    uuid[15] = last;
    return uuid;
}

CopyRowsRules rules(size_t fields) {
    return {fields, collector(1), {kNow - 31 * kDay, kNow + 600 * kSecond}};
}

class Row {
  public:
    explicit Row(int fields) { number(static_cast<uint64_t>(fields), 2); }
    Row& time(int64_t value) {
        number(8, 4);
        return number(static_cast<uint64_t>(value - kEpoch2000), 8);
    }
    Row& uuid(const Uuid& value) {
        number(16, 4);
        bytes.append(reinterpret_cast<const char*>(value.data()), value.size());
        return *this;
    }
    Row& text(std::string_view value) {
        number(value.size(), 4);
        bytes.append(value);
        return *this;
    }
    Row& null() { return number(0xffffffff, 4); }
    Row& number(uint64_t value, int width) {
        for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
            bytes.push_back(static_cast<char>(value >> shift));
        return *this;
    }
    std::string bytes;
};

std::string good_row(int64_t time = kNow) {
    return Row(4).time(time).uuid(collector(1)).text("orders").null().bytes;
}

std::string refusal(std::string_view bytes, size_t fields = 4) {
    CopyRowsFacts facts;
    const Status status = walk_copy_rows(bytes, rules(fields), facts);
    return status ? "" : status.error().message;
}

TEST(CopyRows, CountsRowsAndDays) {
    CopyRowsFacts facts;
    const std::string rows =
        good_row(kNow) + good_row(kNow - kDay) + good_row(kNow) + good_row(kNow - 2 * kDay);
    ASSERT_TRUE(walk_copy_rows(rows, rules(4), facts));
    EXPECT_EQ(facts.rows, 4U);
    // 2026-02-20 is day 20504.
    EXPECT_EQ(facts.days, (std::vector<int32_t>{20502, 20503, 20504}));
    ASSERT_TRUE(walk_copy_rows(good_row(), rules(4), facts));
    EXPECT_EQ(facts.rows, 5U);
    EXPECT_EQ(facts.days.size(), 3U);
    EXPECT_EQ(facts.latest, kNow);
    EXPECT_EQ(copy_field_count(rows), 4U);
}

TEST(CopyRows, TakesNothing) {
    EXPECT_EQ(refusal(""), "");
    EXPECT_EQ(copy_field_count(""), 0U);
    EXPECT_EQ(copy_field_count("\xff\xff"), 0U);
}

TEST(CopyRows, RefusesOtherFieldCounts) {
    EXPECT_NE(refusal(good_row(), 3), "");
    EXPECT_NE(refusal(good_row(), 5), "");
    // What COPY takes for the end of the data would hide the rows behind it.
    const std::string trailer("\xff\xff", 2);
    EXPECT_EQ(refusal(good_row() + trailer + good_row()),
              "row 2 does not have the fields of its table");
    EXPECT_NE(refusal(Row(-1).bytes, static_cast<size_t>(-1)), "");
    EXPECT_NE(refusal(Row(0).bytes, 0), "");
    EXPECT_NE(refusal(Row(1).time(kNow).bytes, 1), "");
}

TEST(CopyRows, RefusesAnotherCollector) {
    EXPECT_EQ(refusal(good_row() + Row(4).time(kNow).uuid(collector(2)).null().null().bytes),
              "row 2 is of another collector");
    EXPECT_NE(refusal(Row(4).time(kNow).null().null().null().bytes), "");
    EXPECT_NE(refusal(Row(4).time(kNow).text("0123456789").null().null().bytes), "");
}

TEST(CopyRows, HoldsTheWindowAtBothEnds) {
    const TimeWindow window = rules(4).window;
    EXPECT_EQ(refusal(good_row(window.earliest)), "");
    EXPECT_EQ(refusal(good_row(window.latest)), "");
    EXPECT_NE(refusal(good_row(window.earliest - 1)), "");
    EXPECT_NE(refusal(good_row(window.latest + 1)), "");
    // infinity, -infinity, null
    for (const int64_t value : {INT64_MAX, INT64_MIN}) {
        const std::string row = Row(4)
                                    .number(8, 4)
                                    .number(static_cast<uint64_t>(value), 8)
                                    .uuid(collector(1))
                                    .null()
                                    .null()
                                    .bytes;
        EXPECT_NE(refusal(row), "");
    }
    EXPECT_NE(refusal(Row(4).null().uuid(collector(1)).null().null().bytes), "");
}

TEST(CopyRows, RefusesEveryCut) {
    const std::string row = good_row();
    for (size_t size = 1; size < row.size(); ++size)
        EXPECT_NE(refusal(row.substr(0, size)), "") << size;
    for (size_t size = 1; size < row.size(); ++size)
        EXPECT_NE(refusal(row + row.substr(0, size)), "") << size;
}

TEST(CopyRows, RefusesLengthsThatLie) {
    for (const uint64_t length :
         {uint64_t{0xfffffffe}, uint64_t{0x80000000}, uint64_t{0x7fffffff}, uint64_t{3}}) {
        const std::string row =
            Row(3).time(kNow).uuid(collector(1)).number(length, 4).number(0, 2).bytes;
        EXPECT_NE(refusal(row, 3), "") << length;
    }
}

TEST(CopyRows, SurvivesNoise) {
    std::mt19937 random(20260220);
    for (int round = 0; round < 20000; ++round) {
        std::string bytes = good_row() + good_row(kNow - kDay);
        for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        bytes.resize(random() % (bytes.size() + 1));
        CopyRowsFacts facts;
        if (walk_copy_rows(bytes, rules(4), facts)) {
            EXPECT_LE(facts.rows, 2U);
            for (const int32_t day : facts.days) EXPECT_NEAR(day, 20504, 31);
        }
    }
}

TEST(CopyRows, DaysOfTimes) {
    EXPECT_EQ(day_of(0), 0);
    EXPECT_EQ(day_of(-1), -1);
    EXPECT_EQ(day_of(kDay - 1), 0);
    EXPECT_EQ(day_of(kDay), 1);
    EXPECT_EQ(day_of(-kDay), -1);
    EXPECT_EQ(day_of(-kDay - 1), -2);
}

}  // namespace
}  // namespace pganalytics

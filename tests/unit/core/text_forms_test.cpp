// uuid, hex, lsn, time and UTF-8 text forms.
#include <gtest/gtest.h>

#include <ctime>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/lsn.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics {
namespace {

using std::string_literals::operator""s;

std::string time_of(int64_t time) {
    std::string out;
    EXPECT_TRUE(append_time(out, time));
    return out;
}

std::string clean(std::string_view text, size_t replaced) {
    std::string out;
    EXPECT_EQ(append_utf8_clean(out, text), replaced);
    EXPECT_TRUE(is_utf8(out));
    return out;
}

TEST(Uuid, RoundTrip) {
    const std::string text = "123e4567-e89b-12d3-a456-42661417400f";
    const auto uuid = parse_uuid(text);
    ASSERT_TRUE(uuid);
    EXPECT_EQ((*uuid)[0], 0x12);
    EXPECT_EQ((*uuid)[15], 0x0f);
    EXPECT_EQ(uuid_text(*uuid), text);
    EXPECT_EQ(parse_uuid("123E4567-E89B-12D3-A456-42661417400F"), uuid);
}

TEST(Uuid, RefusesOtherForms) {
    for (const char* text :
         {"", "123e4567e89b12d3a45642661417400f0000", "{123e4567-e89b-12d3-a456-426614174}",
          "123e4567-e89b-12d3-a456-42661417400g", "123e4567-e89b-12d3-a456-42661417400",
          "123e4567-e89b-12d3-a4560-2661417400f"}) {
        EXPECT_FALSE(parse_uuid(text)) << text;
    }
}

TEST(Hex, RoundTripAndRefusal) {
    std::array<uint8_t, 3> bytes{};
    ASSERT_TRUE(parse_hex("00fFa9", bytes));
    EXPECT_EQ(hex_text(bytes), "00ffa9");
    EXPECT_FALSE(parse_hex("00ff", bytes));
    EXPECT_FALSE(parse_hex("00ff0x", bytes));
}

TEST(Lsn, RoundTripAndRefusal) {
    std::string out;
    append_lsn(out, 0x16B374D848);
    EXPECT_EQ(out, "16/B374D848");
    EXPECT_EQ(parse_lsn("16/B374D848"), 0x16B374D848U);
    EXPECT_EQ(parse_lsn("FFFFFFFF/FFFFFFFF"), UINT64_MAX);
    for (const char* text :
         {"", "/", "1/", "/1", "1", "1/1/1", "123456789/0", "-1/0", "g/0", " 1/0"}) {
        EXPECT_FALSE(parse_lsn(text)) << text;
    }
}

TEST(TimeText, AgreesWithTheCLibraryOnEveryDayOfEightCenturies) {
    for (int64_t day = -160'000; day < 140'000; ++day) {
        const std::time_t seconds = day * 86'400 + (day * 7919 % 86'400 + 86'400) % 86'400;
        std::tm tm{};
        ASSERT_NE(gmtime_r(&seconds, &tm), nullptr);
        char expected[40];
        ASSERT_GT(std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm), 0U);
        const std::string text = time_of(seconds * kMicrosecondsPerSecond);
        ASSERT_EQ(text, std::string(expected) + ".000Z");
        ASSERT_EQ(parse_time(text), seconds * kMicrosecondsPerSecond);
    }
}

TEST(TimeText, FractionsAndOffsets) {
    EXPECT_EQ(time_of(kPostgresEpoch + 123'456), "2000-01-01T00:00:00.123456Z");
    EXPECT_EQ(time_of(-1), "1969-12-31T23:59:59.999999Z");
    EXPECT_EQ(parse_time("2000-01-01T02:30:00.5+02:30"), kPostgresEpoch + 500'000);
    EXPECT_EQ(parse_time("1999-12-31t21:00:00.123456789-03:00"), kPostgresEpoch + 123'456);
    EXPECT_EQ(parse_time("1999-12-31T23:59:60Z"), kPostgresEpoch);
    EXPECT_EQ(parse_time("2000-02-29T00:00:00Z"), 951'782'400 * kMicrosecondsPerSecond);
    EXPECT_EQ(parse_time("2024-02-29T00:00:00Z"), 1'709'164'800 * kMicrosecondsPerSecond);
}

TEST(TimeText, LimitsOfTheCalendar) {
    std::string out;
    EXPECT_TRUE(append_time(out, 253'402'300'800 * kMicrosecondsPerSecond - 1));
    EXPECT_EQ(out, "9999-12-31T23:59:59.999999Z");
    EXPECT_FALSE(append_time(out, 253'402'300'800 * kMicrosecondsPerSecond));
    EXPECT_FALSE(append_time(out, INT64_MIN));
    EXPECT_FALSE(append_time(out, INT64_MAX));
    EXPECT_EQ(out.size(), 27U);
}

TEST(TimeText, RefusesOtherForms) {
    for (const char* text : {"",
                             "2026-02-20",
                             "2026-02-20T10:30:00",
                             "2026-02-20 10:30:00Z",
                             "2026-02-30T00:00:00Z",
                             "2025-02-29T00:00:00Z",
                             "1900-02-29T00:00:00Z",
                             "2024-02-30T00:00:00Z",
                             "2026-04-31T00:00:00Z",
                             "2026-13-01T00:00:00Z",
                             "2026-00-01T00:00:00Z",
                             "2026-01-00T00:00:00Z",
                             "2026-01-01T24:00:00Z",
                             "2026-01-01T00:60:00Z",
                             "2026-01-01T00:00:61Z",
                             "2026-01-01T00:00:00.Z",
                             "2026-01-01T00:00:00Zx",
                             "2026-01-01T00:00:00+1:00",
                             "2026-01-01T00:00:00+24:00",
                             "0000-01-01T00:00:00Z",
                             "+026-01-01T00:00:00Z"}) {
        EXPECT_FALSE(parse_time(text)) << text;
    }
}

TEST(Utf8, WellFormedTextIsKept) {
    const std::string text =
        "plain, naïve, \xe2\x82\xac, \xf0\x9f\x90\x98, \xed\x9f\xbf, \xf4\x8f\xbf\xbf";
    EXPECT_TRUE(is_utf8(text));
    EXPECT_EQ(clean(text, 0), text);
}

TEST(Utf8, IllFormedPiecesAreReplaced) {
    const std::string mark = "\xef\xbf\xbd";
    EXPECT_EQ(clean("a\0b"s, 1), "a" + mark + "b");
    EXPECT_EQ(clean("\xc3", 1), mark);
    EXPECT_EQ(clean("caf\xe9 au lait", 1), "caf" + mark + " au lait");
    EXPECT_EQ(clean("\xc0\xaf", 2), mark + mark);                        // overlong
    EXPECT_EQ(clean("\xed\xa0\x80", 3), mark + mark + mark);             // surrogate
    EXPECT_EQ(clean("\xf4\x90\x80\x80", 4), mark + mark + mark + mark);  // beyond U+10FFFF
    EXPECT_EQ(clean("\xf0\x9f\x90z", 1), mark + "z");                    // cut character
    EXPECT_EQ(clean("12345678\xff"
                    "12345678",
                    1),
              "12345678" + mark + "12345678");
    EXPECT_EQ(utf8_valid_prefix("1234567\0"s), 7U);
}

TEST(Utf8, CutsBetweenCharacters) {
    EXPECT_EQ(utf8_cut("a\xe2\x82\xac", 4), "a\xe2\x82\xac");
    EXPECT_EQ(utf8_cut("a\xe2\x82\xac", 3), "a");
    EXPECT_EQ(utf8_cut("a\xe2\x82\xac", 1), "a");
    EXPECT_EQ(utf8_cut("\xe2\x82\xac", 2), "");
}

}  // namespace
}  // namespace pganalytics

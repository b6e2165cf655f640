// Waits between tries: bounds, growth, and what the hub asks for.
#include "pganalytics/core/backoff.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/retry_after.hpp"
#include "pganalytics/core/time_text.hpp"

namespace pganalytics {
namespace {

constexpr int64_t kSecond = 1'000'000;

TEST(Backoff, StaysWithinItsBoundsAndDoubles) {
    Backoff backoff(kSecond, 300 * kSecond);
    int64_t bound = 2 * kSecond;
    for (int failure = 0; failure < 100; ++failure) {
        Backoff shortest = backoff;
        EXPECT_EQ(shortest.next(0.0), kSecond);
        Backoff longest = backoff;
        EXPECT_NEAR(static_cast<double>(longest.next(0.999999)), static_cast<double>(bound),
                    static_cast<double>(bound) / 1000);
        const int64_t half = backoff.next(0.5);
        EXPECT_NEAR(static_cast<double>(half), static_cast<double>(kSecond + bound) / 2, 2.0);
        bound = std::min(bound * 2, 300 * kSecond);
    }
    backoff.reset();
    EXPECT_LE(backoff.next(0.999999), 2 * kSecond);
}

TEST(RetryAfter, SecondsAreClamped) {
    const int64_t now = *parse_time("2026-02-20T10:30:00Z");
    EXPECT_EQ(parse_retry_after("5", now), 5 * kSecond);
    EXPECT_EQ(parse_retry_after(" 120 ", now), 120 * kSecond);
    EXPECT_EQ(parse_retry_after("0", now), kSecond);
    EXPECT_EQ(parse_retry_after("901", now), 900 * kSecond);
    EXPECT_EQ(parse_retry_after("100000000000000000000", now), 900 * kSecond);
    for (const char* text : {"", "-5", "5s", "1.5", "soon", "0x10", "+7", "99999999999999999999x"})
        EXPECT_FALSE(parse_retry_after(text, now)) << text;
}

TEST(RetryAfter, DatesInEachForm) {
    const int64_t now = *parse_time("1994-11-06T08:49:00Z");
    for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                             "Sun Nov  6 08:49:37 1994"})
        EXPECT_EQ(parse_retry_after(text, now), 37 * kSecond) << text;
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:48:37 GMT", now), kSecond);
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:48:37 GMT", now), 900 * kSecond);
    for (const char* text :
         {"Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
          "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
          "Sun, 06 Nov 1994 08:49:37 GMT and then some words more"})
        EXPECT_FALSE(parse_retry_after(text, now)) << text;
}

// RFC 850 dates have two digits of year.
TEST(RetryAfter, TwoDigitYearsAreNearNow) {
    const int64_t now = *parse_time("2026-02-20T10:30:00Z");
    EXPECT_EQ(parse_http_date("Friday, 20-Feb-26 10:30:00 GMT", now), now);
    EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now),
              parse_time("1994-11-06T08:49:37Z"));
}

}  // namespace
}  // namespace pganalytics

// Times as RFC 3339 text in UTC. A time is microseconds since 1970-01-01 00:00:00 UTC; calendar
// rules are the proleptic Gregorian ones, as in PostgreSQL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pganalytics {

inline constexpr int64_t kMicrosecondsPerSecond = 1'000'000;
inline constexpr int64_t kMicrosecondsPerDay = 86'400 * kMicrosecondsPerSecond;
// PostgreSQL's epoch, 2000-01-01, in our count.
inline constexpr int64_t kPostgresEpoch = 946'684'800 * kMicrosecondsPerSecond;

// "2026-02-20T10:30:00.123456Z"; whole milliseconds print three digits. A time outside the years
// 1 to 9999 appends nothing and answers false (the caller writes null).
bool append_time(std::string& out, int64_t time);

// A full RFC 3339 date-time with "Z" or an offset; digits beyond microseconds are cut. Empty where
// the text is anything else, or no such day or time exists (a leap second counts as the second
// after).
std::optional<int64_t> parse_time(std::string_view text);

}  // namespace pganalytics

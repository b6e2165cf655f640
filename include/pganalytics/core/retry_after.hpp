// Retry-After and HTTP dates (RFC 9110, sections 10.2.3 and 5.6.7): how long the hub asks us to
// stay away. Hostile input. Runs in the program.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pganalytics {

inline constexpr int64_t kShortestRetryAfter = 1'000'000;        // microseconds
inline constexpr int64_t kLongestRetryAfter = 900 * 1'000'000L;  // 15 minutes

// Microseconds to wait, within the two limits. `now` is the sender's clock where it told it (its
// Date), else ours: microseconds since 1970. Empty where the text is neither seconds nor a date.
std::optional<int64_t> parse_retry_after(std::string_view text, int64_t now);

// All three forms of an HTTP date; microseconds since 1970. The week day is not compared with the
// date; a two-digit year is the one nearest to `now`, at most 50 years ahead.
std::optional<int64_t> parse_http_date(std::string_view text, int64_t now);

}  // namespace pganalytics

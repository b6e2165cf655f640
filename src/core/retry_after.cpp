// Retry-After and HTTP dates (see the header). Runs in the program.
#include "pganalytics/core/retry_after.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "pganalytics/core/time_text.hpp"

namespace pganalytics {

namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr size_t kLongestDate = 40;

std::string_view trim(std::string_view text) {
    const size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) return {};
    return text.substr(start, text.find_last_not_of(" \t") - start + 1);
}

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

int to_number(std::string_view digits) {
    int number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

std::vector<std::string_view> words(std::string_view text, std::string_view separators) {
    std::vector<std::string_view> found;
    size_t start = 0;
    while ((start = text.find_first_not_of(separators, start)) != std::string_view::npos) {
        const size_t end = std::min(text.find_first_of(separators, start), text.size());
        found.push_back(text.substr(start, end - start));
        start = end;
    }
    return found;
}

std::optional<int64_t> date_of(std::string_view year, std::string_view month, std::string_view day,
                               std::string_view time) {
    const auto found = std::find(kMonths.begin(), kMonths.end(), month);
    if (found == kMonths.end() || year.size() != 4 || !all_digits(year) || !all_digits(day) ||
        day.size() > 2 || time.size() != 8)
        return std::nullopt;
    const auto number = static_cast<int>(found - kMonths.begin()) + 1;
    std::string text(year);
    text.append(number < 10 ? "-0" : "-").append(std::to_string(number));
    text.append(day.size() == 1 ? "-0" : "-").append(day);
    text.append("T").append(time).append("Z");
    return parse_time(text);
}

// The full year of "94": not more than 50 years ahead of now.
std::string full_year(std::string_view two_digits, int64_t now) {
    const auto this_year = static_cast<int>(1970 + now / (kMicrosecondsPerDay * 365));
    int year = this_year - this_year % 100 + to_number(two_digits);
    if (year > this_year + 50) year -= 100;
    return std::to_string(year);
}

}  // namespace

std::optional<int64_t> parse_http_date(std::string_view text, int64_t now) {
    text = trim(text);
    if (text.size() > kLongestDate) return std::nullopt;
    const std::vector<std::string_view> part = words(text, " ");
    // Sun, 06 Nov 1994 08:49:37 GMT
    if (part.size() == 6 && part[5] == "GMT") return date_of(part[3], part[2], part[1], part[4]);
    // Sun Nov  6 08:49:37 1994
    if (part.size() == 5) return date_of(part[4], part[1], part[2], part[3]);
    // Sunday, 06-Nov-94 08:49:37 GMT
    if (part.size() != 4 || part[3] != "GMT") return std::nullopt;
    const std::vector<std::string_view> day = words(part[1], "-");
    if (day.size() != 3 || day[2].size() != 2 || !all_digits(day[2])) return std::nullopt;
    return date_of(full_year(day[2], now), day[1], day[0], part[2]);
}

std::optional<int64_t> parse_retry_after(std::string_view text, int64_t now) {
    text = trim(text);
    int64_t wait = 0;
    if (all_digits(text)) {
        // More digits than this are the longest wait in any case.
        wait = text.size() > 9 ? kLongestRetryAfter
                               : int64_t{to_number(text)} * kMicrosecondsPerSecond;
    } else if (const std::optional<int64_t> date = parse_http_date(text, now)) {
        wait = *date - now;
    } else {
        return std::nullopt;
    }
    return std::clamp(wait, kShortestRetryAfter, kLongestRetryAfter);
}

}  // namespace pganalytics

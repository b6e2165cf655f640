// Times as RFC 3339 text. Pure. The conversion between days and dates is Howard Hinnant's
// days_from_civil / civil_from_days (public domain).
#include "pganalytics/core/time_text.hpp"

namespace pganalytics {

namespace {

constexpr int64_t kFirstTime = -62'135'596'800 * kMicrosecondsPerSecond;  // 0001-01-01
constexpr int64_t kEndOfTime = 253'402'300'800 * kMicrosecondsPerSecond;  // 10000-01-01

struct Date {
    int64_t year;
    int64_t month;
    int64_t day;
};

Date date_of(int64_t days) {
    days += 719'468;
    const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
    const int64_t day_of_era = days - era * 146'097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted_month = (5 * day_of_year + 2) / 153;
    const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
            day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

int64_t days_of(Date date) {
    const int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t shifted_month = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t day_of_year = (153 * shifted_month + 2) / 5 + date.day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719'468;
}

void append_digits(std::string& out, int64_t value, int count) {
    char digits[8];
    for (int i = count - 1; i >= 0; --i) {
        digits[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
    out.append(digits, static_cast<size_t>(count));
}

// Takes `count` digits, then `after` (0: nothing) off the front; -1 where they are not there.
int64_t take_digits(std::string_view& text, size_t count, char after) {
    if (text.size() < count) return -1;
    int64_t value = 0;
    for (size_t i = 0; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    text.remove_prefix(count);
    if (after == '\0') return value;
    const bool matches = !text.empty() && (text[0] == after || (after == 'T' && text[0] == 't'));
    if (!matches) return -1;
    text.remove_prefix(1);
    return value;
}

// Takes ".123" if it is there; false where a point has no digit after it.
bool take_fraction(std::string_view& text, int64_t& microseconds) {
    if (text.empty() || text[0] != '.') return true;
    text.remove_prefix(1);
    int64_t scale = 100'000;
    size_t digits = 0;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), ++digits) {
        microseconds += (text[0] - '0') * scale;
        scale /= 10;
    }
    return digits > 0;
}

// Takes "Z" or "+hh:mm" and nothing after it; false otherwise.
bool take_offset(std::string_view text, int64_t& seconds) {
    seconds = 0;
    if (text == "Z" || text == "z") return true;
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return false;
    const int64_t sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    const int64_t hours = take_digits(text, 2, ':');
    const int64_t minutes = take_digits(text, 2, '\0');
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool exists(Date date) {
    constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (date.year < 1 || date.month < 1 || date.month > 12 || date.day < 1) return false;
    const bool leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    return date.day <= kDays[date.month - 1] + (leap && date.month == 2 ? 1 : 0);
}

}  // namespace

bool append_time(std::string& out, int64_t time) {
    if (time < kFirstTime || time >= kEndOfTime) return false;
    int64_t days = time / kMicrosecondsPerDay;
    int64_t rest = time % kMicrosecondsPerDay;
    if (rest < 0) {
        rest += kMicrosecondsPerDay;
        --days;
    }
    const Date date = date_of(days);
    const int64_t seconds = rest / kMicrosecondsPerSecond;
    const int64_t fraction = rest % kMicrosecondsPerSecond;
    append_digits(out, date.year, 4);
    out.push_back('-');
    append_digits(out, date.month, 2);
    out.push_back('-');
    append_digits(out, date.day, 2);
    out.push_back('T');
    append_digits(out, seconds / 3600, 2);
    out.push_back(':');
    append_digits(out, seconds / 60 % 60, 2);
    out.push_back(':');
    append_digits(out, seconds % 60, 2);
    out.push_back('.');
    if (fraction % 1000 == 0) {
        append_digits(out, fraction / 1000, 3);
    } else {
        append_digits(out, fraction, 6);
    }
    out.push_back('Z');
    return true;
}

std::optional<int64_t> parse_time(std::string_view text) {
    const int64_t year = take_digits(text, 4, '-');
    const int64_t month = take_digits(text, 2, '-');
    const int64_t day = take_digits(text, 2, 'T');
    const int64_t hour = take_digits(text, 2, ':');
    const int64_t minute = take_digits(text, 2, ':');
    const int64_t second = take_digits(text, 2, '\0');
    const bool in_range =
        hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 60;
    const Date date{year, month, day};
    if (!in_range || !exists(date)) return std::nullopt;
    int64_t microseconds = 0;
    int64_t offset = 0;
    if (!take_fraction(text, microseconds) || !take_offset(text, offset)) return std::nullopt;
    const int64_t seconds = hour * 3600 + minute * 60 + second - offset;
    return days_of(date) * kMicrosecondsPerDay + seconds * kMicrosecondsPerSecond + microseconds;
}

}  // namespace pganalytics

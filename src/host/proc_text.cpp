// Lines, words and numbers of files under /proc. Runs in the program.
#include "pganalytics/host/proc_text.hpp"

#include <charconv>
#include <limits>

namespace pganalytics::host {

namespace {

constexpr std::string_view kBlanks = " \t";

template <class T>
std::optional<T> parsed(std::string_view word) {
    T value{};
    const char* const end = word.data() + word.size();
    const auto [at, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc() || at != end) return std::nullopt;
    return value;
}

bool starts_with_digit(std::string_view word) {
    return !word.empty() && word[0] >= '0' && word[0] <= '9';
}

}  // namespace

bool Lines::next(std::string_view& line) {
    const size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return false;
    line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
}

std::string_view Words::next() {
    const size_t start = rest_.find_first_not_of(kBlanks);
    if (start == std::string_view::npos) {
        rest_ = {};
        return {};
    }
    rest_.remove_prefix(start);
    const std::string_view word = rest_.substr(0, rest_.find_first_of(kBlanks));
    rest_.remove_prefix(word.size());
    return word;
}

Figure Words::figure() { return to_figure(next()); }

size_t Words::figures(std::span<Figure> figures) {
    size_t count = 0;
    for (Figure& figure : figures) {
        const std::string_view word = next();
        figure = to_figure(word);
        if (!word.empty()) ++count;
    }
    return count;
}

Figure to_figure(std::string_view word) {
    // No sign: nothing in these files is negative.
    if (!starts_with_digit(word)) return std::nullopt;
    return parsed<int64_t>(word);
}

std::optional<double> to_real(std::string_view word) {
    if (!starts_with_digit(word)) return std::nullopt;
    return parsed<double>(word);
}

Figure scaled(Figure value, int64_t factor) {
    if (!value || *value > std::numeric_limits<int64_t>::max() / factor) return std::nullopt;
    return *value * factor;
}

}  // namespace pganalytics::host

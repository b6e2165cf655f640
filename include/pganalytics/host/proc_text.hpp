// Lines, words and numbers of files under /proc. Their text is treated as hostile: nothing is
// assumed of lengths, counts or characters. Runs in the program; pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace pganalytics::host {

// A figure, or null where the kernel does not tell it.
using Figure = std::optional<int64_t>;

// Whole lines, one after the other. What follows the last newline was cut and is left out: half a
// number is a wrong number.
class Lines {
  public:
    explicit Lines(std::string_view text) : rest_(text) {}
    bool next(std::string_view& line);

  private:
    std::string_view rest_;
};

// Words between spaces and tabs.
class Words {
  public:
    explicit Words(std::string_view line) : rest_(line) {}
    // Empty at the end.
    std::string_view next();
    // The next word as a figure; null at the end and where it is none.
    Figure figure();
    // The next words as figures; how many words there were. The figures beyond them are null.
    size_t figures(std::span<Figure> figures);

  private:
    std::string_view rest_;
};

// Decimal digits and nothing else; null beyond the range of the type.
Figure to_figure(std::string_view word);
std::optional<double> to_real(std::string_view word);

// `value` times `factor`; null where it would overflow.
Figure scaled(Figure value, int64_t factor);

}  // namespace pganalytics::host

// SQL text without its constants (see the header). Follows the server's scanner (scan.l) as far as
// finding where constants and comments begin and end needs it.
#include "pganalytics/core/statement_text.hpp"

#include <cstddef>

namespace pganalytics {

namespace {

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<signed char>(c) < 0;
}
constexpr bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '$'; }

constexpr bool is_keyword(std::string_view word, std::string_view lower) {
    if (word.size() != lower.size()) return false;
    for (size_t i = 0; i < word.size(); ++i)
        if ((word[i] | 0x20) != lower[i]) return false;
    return true;
}

class Scanner {
  public:
    Scanner(std::string_view sql, char* out) noexcept : sql_(sql), out_(out) {}

    std::string_view run() noexcept {
        while (at_ < sql_.size()) step();
        if (used_ > 0 && out_[used_ - 1] == ' ') --used_;
        return {out_, used_};
    }

  private:
    char peek(size_t ahead = 0) const noexcept {
        return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
    }
    void put(char c) noexcept {
        if (!in_value_) out_[used_++] = c;
    }
    void put_space() noexcept {
        if (!in_value_ && used_ > 0 && out_[used_ - 1] != ' ') put(' ');
    }
    void copy_to(size_t end) noexcept {
        while (at_ < end) put(sql_[at_++]);
    }
    void skip_rest() noexcept { at_ = sql_.size(); }

    void step() noexcept {
        const char c = peek();
        if (is_space(c)) {
            ++at_;
            put_space();
        } else if (c == '-' && peek(1) == '-') {
            const size_t end = sql_.find_first_of("\r\n", at_);
            at_ = end == std::string_view::npos ? sql_.size() : end;
            put_space();
        } else if (c == '/' && peek(1) == '*') {
            skip_comment();
            put_space();
        } else if (c == '\'') {
            constant(false);
        } else if (c == '"') {
            quoted_name();
        } else if (c == '$') {
            dollar();
        } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
            number();
        } else if (is_letter(c)) {
            word();
        } else {
            sign(c);
        }
    }

    // --- SET name TO value, at the beginning of a statement or within ALTER and CREATE

    void sign(char c) noexcept {
        if (c == ';') {
            first_ = true;
            in_value_ = false;
        }
        const bool value = c == '=' && place_ == Place::kBehindName;
        place_ = c == '.' && place_ == Place::kBehindName ? Place::kBehindSet : Place::kElsewhere;
        put(c);
        ++at_;
        if (value) begin_value();
    }

    // What follows, to the end of the statement, is left out.
    void begin_value() noexcept {
        place_ = Place::kElsewhere;
        if (sql_.find_first_not_of(" \t\r\n\f\v", at_) == std::string_view::npos) return;
        put_space();
        // There is room: at least one byte is left out.
        put('?');
        in_value_ = true;
    }

    // Whether a value begins behind it.
    bool follow(std::string_view word) noexcept {
        if (first_) {
            first_ = false;
            sets_ =
                is_keyword(word, "set") || is_keyword(word, "alter") || is_keyword(word, "create");
        }
        if (!sets_) return false;
        const bool value = place_ == Place::kBehindName && is_keyword(word, "to");
        if (place_ == Place::kBehindSet) {
            if (!is_keyword(word, "session") && !is_keyword(word, "local"))
                place_ = Place::kBehindName;
        } else {
            place_ = is_keyword(word, "set") ? Place::kBehindSet : Place::kElsewhere;
        }
        return value;
    }

    // They nest.
    void skip_comment() noexcept {
        size_t depth = 0;
        while (at_ < sql_.size()) {
            if (peek() == '/' && peek(1) == '*') {
                ++depth;
                at_ += 2;
            } else if (peek() == '*' && peek(1) == '/') {
                at_ += 2;
                if (--depth == 0) return;
            } else {
                ++at_;
            }
        }
        skip_rest();
    }

    // At its opening quote.
    void constant(bool escapes) noexcept {
        put('?');
        ++at_;
        while (at_ < sql_.size()) {
            const char c = peek();
            if (c == '\\') {
                // Without E'' the backslash may or may not guard the quote.
                if (!escapes && peek(1) == '\'') return skip_rest();
                at_ += escapes || peek(1) == '\\' ? 2 : 1;
            } else if (c == '\'' && peek(1) == '\'') {
                at_ += 2;
            } else if (c == '\'') {
                ++at_;
                return;
            } else {
                ++at_;
            }
        }
        skip_rest();
    }

    void quoted_name() noexcept {
        size_t end = at_ + 1;
        while (end < sql_.size() && sql_[end] != '"') ++end;
        if (place_ == Place::kBehindSet) place_ = Place::kBehindName;
        copy_to(end < sql_.size() ? end + 1 : end);
    }

    // $1, $$ ... $$ or $tag$ ... $tag$.
    void dollar() noexcept {
        size_t end = at_ + 1;
        if (is_digit(peek(1))) {
            while (end < sql_.size() && is_digit(sql_[end])) ++end;
            return copy_to(end);
        }
        while (end < sql_.size() && is_word(sql_[end]) && sql_[end] != '$') ++end;
        if (end == sql_.size()) {  // cut in the midst of it, perhaps
            put('?');
            return skip_rest();
        }
        if (sql_[end] != '$') return copy_to(at_ + 1);
        const std::string_view tag = sql_.substr(at_, end + 1 - at_);
        put('?');
        const size_t close = sql_.find(tag, end + 1);
        if (close == std::string_view::npos) return skip_rest();
        at_ = close + tag.size();
    }

    // Also 0x1f, 1_000, 1.5e-7.
    void number() noexcept {
        put('?');
        while (at_ < sql_.size()) {
            const char c = peek();
            const bool exponent =
                (c == 'e' || c == 'E') && (peek(1) == '+' || peek(1) == '-') && is_digit(peek(2));
            if (!is_digit(c) && !is_letter(c) && c != '.') return;
            at_ += exponent ? 2 : 1;
        }
    }

    void word() noexcept {
        size_t end = at_;
        while (end < sql_.size() && is_word(sql_[end])) ++end;
        const bool one = end - at_ == 1;
        const char first = static_cast<char>(peek() | 0x20);
        const bool quote_follows = end < sql_.size() && sql_[end] == '\'';
        if (one && quote_follows &&
            (first == 'e' || first == 'b' || first == 'x' || first == 'n')) {
            at_ = end;
            return constant(first == 'e');
        }
        const bool value = follow(sql_.substr(at_, end - at_));
        copy_to(end);
        if (value) begin_value();
    }

    enum class Place : unsigned char { kElsewhere, kBehindSet, kBehindName };

    std::string_view sql_;
    char* out_;
    size_t at_ = 0;
    size_t used_ = 0;
    bool first_ = true;  // no word of the statement yet
    bool sets_ = false;  // it can set something
    bool in_value_ = false;
    Place place_ = Place::kElsewhere;
};

}  // namespace

std::string_view strip_constants(std::string_view sql, char* out) noexcept {
    return Scanner(sql, out).run();
}

}  // namespace pganalytics

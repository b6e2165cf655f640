// One JSON value or not (see the header). Runs in the program.
#include "pganalytics/core/json_check.hpp"

#include <cstdint>
#include <optional>

#include "pganalytics/core/utf8.hpp"

namespace pganalytics {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Checker {
  public:
    explicit Checker(std::string_view text) : rest_(text) {}

    bool whole() {
        if (!value(0)) return false;
        space();
        return rest_.empty();
    }

  private:
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool take(std::string_view word) {
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    void space() {
        const size_t end = rest_.find_first_not_of(" \t\n\r");
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end);
    }

    bool value(int depth) {
        if (depth > kMaxJsonValueDepth) return false;
        space();
        if (rest_.empty()) return false;
        switch (rest_.front()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return take("true");
            case 'f':
                return take("false");
            case 'n':
                return take("null");
            default:
                return number();
        }
    }

    bool object(int depth) {
        take('{');
        space();
        if (take('}')) return true;
        do {
            space();
            if (!string()) return false;
            space();
            if (!take(':') || !value(depth + 1)) return false;
            space();
        } while (take(','));
        return take('}');
    }

    bool array(int depth) {
        take('[');
        space();
        if (take(']')) return true;
        do {
            if (!value(depth + 1)) return false;
            space();
        } while (take(','));
        return take(']');
    }

    bool digits() {
        if (rest_.empty() || !is_digit(rest_.front())) return false;
        while (!rest_.empty() && is_digit(rest_.front())) rest_.remove_prefix(1);
        return true;
    }

    bool number() {
        const size_t before = rest_.size();
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            if (!digits()) return false;
        }
        return before - rest_.size() <= kMaxJsonNumber;
    }

    bool string() {
        if (!take('"')) return false;
        while (!rest_.empty()) {
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (static_cast<unsigned char>(c) < 0x20) return false;
            if (c == '\\' && !escape()) return false;
        }
        return false;
    }

    bool escape() {
        if (rest_.empty()) return false;
        const char c = rest_.front();
        rest_.remove_prefix(1);
        if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
        const std::optional<uint32_t> unit = four_digits();
        if (!unit || *unit == 0 || (*unit >= 0xdc00 && *unit <= 0xdfff)) return false;
        if (*unit < 0xd800 || *unit > 0xdbff) return true;
        if (!take("\\u")) return false;
        const std::optional<uint32_t> low = four_digits();
        return low && *low >= 0xdc00 && *low <= 0xdfff;
    }

    std::optional<uint32_t> four_digits() {
        if (rest_.size() < 4) return std::nullopt;
        uint32_t unit = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = rest_.front();
            const auto lower = static_cast<char>(c | 0x20);
            if (is_digit(c)) {
                unit = unit << 4 | static_cast<uint32_t>(c - '0');
            } else if (lower >= 'a' && lower <= 'f') {
                unit = unit << 4 | static_cast<uint32_t>(lower - 'a' + 10);
            } else {
                return std::nullopt;
            }
            rest_.remove_prefix(1);
        }
        return unit;
    }

    std::string_view rest_;
};

}  // namespace

bool is_json(std::string_view text) { return is_utf8(text) && Checker(text).whole(); }

}  // namespace pganalytics

// Lists of names in settings (see the header).
#include "pganalytics/core/name_patterns.hpp"

#include <cctype>

namespace pganalytics {

namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

void skip_spaces(std::string_view& text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
}

Error bad_list(std::string message) {
    return make_error(sqlstate::kInvalidParameter, std::move(message));
}

// Takes one name off the front of `text`.
Result<std::string> take_quoted(std::string_view& text) {
    std::string name;
    text.remove_prefix(1);
    while (true) {
        if (text.empty()) return bad_list("unterminated quoted name in list");
        const char c = text.front();
        text.remove_prefix(1);
        if (c != '"') {
            name.push_back(c);
        } else if (!text.empty() && text.front() == '"') {
            name.push_back('"');
            text.remove_prefix(1);
        } else {
            break;
        }
    }
    if (name.empty()) return bad_list("empty name in list");
    return name;
}

Result<std::string> take_name(std::string_view& text) {
    if (!text.empty() && text.front() == '"') return take_quoted(text);
    std::string name;
    while (!text.empty() && text.front() != ',' && !is_space(text.front())) {
        if (text.front() == '"') return bad_list("misplaced quote in list");
        name.push_back(lower(text.front()));
        text.remove_prefix(1);
    }
    if (name.empty()) return bad_list("empty name in list");
    return name;
}

// Length of the character at the front: a UTF-8 sequence where it is one, else a byte.
size_t character(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;
    if (length > text.size()) return 1;
    for (size_t i = 1; i < length; ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 1;
    }
    return length;
}

bool is_plugin_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_plugin_word(std::string_view word) {
    if (word == "*") return true;
    if (!word.empty() && word.front() == '-') word.remove_prefix(1);
    if (word.empty()) return false;
    for (const char c : word) {
        if (!is_plugin_character(c)) return false;
    }
    return true;
}

}  // namespace

Result<std::vector<std::string>> parse_name_patterns(std::string_view text) {
    std::vector<std::string> patterns;
    skip_spaces(text);
    while (!text.empty()) {
        auto name = take_name(text);
        if (!name) return name.error();
        patterns.push_back(*std::move(name));
        if (patterns.size() > kMaxPatterns) return bad_list("too many names in list");
        skip_spaces(text);
        if (text.empty()) break;
        if (text.front() != ',') return bad_list("names in list must be separated by commas");
        text.remove_prefix(1);
        skip_spaces(text);
        if (text.empty()) return bad_list("empty name in list");
    }
    return patterns;
}

bool matches_pattern(std::string_view name, std::string_view pattern) {
    // Greedy with one place to come back to: linear in practice, never exponential.
    std::string_view star_pattern;
    std::string_view star_name;
    bool starred = false;
    while (true) {
        if (!pattern.empty() && pattern.front() == '*') {
            pattern.remove_prefix(1);
            star_pattern = pattern;
            star_name = name;
            starred = true;
        } else if (!pattern.empty() && !name.empty() && pattern.front() == '?') {
            pattern.remove_prefix(1);
            name.remove_prefix(character(name));
        } else if (!pattern.empty() && !name.empty() && pattern.front() == name.front()) {
            pattern.remove_prefix(1);
            name.remove_prefix(1);
        } else if (pattern.empty() && name.empty()) {
            return true;
        } else if (starred && !star_name.empty()) {
            star_name.remove_prefix(character(star_name));
            pattern = star_pattern;
            name = star_name;
        } else {
            return false;
        }
    }
}

bool matches_any(std::string_view name, const std::vector<std::string>& patterns) {
    for (const std::string& pattern : patterns) {
        if (matches_pattern(name, pattern)) return true;
    }
    return false;
}

Result<std::vector<std::string>> parse_selection(std::string_view text) {
    auto words = parse_name_patterns(text);
    if (!words) return words;
    for (const std::string& word : *words) {
        if (!is_plugin_word(word)) return bad_list("\"" + word + "\" is not a plugin name");
    }
    return words;
}

bool is_selected(std::string_view name, const std::vector<std::string>& selection) {
    // A list of exceptions only starts from everything.
    bool selected = !selection.empty() && selection.front().front() == '-';
    for (const std::string& word : selection) {
        if (word == "*" || word == name) {
            selected = true;
        } else if (word.size() == name.size() + 1 && word.front() == '-' &&
                   std::string_view(word).substr(1) == name) {
            selected = false;
        }
    }
    return selected;
}

}  // namespace pganalytics

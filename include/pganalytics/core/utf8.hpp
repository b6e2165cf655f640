// UTF-8: checking, cleaning, cutting. Well-formed means RFC 3629 (no surrogates, nothing above
// U+10FFFF, shortest form) and, because neither PostgreSQL's text nor jsonb can hold it, no NUL.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pganalytics {

// Length in bytes of the longest well-formed start of `text`.
size_t utf8_valid_prefix(std::string_view text);

inline bool is_utf8(std::string_view text) { return utf8_valid_prefix(text) == text.size(); }

// Appends `text` with U+FFFD in place of each maximal ill-formed piece and each NUL (the practice
// Unicode recommends); returns how many were replaced.
size_t append_utf8_clean(std::string& out, std::string_view text);

// The longest start of well-formed `text` of at most `limit` bytes that does not end within a
// character.
std::string_view utf8_cut(std::string_view text, size_t limit);

}  // namespace pganalytics

// Is a text one JSON value that any receiver takes? Stricter than RFC 8259: valid UTF-8, no
// \u0000, no lone surrogate, bounded depth, numbers of bounded length. Runs in the program, for
// json columns: one bad value would spoil the whole push.
#pragma once

#include <cstddef>
#include <string_view>

namespace pganalytics {

inline constexpr int kMaxJsonValueDepth = 16;
inline constexpr size_t kMaxJsonNumber = 32;

bool is_json(std::string_view text);

}  // namespace pganalytics

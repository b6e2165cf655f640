// JSON out, value by value. Whatever comes in, what goes out is valid JSON in UTF-8, without
// U+0000, within the limits the hub sets for a string and a number. Runs in the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

// Longer texts are cut (at a character) to this; the hub takes 64 KiB.
inline constexpr size_t kMaxJsonText = size_t{16} << 10;

// Ill-formed UTF-8 and NUL become U+FFFD.
void append_json_text(std::string& out, std::string_view text);
void append_json_number(std::string& out, int64_t number);
void append_json_number(std::string& out, uint64_t number);
// The shortest text that reads back as the same number; NaN and infinity become null.
void append_json_real(std::string& out, double number);
// RFC 3339 UTC with microseconds; null outside the years 1 to 9999.
void append_json_time(std::string& out, int64_t time);
// A value in the form of its column's type (column_type.hpp). A json value that is not valid JSON
// by json_check.hpp becomes a string.
void append_json_value(std::string& out, ColumnType type, const Value& value);

// `"name":` with the comma before it where `out` needs one.
void append_json_name(std::string& out, std::string_view name);

}  // namespace pganalytics

// A JSON value into a typed column: strict, exact. Each function answers a reason (fixed text)
// where the value is not of the column's type or beyond it, else null. Pure. Runs in `pganalytics
// serve`.
#pragma once

#include <string_view>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/serve/push.hpp"

namespace pganalytics::serve {

// `text` keeps JSON's grammar for numbers and is finite.
const char* add_number(ValueColumn& column, ColumnType type, std::string_view text, Push& push);
// `text` is a view into push.body.
const char* add_string(ValueColumn& column, ColumnType type, std::string_view text, Push& push);
const char* add_boolean(ValueColumn& column, ColumnType type, bool value, Push& push);
// `json` is the whole value.
const char* add_json(ValueColumn& column, std::string_view json, Push& push);

// RFC 3339, or what PostgreSQL prints for a timestamptz in ISO style.
std::optional<int64_t> parse_row_time(std::string_view text);

// Exact, plain digits; false where it is anything else or beyond the type.
bool parse_unsigned(std::string_view text, uint64_t& value);

}  // namespace pganalytics::serve

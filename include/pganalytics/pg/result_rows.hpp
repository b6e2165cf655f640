// Rows of a set-returning SQL function, in materialise mode. Runs in sessions; may raise ERROR,
// holds plain data only.
#pragma once

#include <span>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

struct ResultRows {
    Tuplestorestate* store;
    TupleDesc description;
};

ResultRows begin_result(FunctionCallInfo call);

// A text column's value; null pointer: NULL. Texts are in the database's encoding.
void put_text_row(ResultRows* result, std::span<const char* const> values);

// Rows as in core/row_format.hpp. Columns declared as interval take microseconds.
void put_encoded_rows(ResultRows* result, std::string_view rows, std::span<const ColumnType> types);

// UTF-8 to the database's encoding; what it lacks becomes `?`. In the current memory context where
// it is not `text` itself.
std::string_view from_utf8(std::string_view text);

// The same for JSON, where what the encoding may lack is escaped instead.
text* json_from_utf8(std::string_view json);

}  // namespace pganalytics::pg

// Rows of a running query to bytes, as they come: a DestReceiver that writes each row in the form
// of core/row_format.hpp straight into ready frames (RowsetRows), cut at whole rows. C style: it
// runs between PostgreSQL calls, allocates by palloc and may raise ERROR. Runs in visitors.
//
// Where there are more rows than wanted and the shape tells how to sum them up, the busiest are
// kept and the others summed up (core/row_sums.hpp); else reading ends there.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/row_sums.hpp"
#include "pganalytics/core/siphash.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// Longer texts are cut; rows beyond the limit are left out and counted.
inline constexpr size_t kMaxTextBytes = size_t{64} << 10;
inline constexpr size_t kMaxRowBytes = size_t{512} << 10;
// Of all rows of a rowset: what a visitor holds before it hands over.
inline constexpr size_t kMaxRowsBytes = size_t{64} << 20;

// A frame: `bytes` begins with the frame's header.
struct RowChunk {
    RowChunk* next;
    size_t used;
    size_t capacity;
    char bytes[];
};

enum class ColumnForm : uint8_t;

// What a query's columns are; arrays of `columns`, which live as long as the rows are read.
struct RowShape {
    const ColumnType* types;
    const TextForm* text_forms;
    int columns;
    const Summing* summings = nullptr;  // null: rows too many are not read
};

struct RowEncoder {
    DestReceiver receiver;  // first: PostgreSQL hands it back

    MemoryContext context;      // of the chunks; survives the transaction
    MemoryContext row_context;  // of one row's work

    // of the query
    const ColumnType* types;
    const TextForm* text_forms;
    const Summing* summings;
    int columns;
    uint64_t max_rows;
    uint64_t max_bytes;    // of all chunks
    size_t max_row_bytes;  // of one row
    int required;          // a row without a value in this column counts as too long; -1: none
    ColumnForm forms[kMaxColumns];
    Oid output_functions[kMaxColumns];
    int encoding;  // of the database
    Oid to_utf8;   // conversion; invalid: none is needed, or there is none
    char* body;    // of the row being made
    size_t body_used;
    size_t body_capacity;

    bool statement_texts;  // false: null in place of each (pganalytics.query_text)
    SipKey digest_key;     // of texts that leave as a digest

    // the result
    RowChunk* first;
    RowChunk* last;
    uint64_t rows;
    uint64_t too_long;  // rows beyond max_row_bytes, in no sum
    RowSums left_out;   // rows that others were kept before
    uint64_t bytes;     // of all chunks
    bool cut;           // there were more than max_rows
    bool cut_by_bytes;  // there was more than max_bytes
};

// `parent` owns the encoder's memory.
RowEncoder* make_row_encoder(MemoryContext parent, bool statement_texts);

// Forgets the rows of the query before, and its limits of bytes. In a transaction (the conversion
// is looked up).
void begin_rows(RowEncoder* encoder, const RowShape& shape, uint64_t max_rows);

// All rows are there: what is too many of them is left out.
void keep_busiest(RowEncoder* encoder);

// Writes the chunks' headers; the rows can be sent now.
void end_rows(RowEncoder* encoder);

// Gives the rows' memory back.
void drop_rows(RowEncoder* encoder);

// Keeps the `most` busiest rows, in their order, and adds the others to left_out (row_choice.cpp).
void choose_rows(RowEncoder* encoder, uint64_t most);

// How the encoder's rows are summed up.
inline RowSumming summing_of(const RowEncoder& encoder) {
    return {{encoder.types, static_cast<size_t>(encoder.columns)}, encoder.summings};
}

// `text` of the database's encoding as valid UTF-8, at most kMaxTextBytes; in the current memory
// context where it is not `text` itself.
std::string_view to_utf8(const RowEncoder& encoder, std::string_view text);

}  // namespace pganalytics::pg

// One row of a rowset as bytes, the form in which rows travel from a visitor through the collector
// to the program. Written in C style by RowEncoder (src/pg, between PostgreSQL calls) and by
// RowBuilder (program, tests); read by RowView, which treats the bytes as hostile.
//
//   row  := varint length of body, body
//   body := null bitmap ((columns + 7) / 8 bytes, bit i of byte i/8 set: column i is null),
//           then the value of each column that is not null, in order (forms in column_type.hpp)
//
// Equal rows have equal bytes and differing rows differing bytes, so a row is compared without
// being decoded. Key columns come first in each rowset.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/bytes.hpp"
#include "pganalytics/core/column_type.hpp"

namespace pganalytics {

inline constexpr size_t kMaxColumns = 128;

constexpr size_t null_bitmap_bytes(size_t columns) { return (columns + 7) / 8; }

// One value. `integer` holds bool, int64, timestamp, oid (zero-extended) and lsn (bit pattern);
// `text` holds text and json, and the 16 bytes of a uuid.
struct Value {
    bool null = true;
    int64_t integer = 0;
    double real = 0;
    std::string_view text;
};

// Builds rows into one growing string (program side; throws std::bad_alloc only). Usage for each
// row: begin(), then one call for each column in order, then end().
class RowBuilder {
  public:
    explicit RowBuilder(std::span<const ColumnType> types) : types_(types) {}

    void begin();
    void null();
    void boolean(bool value);
    void integer(int64_t value);  // int64, timestamp
    void number(uint64_t value);  // oid, lsn
    void real(double value);
    void text(std::string_view value);  // text, json, uuid
    // Appends the value in the form of the column's type.
    void value(const Value& value);
    void end();

    // Bytes of all rows.
    void reserve(size_t bytes) { rows_.reserve(bytes); }
    const std::string& rows() const { return rows_; }
    std::string take();
    size_t count() const { return count_; }

  private:
    void next(bool is_null);
    std::span<const ColumnType> types_;
    std::string rows_;
    std::string body_;
    size_t column_ = 0;
    size_t count_ = 0;
};

// Splits `rows` (concatenated rows) into bodies. next() is false at the end and after malformed
// bytes; ok() tells the two apart.
class RowReader {
  public:
    explicit RowReader(std::string_view rows) : reader_(rows) {}
    bool next(std::string_view& body) {
        if (!reader_.ok() || reader_.remaining() == 0) return false;
        body = reader_.text();
        return reader_.ok();
    }
    bool ok() const { return reader_.ok(); }

  private:
    ByteReader reader_;
};

// Decodes a body into `values` (one for each of `types`). False where the bytes are malformed, too
// short or too long. Text views point into `body`.
bool decode_row(std::string_view body, std::span<const ColumnType> types, std::span<Value> values);

// Decodes only the first `types.size()` of a body's `columns` columns; what follows them is not
// looked at.
bool decode_leading(std::string_view body, size_t columns, std::span<const ColumnType> types,
                    std::span<Value> values);

// The bytes of the first `keys` values of a body: equal for equal keys. Empty where malformed.
std::string_view key_bytes(std::string_view body, std::span<const ColumnType> types, size_t keys);

}  // namespace pganalytics

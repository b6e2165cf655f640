// The key of a row as bytes whose memcmp order is the order of the values: what the sparse filter
// keeps, sorts by and names when a row is gone.
//
//   key   := one part for each key column
//   part  := u8 0xff                                 null (sorts last)
//          | u8 0x80 + n, n bytes big endian         bool, oid, lsn, int64 and timestamp >= 0
//          | u8 0x80 - n, n bytes big endian         int64, timestamp < 0 (of value + 2^64)
//          | u8 0x01, bytes, u8 0x00                 text, json (they hold no NUL; one is cut off)
//          | u8 0x01, 8 bytes | u8 0x01, 16 bytes    float64 (in total order), uuid
//
// where n is the least count that holds the number: 0 to 8.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

inline constexpr size_t kMaxKeyColumns = 8;

void append_ordered_key(std::string& out, std::span<const ColumnType> types,
                        std::span<const Value> values);

// Reads the first `types.size()` columns of a row's body (which has `columns` columns) and appends
// their key. False where the body is malformed or the key has more than kMaxKeyColumns; `out` may
// then have grown.
bool append_ordered_key(std::string& out, std::string_view body, size_t columns,
                        std::span<const ColumnType> types);

// The values again; text views point into `key`. False where the bytes are not such a key.
bool decode_ordered_key(std::string_view key, std::span<const ColumnType> types,
                        std::span<Value> values);

}  // namespace pganalytics

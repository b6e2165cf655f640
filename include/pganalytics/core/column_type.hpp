// The types a column can have on its way from a server to the hub, and what each is at every step.
#pragma once

#include <cstdint>
#include <string_view>

namespace pganalytics {

//  type        in a row (row_format.hpp)   in JSON                          in the hub's table
//  bool        one byte, 0 or 1            true, false                      boolean
//  int64       zigzag varint               number, exact to 64 bits         bigint
//  float64     8 bytes                     number (NaN, infinity: null)     double precision
//  text        length, bytes               string                           text
//  timestamp   zigzag varint, microseconds RFC 3339 UTC, microseconds       timestamptz
//              since 1970-01-01 UTC
//  oid         varint, 32 bits             number                           oid
//  lsn         varint, 64 bits             string "16/B374D848"             pg_lsn
//  uuid        16 bytes                    string, 36 characters            uuid
//  json        length, bytes of JSON text  the value itself                 jsonb
enum class ColumnType : uint8_t {
    kBool = 1,
    kInt64 = 2,
    kFloat64 = 3,
    kText = 4,
    kTimestamp = 5,
    kOid = 6,
    kLsn = 7,
    kUuid = 8,
    kJson = 9,
};

constexpr std::string_view sql_type(ColumnType type) {
    switch (type) {
        case ColumnType::kBool:
            return "boolean";
        case ColumnType::kInt64:
            return "bigint";
        case ColumnType::kFloat64:
            return "double precision";
        case ColumnType::kText:
            return "text";
        case ColumnType::kTimestamp:
            return "timestamp with time zone";
        case ColumnType::kOid:
            return "oid";
        case ColumnType::kLsn:
            return "pg_lsn";
        case ColumnType::kUuid:
            return "uuid";
        case ColumnType::kJson:
            return "jsonb";
    }
    return "";
}

}  // namespace pganalytics

// Walks binary COPY rows as hostile bytes before they are given to COPY, which would take the
// table's word for nothing: that every row has the announced number of fields (a row "of -1 fields"
// ends a COPY early), that it is of the collector it was pushed by, and that its time lies in the
// accepted window. What the fields hold is checked when they are stored. Runs in the hub worker.
//
//   row := i16 fields, for each field i32 length (-1: null) and that many bytes; big endian
//   first field: timestamptz, microseconds since 2000-01-01 UTC; second: uuid
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics {

// Days since 1970-01-01 UTC of a time in microseconds since then.
constexpr int32_t day_of(int64_t time) {
    constexpr int64_t kDay = int64_t{86400} * 1000000;
    const int64_t day = time / kDay - (time % kDay < 0 ? 1 : 0);
    return static_cast<int32_t>(day);
}

// Microseconds since 1970-01-01 UTC, both ends included.
struct TimeWindow {
    int64_t earliest = 0;
    int64_t latest = 0;
};

struct CopyRowsRules {
    size_t fields = 0;
    Uuid collector_id{};
    TimeWindow window;
};

struct CopyRowsFacts {
    uint64_t rows = 0;
    std::vector<int32_t> days;   // touched by the rows, ascending, each once; bounded by the window
    int64_t latest = INT64_MIN;  // of the rows' times; microseconds since 1970-01-01 UTC
};

// Walks `rows` (whole rows, no header, no trailer) and adds to `facts`. An error names the place
// and the rule, never a value.
Status walk_copy_rows(std::string_view rows, const CopyRowsRules& rules, CopyRowsFacts& facts);

// Number of fields of the first row; 0 where there is none.
size_t copy_field_count(std::string_view rows);

}  // namespace pganalytics

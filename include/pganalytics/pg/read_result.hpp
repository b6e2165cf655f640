// What came of reading a rowset, and what the collector is told of it. Runs in visitors.
#pragma once

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/row_encoder.hpp"

namespace pganalytics::pg {

struct ReadResult {
    int64_t time = 0;  // microseconds since 1970
    uint64_t elapsed_us = 0;
    uint64_t cpu_us = 0;
    bool good = false;
    FlatError error;
};

// One rowset's part of what a pass for several took, by its rows.
ReadResult part_of(const ReadResult& result, uint64_t rows, uint64_t all_rows);

// `columns` as the encoder's; none where nothing is summed up.
RowsetEnd end_of(const ReadResult& result, const RowEncoder& encoder,
                 std::span<const Column* const> columns = {});

}  // namespace pganalytics::pg

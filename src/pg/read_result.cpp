// What came of reading a rowset (see the header). Runs in visitors.
#include "pganalytics/pg/read_result.hpp"

#include "pganalytics/core/utf8.hpp"

namespace pganalytics::pg {

namespace {

std::string clean_text(std::string_view text) {
    std::string out;
    append_utf8_clean(out, text);
    return out;
}

}  // namespace

ReadResult part_of(const ReadResult& result, uint64_t rows, uint64_t all_rows) {
    ReadResult part = result;
    if (all_rows == 0) return part;
    part.elapsed_us = result.elapsed_us * rows / all_rows;
    part.cpu_us = result.cpu_us * rows / all_rows;
    return part;
}

RowsetEnd end_of(const ReadResult& result, const RowEncoder& encoder,
                 std::span<const Column* const> columns) {
    RowsetEnd end;
    end.rows = encoder.rows;
    end.complete = result.good && !encoder.cut && !encoder.cut_by_bytes && encoder.too_long == 0;
    end.elapsed_us = result.elapsed_us;
    end.cpu_us = result.cpu_us;
    if (!result.good) {
        end.sqlstate = sqlstate_text(result.error.code);
        end.message = clean_text(result.error.message);
    } else if (encoder.cut) {
        end.message = "cut at " + std::to_string(encoder.max_rows) + " rows (pganalytics.max_rows)";
    } else if (encoder.cut_by_bytes) {
        end.message = "cut at " + std::to_string(kMaxRowsBytes >> 20) + " MB";
    } else if (encoder.too_long > 0) {
        end.message = std::to_string(encoder.too_long) + " rows left out, each too long";
    } else if (encoder.left_out.rows > 0) {
        end.left_out = encoder.left_out.rows;
        end.sums = sums_json(summing_of(encoder), columns, encoder.left_out);
    }
    return end;
}

}  // namespace pganalytics::pg

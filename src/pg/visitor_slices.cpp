// Slices of rowsets that one reading is too short for (core/slice_rounds.hpp). Runs in visitors.
#include <algorithm>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/guard.hpp"
#include "visitor_parts.hpp"

namespace pganalytics::pg::visiting {

namespace {

constexpr TextForm kForms[1] = {};
constexpr ColumnType kInteger = ColumnType::kInt64;
constexpr RowShape kIntegerShape = {&kInteger, kForms, 1};

// The one value that the query gives; nothing where it failed.
std::optional<Value> ask(const std::string& sql, RowEncoder* encoder) {
    const char* query = sql.c_str();
    FlatError error;
    const bool good = run_transaction(
        limits(),
        [&] {
            begin_rows(encoder, kIntegerShape, 1);
            run_query(query, encoder);
        },
        error);
    std::optional<Value> answer;
    Value value;
    if (good && encoder->first != nullptr) {
        RowReader rows(
            {encoder->first->bytes + kFrameHeaderBytes, encoder->first->used - kFrameHeaderBytes});
        std::string_view body;
        if (rows.next(body) && decode_row(body, {&kInteger, 1}, {&value, 1})) answer = value;
    }
    drop_rows(encoder);
    return answer;
}

}  // namespace

void order_slice(Reading& reading, const VisitOrder& order) {
    const auto ordered =
        std::find_if(order.slices.begin(), order.slices.end(),
                     [&](const Slice& slice) { return slice.rowset == reading.number; });
    if (ordered == order.slices.end() || !is_sliceable(*reading.rowset, kServerMajor)) return;
    reading.slice = *ordered;
    reading.scan = {};
}

void begin_slice(Reading& reading, RowEncoder* encoder) {
    const auto end = ask(slice_end_sql(*reading.rowset, kServerMajor, reading.slice), encoder);
    reading.slice_end = end && !end->null ? static_cast<uint32_t>(end->integer) : 0;
    reading.sql = slice_sql(*reading.rowset, kServerMajor, reading.slice, reading.slice_end);
}

void end_slice(const Reading& reading, const RowEncoder& encoder, RowEncoder* spare,
               RowsetEnd& end) {
    // Of those behind it nothing but the number will be known.
    if (end.left_out > 0) end.sums = "{}";
    if (!end.complete || reading.slice_end == 0) return;
    if (reading.slice.before + encoder.rows < visitor->order.max_rows) {
        end.last = reading.slice_end;
        end.complete = false;
        return;
    }
    const auto count =
        ask(rows_behind_sql(*reading.rowset, kServerMajor, reading.slice_end), spare);
    end.complete = count.has_value();
    if (!count) end.message = "cut at pganalytics.max_rows";
    end.left_out += count ? static_cast<uint64_t>(count->integer) : 0;
    if (end.left_out > 0) end.sums = "{}";
}

void note_too_long(const Reading& reading, uint64_t elapsed_us) {
    const int64_t all_us = visitor->order.deadline_us - visitor->began_us;
    if (static_cast<int64_t>(elapsed_us) >= all_us / 2)
        report->too_long = static_cast<uint16_t>(reading.number + 1);
}

}  // namespace pganalytics::pg::visiting

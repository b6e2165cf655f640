// Rows of the rowsets that a pass over the shared statistics fills: keys and labels first (the
// head, known from the last complete reading), then counters (the tail, a row's place in
// PostgreSQL's own struct). A row made of both has the same bytes as the one a visitor reads. Runs
// in the collector.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/core/fold_hash.hpp"

namespace pganalytics {

// What kind of entry of the shared statistics a rowset is made of.
enum class StatisticsKind : uint8_t { kRelation = 0, kFunction = 1 };

// How a counter's 64 bits become a column.
enum class CounterForm : uint8_t {
    kInt64,
    kTimestamp,     // microseconds since 2000-01-01 UTC; null where 0
    kFloat64,       // of the whole number
    kMilliseconds,  // float64, of microseconds
};

struct CounterColumn {
    CounterForm form = CounterForm::kInt64;
    size_t offset = 0;
};

struct PassRowset {
    uint16_t number = 0;
    StatisticsKind kind = StatisticsKind::kRelation;
    std::vector<ColumnType> head;  // datid and the object's OID first
    std::vector<CounterColumn> tail;

    size_t columns() const { return head.size() + tail.size(); }
};

struct SplitRow {
    uint32_t oid = 0;
    std::string_view head;  // its values; lives as long as the row
    uint64_t tail = 0;      // hash of the rest
};

// False where the row is malformed, or one of the head's values is null.
bool split_row(const PassRowset& rowset, const FoldKey& key, std::string_view body, SplitRow* out);

// The same hash, of counters as they stand in shared memory.
uint64_t tail_hash(const PassRowset& rowset, const FoldKey& key, std::string_view counters);

// The row's body in place of what is in `out`.
void make_row(const PassRowset& rowset, std::string_view head, std::string_view counters,
              std::string* out);

}  // namespace pganalytics

// Which rows of a reading with too many are worth keeping, and what the others come to together.
// Plain data and no allocation: it is called between PostgreSQL calls. Runs in visitors.
//
// The busiest rows are those whose counters are greatest; where there are none, or they are equal,
// the largest, by what they hold. Counters are the server's absolute ones, so that the choice is
// much the same in each reading.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

// What a column is to the sum of rows.
enum class Summing : uint8_t {
    kNone,
    kCounter,
    kAmount,  // a gauge that counts something, so that two of them make a sum
};

Summing summing_of(const Column& column);

struct RowWeight {
    double counters = 0;
    double amounts = 0;
    bool operator==(const RowWeight&) const = default;
    bool is_above(const RowWeight& other) const {
        return counters != other.counters ? counters > other.counters : amounts > other.amounts;
    }
};

// What a row's columns are; `summings` one for each of `types`, at most kMaxColumns.
struct RowSumming {
    std::span<const ColumnType> types;
    const Summing* summings = nullptr;  // null: nothing is summed up, and no row is chosen
};

// Nothing where the body is malformed.
RowWeight weight_of(const RowSumming& summing, std::string_view body);

struct RowSums {
    uint64_t rows = 0;
    bool any[kMaxColumns] = {};  // of the rows had a value
    int64_t integers[kMaxColumns] = {};
    double reals[kMaxColumns] = {};
};

// A sum beyond 64 bits stays at its end. Amounts below 0 mean that they are not known.
void add_to_sums(const RowSumming& summing, std::string_view body, RowSums* sums);

// A json object with the sums by the columns' names; of columns without a value there is none.
std::string sums_json(const RowSumming& summing, std::span<const Column* const> columns,
                      const RowSums& sums);

}  // namespace pganalytics

// Rows chosen and summed up (see the header).
#include "pganalytics/core/row_sums.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "pganalytics/core/json_writer.hpp"

namespace pganalytics {

namespace {

constexpr std::string_view kAmountUnits[] = {"bytes", "blocks", "pages", "rows"};

// 0 where it is none, or not known.
double number_of(Summing summing, ColumnType type, const Value& value) {
    if (value.null) return 0;
    const double number =
        type == ColumnType::kFloat64 ? value.real : static_cast<double>(value.integer);
    return std::isfinite(number) && (summing == Summing::kCounter || number > 0) ? number : 0;
}

void add_integer(int64_t value, int64_t* sum) {
    if (!__builtin_add_overflow(*sum, value, sum)) return;
    *sum = value < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

}  // namespace

Summing summing_of(const Column& column) {
    if (column.type != ColumnType::kInt64 && column.type != ColumnType::kFloat64)
        return Summing::kNone;
    if (column.kind == Kind::kCounter) return Summing::kCounter;
    const bool amount = column.kind == Kind::kGauge &&
                        std::find(std::begin(kAmountUnits), std::end(kAmountUnits), column.unit) !=
                            std::end(kAmountUnits);
    return amount ? Summing::kAmount : Summing::kNone;
}

RowWeight weight_of(const RowSumming& summing, std::string_view body) {
    RowWeight weight;
    Value values[kMaxColumns];
    if (!decode_row(body, summing.types, values)) return weight;
    for (size_t i = 0; i < summing.types.size(); ++i) {
        if (summing.summings[i] == Summing::kNone) continue;
        const double number = number_of(summing.summings[i], summing.types[i], values[i]);
        (summing.summings[i] == Summing::kCounter ? weight.counters : weight.amounts) += number;
    }
    return weight;
}

void add_to_sums(const RowSumming& summing, std::string_view body, RowSums* sums) {
    ++sums->rows;
    Value values[kMaxColumns];
    if (!decode_row(body, summing.types, values)) return;
    for (size_t i = 0; i < summing.types.size(); ++i) {
        const bool unknown = values[i].null || (summing.summings[i] == Summing::kAmount &&
                                                (values[i].integer < 0 || values[i].real < 0));
        if (summing.summings[i] == Summing::kNone || unknown) continue;
        sums->any[i] = true;
        if (summing.types[i] == ColumnType::kFloat64) {
            sums->reals[i] += values[i].real;
        } else {
            add_integer(values[i].integer, &sums->integers[i]);
        }
    }
}

std::string sums_json(const RowSumming& summing, std::span<const Column* const> columns,
                      const RowSums& sums) {
    std::string out = "{";
    for (size_t i = 0; i < summing.types.size() && i < columns.size(); ++i) {
        if (!sums.any[i]) continue;
        append_json_name(out, columns[i]->name);
        if (summing.types[i] == ColumnType::kFloat64) {
            append_json_real(out, sums.reals[i]);
        } else {
            append_json_number(out, sums.integers[i]);
        }
    }
    return out + "}";
}

}  // namespace pganalytics

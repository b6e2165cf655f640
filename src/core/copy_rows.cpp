// Binary COPY rows as hostile bytes (see the header). Runs in the hub worker.
#include "pganalytics/core/copy_rows.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

namespace pganalytics {

namespace {

// Microseconds from 1970-01-01 to 2000-01-01.
constexpr int64_t kPostgresEpoch = int64_t{946684800} * 1000000;

template <class T>
T from_network(T value) {
    if constexpr (std::endian::native == std::endian::big) {
        return value;
    } else if constexpr (sizeof(T) == 2) {
        return __builtin_bswap16(value);
    } else if constexpr (sizeof(T) == 4) {
        return __builtin_bswap32(value);
    } else {
        static_assert(sizeof(T) == 8);
        return __builtin_bswap64(value);
    }
}

// Big-endian reader; failed for good after the first read past the end.
class NetworkReader {
  public:
    explicit NetworkReader(std::string_view data) : data_(data) {}

    template <class T>
    T number() {
        const std::string_view bytes = take(sizeof(T));
        if (bytes.empty()) return 0;
        std::make_unsigned_t<T> value = 0;
        std::memcpy(&value, bytes.data(), sizeof value);
        return static_cast<T>(from_network(value));
    }
    std::string_view take(size_t count) {
        if (count > data_.size()) {
            ok_ = false;
            data_ = {};
            return {};
        }
        const std::string_view bytes = data_.substr(0, count);
        data_.remove_prefix(count);
        return bytes;
    }
    bool ok() const { return ok_; }
    bool empty() const { return data_.empty(); }

  private:
    std::string_view data_;
    bool ok_ = true;
};

Error broken(uint64_t row, std::string_view rule) {
    return make_error(sqlstate::kProtocolViolation,
                      "row " + std::to_string(row) + " " + std::string(rule));
}

void add_day(std::vector<int32_t>& days, int32_t day) {
    // Rows of a push have few times: mostly the day of the row before.
    if (!days.empty() && days.back() == day) return;
    const auto place = std::lower_bound(days.begin(), days.end(), day);
    if (place == days.end() || *place != day) days.insert(place, day);
}

// Empty: the row keeps to the rules; else the rule it breaks.
std::string_view walk_row(NetworkReader& reader, const CopyRowsRules& rules, CopyRowsFacts& facts) {
    if (reader.number<int16_t>() != static_cast<int64_t>(rules.fields) || rules.fields < 2)
        return "does not have the fields of its table";
    if (reader.number<int32_t>() != 8) return "has no time in its first field";
    const int64_t since_2000 = reader.number<int64_t>();
    if (reader.number<int32_t>() != 16) return "has no collector in its second field";
    const std::string_view collector = reader.take(rules.collector_id.size());
    if (!reader.ok()) return "is cut";
    if (std::memcmp(collector.data(), rules.collector_id.data(), rules.collector_id.size()) != 0)
        return "is of another collector";
    for (size_t field = 2; field < rules.fields; ++field) {
        const auto length = reader.number<int32_t>();
        if (length < -1) return "has a field of negative length";
        if (length > 0) reader.take(static_cast<size_t>(length));
    }
    if (!reader.ok()) return "is cut";
    int64_t time = 0;
    if (__builtin_add_overflow(since_2000, kPostgresEpoch, &time) || time < rules.window.earliest ||
        time > rules.window.latest)
        return "has a time outside the accepted window";
    add_day(facts.days, day_of(time));
    facts.latest = std::max(facts.latest, time);
    return {};
}

}  // namespace

Status walk_copy_rows(std::string_view rows, const CopyRowsRules& rules, CopyRowsFacts& facts) {
    NetworkReader reader(rows);
    while (!reader.empty()) {
        const std::string_view rule = walk_row(reader, rules, facts);
        if (!rule.empty()) return broken(facts.rows + 1, rule);
        ++facts.rows;
    }
    return {};
}

size_t copy_field_count(std::string_view rows) {
    const auto count = NetworkReader(rows).number<int16_t>();
    return count > 0 ? static_cast<size_t>(count) : 0;
}

}  // namespace pganalytics

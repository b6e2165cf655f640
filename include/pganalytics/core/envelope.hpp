// The envelope of a push, piece by piece, so that nobody ever holds a whole one:
//
//   envelope_head()  { "hostname": ..., "metrics": [
//   entry_head()       { "type": ..., "timestamp": ..., "datname": ...
//   ColumnarRowset       , "tables": { "full": ..., "complete": ..., "columns": {...}, "gone":
//   {...} }
//                      }
//   envelope_tail()    ], "metrics_count": ..., "part": ..., "parts": ..., "sequence": ...,
//                      "collector_id": ... }
//
// What is known only at the end stands at the end: a cycle that is read while an enrolment is
// under way still gets its collector_id, and one that is thrown away leaves no gap in the sequence.
// docs/envelope.schema.json says the same for machines. Runs in the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics {

struct EnvelopeHead {
    std::string hostname;
    int64_t time = 0;
    std::string version;
    std::string system_identifier;
    bool in_recovery = false;
    Uuid snapshot_id{};
    Uuid incarnation{};
    Uuid cycle{};
    uint64_t config_version = 0;
};

struct EnvelopeTail {
    size_t metrics_count = 0;
    uint32_t part = 1;
    uint32_t parts = 1;
    uint64_t sequence = 0;
    Uuid collector_id{};
};

std::string envelope_head(const EnvelopeHead& head);
std::string envelope_tail(const EnvelopeTail& tail);

// Without the closing brace. `datname` and `datid` for rowsets of a database: a rowset without rows
// tells only by them whose it is.
std::string entry_head(std::string_view type, int64_t time,
                       const std::optional<std::string>& datname, uint32_t datid = 0);

// Rows as one array a column.
class ColumnarRowset {
  public:
    ColumnarRowset() = default;
    explicit ColumnarRowset(std::span<const Column* const> columns);

    void add(std::span<const Value> values);
    size_t rows() const { return rows_; }
    // Bytes of JSON so far, names and brackets included.
    size_t bytes() const { return bytes_; }

    // Hands `{"a":[...],"b":[...]}` to `sink` in pieces and is empty afterwards, its room kept.
    template <class Sink>
    void drain(Sink&& sink) {
        std::string piece = "{";
        for (size_t i = 0; i < columns_.size(); ++i) {
            append_column_head(piece, i);
            sink(std::string_view(piece));
            sink(std::string_view(values_[i]));
            piece.assign(1, ']');
        }
        piece += "}";
        sink(std::string_view(piece));
        clear();
    }
    void clear();

  private:
    void append_column_head(std::string& out, size_t column) const;

    std::vector<const Column*> columns_;
    std::vector<std::string> values_;
    size_t rows_ = 0;
    size_t bytes_ = 0;
    size_t empty_bytes_ = 0;
};

}  // namespace pganalytics

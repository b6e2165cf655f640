// Writes the rowsets of one cycle as snapshots: JSON that goes piece by piece through SHA-256 and
// gzip, never whole. Beyond a bound a cycle is cut between rows into several snapshots; all of them
// stay open until the end, because each says how many there are. Runs in `pganalytics ship`.
//
// An entry of "metrics" holds the rowsets of one type and database that come one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/envelope.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

// A slice ends with the row that takes it past this, so that none is over 8 MiB.
inline constexpr size_t kSliceBytes = (size_t{8} << 20) - (size_t{256} << 10);
inline constexpr size_t kSmallestSliceBytes = size_t{64} << 10;
// Values of one slice: a quarter of the JSON tokens the hub takes.
inline constexpr size_t kSliceValues = 1'000'000;

// Up to this many bytes of JSON a rowset is packed small; what is larger would cost too much of it
// (measured: 15 MB take 15 ms packed fast, 280 ms small, for a quarter less).
inline constexpr size_t kSmallRowset = size_t{256} << 10;

struct SnapshotOptions {
    EnvelopeHead head;  // snapshot_id is made for each slice
    size_t slice_bytes = kSliceBytes;
    std::function<Uuid()> new_id;
};

// One rowset as the sparse filter left it.
struct RowsetPart {
    RowsetGroup group;
    std::string_view type;
    std::string_view name;
    std::string_view own;  // of own.rows: which of the users'
    std::optional<std::string> datname;
    int64_t time = 0;
    std::span<const Column* const> columns;
    size_t keys = 0;
    bool full = false;
    bool complete = false;
    uint64_t left_out = 0;                   // rows there are beside those known now
    std::span<const std::string_view> rows;  // bodies
    std::span<const std::string_view> gone;  // ordered keys
};

class SnapshotWriter {
  public:
    explicit SnapshotWriter(SnapshotOptions options);
    ~SnapshotWriter();
    SnapshotWriter(const SnapshotWriter&) = delete;
    SnapshotWriter& operator=(const SnapshotWriter&) = delete;

    // False where a row is malformed; the rows before it are written then.
    bool add(const RowsetPart& part);

    // Ends them all; at least one, be it without entries. Sequences are counted up from
    // `next_sequence`. Nothing can be added afterwards.
    std::vector<Snapshot> finish(const Uuid& collector_id, uint64_t& next_sequence);

    // Bytes of memory held by what is written so far.
    size_t bytes() const;

  private:
    struct Slice;

    Slice& slice();
    void open_slice();
    void close_entry();
    void open_entry(const RowsetPart& part);
    bool is_full(const ColumnarRowset& rows, const ColumnarRowset& gone, size_t columns) const;
    void write_rowset(const RowsetPart& part, ColumnarRowset& rows, ColumnarRowset& gone);

    SnapshotOptions options_;
    std::vector<std::unique_ptr<Slice>> slices_;
};

}  // namespace pganalytics::ship

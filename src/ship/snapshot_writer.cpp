// A cycle's rowsets as snapshots (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/snapshot_writer.hpp"

#include <algorithm>
#include <utility>

#include "pganalytics/core/json_writer.hpp"
#include "pganalytics/core/ordered_key.hpp"
#include "pganalytics/net/gzip.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::ship {

// One snapshot under way. The gzip writer points into the snapshot, so a slice does not move.
struct SnapshotWriter::Slice {
    Slice(const SnapshotOptions& options, const Uuid& id)
        : gzip(snapshot.body, net::Packing::kSmall) {
        EnvelopeHead head = options.head;
        head.snapshot_id = id;
        snapshot.snapshot_id = id;
        snapshot.time = head.time;
        write(envelope_head(head));
    }

    void write(std::string_view json) {
        hasher.update(json);
        gzip.write(json);
        snapshot.bytes_json += json.size();
    }

    bool continues(const RowsetPart& part) const {
        return entry_open && type == part.type && datname == part.datname &&
               datid == part.group.datid &&
               std::find(rowsets.begin(), rowsets.end(), part.name) == rowsets.end();
    }

    Snapshot snapshot;
    net::GzipWriter gzip;
    net::Sha256Hasher hasher;
    size_t entries = 0;
    size_t values = 0;
    bool full = false;  // the next rowset goes to a new one

    // The entry that rowsets are added to.
    bool entry_open = false;
    int64_t entry_time = 0;
    std::string type;
    std::optional<std::string> datname;
    uint32_t datid = 0;
    std::vector<std::string> rowsets;
};

SnapshotWriter::SnapshotWriter(SnapshotOptions options) : options_(std::move(options)) {}

SnapshotWriter::~SnapshotWriter() = default;

void SnapshotWriter::open_slice() {
    slices_.push_back(std::make_unique<Slice>(options_, options_.new_id()));
}

SnapshotWriter::Slice& SnapshotWriter::slice() {
    if (slices_.empty()) open_slice();
    return *slices_.back();
}

void SnapshotWriter::close_entry() {
    Slice& current = slice();
    if (!current.entry_open) return;
    current.write("}");
    current.entry_open = false;
}

void SnapshotWriter::open_entry(const RowsetPart& part) {
    if (slice().full) open_slice();
    Slice& current = slice();
    if (current.continues(part)) return;
    close_entry();
    if (current.entries > 0) current.write(",");
    current.write(entry_head(part.type, part.time, part.datname, part.group.datid));
    ++current.entries;
    current.entry_open = true;
    current.entry_time = part.time;
    current.type = part.type;
    current.datname = part.datname;
    current.datid = part.group.datid;
    current.rowsets.clear();
}

bool SnapshotWriter::is_full(const ColumnarRowset& rows, const ColumnarRowset& gone,
                             size_t columns) const {
    const bool fresh = slices_.empty() || slices_.back()->full;
    const size_t bytes = fresh ? 0 : slices_.back()->snapshot.bytes_json;
    const size_t values = fresh ? 0 : slices_.back()->values;
    return bytes + rows.bytes() + gone.bytes() >= options_.slice_bytes ||
           values + (rows.rows() + gone.rows()) * columns >= kSliceValues;
}

void SnapshotWriter::write_rowset(const RowsetPart& part, ColumnarRowset& rows,
                                  ColumnarRowset& gone) {
    open_entry(part);
    Slice& current = slice();
    current.gzip.set_packing(rows.bytes() + gone.bytes() > kSmallRowset ? net::Packing::kFast
                                                                        : net::Packing::kSmall);
    const auto sink = [&current](std::string_view piece) { current.write(piece); };
    std::string head;
    head.push_back(',');
    append_json_text(head, part.name);
    head.append(":{");
    if (!part.own.empty()) {
        append_json_name(head, "rowset");
        append_json_text(head, part.own);
        head.push_back(',');
    }
    head.append(part.full ? "\"full\":true" : "\"full\":false");
    // Somebody who does not know of left_out may conclude nothing from what is not there.
    const bool all = part.complete && part.left_out == 0;
    head.append(all ? ",\"complete\":true" : ",\"complete\":false");
    if (part.complete && part.left_out > 0) {
        append_json_name(head, "left_out");
        append_json_number(head, part.left_out);
    }
    head.append(",\"columns\":");
    current.write(head);
    current.snapshot.rows += rows.rows();
    current.values += rows.rows() * part.columns.size() + gone.rows() * part.keys;
    if (rows.rows() == 0 && !part.full) {
        current.write("{}");
    } else {
        rows.drain(sink);
    }
    if (gone.rows() > 0) {
        current.write(",\"gone\":");
        gone.drain(sink);
    }
    current.write("}");
    current.rowsets.emplace_back(part.name);
    if (current.snapshot.groups.empty() || current.snapshot.groups.back() != part.group)
        current.snapshot.groups.push_back(part.group);
}

bool SnapshotWriter::add(const RowsetPart& given) {
    RowsetPart part = given;
    const std::vector<ColumnType> types = types_of(part.columns);
    const std::span<const ColumnType> key_types = std::span(types).first(part.keys);
    ColumnarRowset rows(part.columns);
    ColumnarRowset gone(part.columns.first(part.keys));
    std::vector<Value> values(types.size());
    bool well_formed = true;
    bool written = false;
    const auto write = [&] {
        write_rowset(part, rows, gone);
        // The pieces of one rowset have one time, so that together they replace what was before.
        part.time = slice().entry_time;
        written = true;
    };
    const auto cut_where_full = [&] {
        if (!is_full(rows, gone, types.size())) return;
        write();
        close_entry();
        slice().full = true;
    };
    for (const std::string_view body : part.rows) {
        well_formed = decode_row(body, types, values);
        if (!well_formed) break;
        rows.add(values);
        cut_where_full();
    }
    for (const std::string_view key : part.gone) {
        if (!well_formed || !decode_ordered_key(key, key_types, values)) break;
        gone.add(values);
        cut_where_full();
    }
    if (rows.rows() > 0 || gone.rows() > 0 || !written) write();
    return well_formed;
}

std::vector<Snapshot> SnapshotWriter::finish(const Uuid& collector_id, uint64_t& next_sequence) {
    close_entry();
    EnvelopeTail tail;
    tail.parts = static_cast<uint32_t>(slices_.size());
    tail.part = 0;
    tail.collector_id = collector_id;
    std::vector<Snapshot> finished;
    for (std::unique_ptr<Slice>& open : slices_) {
        tail.metrics_count = open->entries;
        ++tail.part;
        tail.sequence = next_sequence++;
        open->write(envelope_tail(tail));
        open->gzip.finish();
        open->snapshot.digest = open->hasher.finish();
        open->snapshot.sequence = tail.sequence;
        open->snapshot.collector_id = collector_id;
        open->snapshot.body.shrink_to_fit();
        finished.push_back(std::move(open->snapshot));
        open.reset();
    }
    slices_.clear();
    return finished;
}

size_t SnapshotWriter::bytes() const {
    size_t sum = 0;
    for (const std::unique_ptr<Slice>& open : slices_)
        sum += open->snapshot.bytes() + open->gzip.memory();
    return sum;
}

}  // namespace pganalytics::ship

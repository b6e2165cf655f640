// The envelope of a push (see the header). Runs in the program.
#include "pganalytics/core/envelope.hpp"

#include "pganalytics/core/json_writer.hpp"

namespace pganalytics {

namespace {

void append_uuid_member(std::string& out, std::string_view name, const Uuid& uuid) {
    append_json_name(out, name);
    append_json_text(out, uuid_text(uuid));
}

void append_text_member(std::string& out, std::string_view name, std::string_view text) {
    append_json_name(out, name);
    append_json_text(out, text);
}

void append_number_member(std::string& out, std::string_view name, uint64_t number) {
    append_json_name(out, name);
    append_json_number(out, number);
}

}  // namespace

std::string envelope_head(const EnvelopeHead& head) {
    std::string out = "{";
    append_text_member(out, "hostname", head.hostname);
    append_json_name(out, "timestamp");
    append_json_time(out, head.time);
    append_text_member(out, "version", head.version);
    append_text_member(out, "system_identifier", head.system_identifier);
    append_json_name(out, "in_recovery");
    out.append(head.in_recovery ? "true" : "false");
    append_uuid_member(out, "snapshot_id", head.snapshot_id);
    append_uuid_member(out, "incarnation", head.incarnation);
    append_uuid_member(out, "cycle", head.cycle);
    append_number_member(out, "config_version", head.config_version);
    append_json_name(out, "metrics");
    out.push_back('[');
    return out;
}

std::string envelope_tail(const EnvelopeTail& tail) {
    std::string out = "]";
    append_number_member(out, "metrics_count", tail.metrics_count);
    append_number_member(out, "part", tail.part);
    append_number_member(out, "parts", tail.parts);
    append_number_member(out, "sequence", tail.sequence);
    append_uuid_member(out, "collector_id", tail.collector_id);
    out.append("}\n");
    return out;
}

std::string entry_head(std::string_view type, int64_t time,
                       const std::optional<std::string>& datname, uint32_t datid) {
    std::string out = "{";
    append_text_member(out, "type", type);
    append_json_name(out, "timestamp");
    append_json_time(out, time);
    if (datname) append_text_member(out, "datname", *datname);
    if (datname) append_number_member(out, "datid", datid);
    return out;
}

ColumnarRowset::ColumnarRowset(std::span<const Column* const> columns)
    : columns_(columns.begin(), columns.end()), values_(columns.size()) {
    drain([this](std::string_view piece) { empty_bytes_ += piece.size(); });
    bytes_ = empty_bytes_;
}

void ColumnarRowset::append_column_head(std::string& out, size_t column) const {
    append_json_name(out, columns_[column]->name);
    out.push_back('[');
}

void ColumnarRowset::add(std::span<const Value> values) {
    size_t bytes = empty_bytes_;
    for (size_t i = 0; i < columns_.size(); ++i) {
        std::string& out = values_[i];
        if (rows_ > 0) out.push_back(',');
        append_json_value(out, columns_[i]->type, values[i]);
        bytes += out.size();
    }
    bytes_ = bytes;
    ++rows_;
}

void ColumnarRowset::clear() {
    for (std::string& values : values_) values.clear();
    rows_ = 0;
    bytes_ = empty_bytes_;
}

}  // namespace pganalytics

// Rows of a push as frames (see the header). Pure.
#include "pganalytics/serve/push_frames.hpp"

#include <algorithm>
#include <bit>

#include "pganalytics/core/lsn.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

namespace {

// What a frame of rows has beside them: its header, number, rowset, count, length.
constexpr size_t kFrameExtra = 64;
// Length and value of a field that is no text.
constexpr size_t kFieldBytes = 20;

bool has_text(ColumnType type) { return type == ColumnType::kText || type == ColumnType::kJson; }

size_t text_bytes(const RowSet& set, size_t row) {
    size_t bytes = 0;
    for (size_t i = 0; i < set.columns.size(); ++i) {
        if (!has_text(set.target->columns[i]->type) || set.columns[i].is_null(row)) continue;
        bytes += ValueColumn::length_of(set.columns[i].word(row));
    }
    return bytes;
}

bool has_long_row(const RowSet& set) {
    const auto texts = std::count_if(set.target->columns.begin(), set.target->columns.end(),
                                     [](const Column* column) { return has_text(column->type); });
    const size_t fixed = set.target->fields.size() * kFieldBytes + kShortTextBytes;
    if (fixed + static_cast<size_t>(texts) * kJsonStringBytes <= kRowBytes) return false;
    for (size_t row = 0; row < set.rows; ++row) {
        if (fixed + text_bytes(set, row) > kRowBytes) return true;
    }
    return false;
}

// A key's value as JSON.
void append_json(std::string& out, ColumnType type, const ValueColumn& column, size_t row,
                 const Push& push) {
    if (column.is_null(row)) {
        out += "null";
        return;
    }
    const uint64_t word = column.word(row);
    std::string text;
    switch (type) {
        case ColumnType::kBool:
            out += word != 0 ? "true" : "false";
            return;
        case ColumnType::kInt64:
            out += std::to_string(static_cast<int64_t>(word));
            return;
        case ColumnType::kOid:
            out += std::to_string(word);
            return;
        case ColumnType::kFloat64:
            out += std::to_string(std::bit_cast<double>(word));
            return;
        case ColumnType::kJson:
            out += column.text(row, push.made);
            return;
        case ColumnType::kText:
            append_json_string(out, column.text(row, push.body));
            return;
        case ColumnType::kTimestamp:
            append_time(text, static_cast<int64_t>(word));
            break;
        case ColumnType::kLsn:
            append_lsn(text, word);
            break;
        case ColumnType::kUuid: {
            Uuid uuid{};
            const std::string_view bytes = column.text(row, push.made);
            std::copy(bytes.begin(), bytes.end(), uuid.begin());
            text = uuid_text(uuid);
            break;
        }
    }
    append_json_string(out, text);
}

std::string_view as_text(const Uuid& uuid) {
    return {reinterpret_cast<const char*>(uuid.data()), uuid.size()};
}

}  // namespace

RowWindow row_window(int64_t now, int64_t retention_seconds) {
    const int64_t retention =
        std::min(retention_seconds, kOldestTime / kMicrosecondsPerSecond) * kMicrosecondsPerSecond;
    return {now, now - retention, now + kFutureTime};
}

PushFrames::PushFrames(Push push, std::shared_ptr<const PushTargets> targets,
                       const Uuid& collector_id, uint64_t number, const RowWindow& window)
    : push_(std::move(push)),
      targets_(std::move(targets)),
      collector_id_(collector_id),
      number_(number),
      window_(window) {
    sort_out_times();
    size_t fields = push_.fulls.size() * 8;
    for (const RowSet& set : push_.rowsets) fields += set.rows * (set.target->fields.size() + 1);
    // Keys that are gone travel as JSON, with their names.
    for (const RowSet& set : push_.gone) fields += set.rows * (set.target->keys + 1) * 8;
    bytes_at_most_ = fields * kFieldBytes + push_.body.size() + push_.made.size();
}

std::optional<int64_t> PushFrames::accepted(int64_t time) const {
    if (time < window_.oldest) return std::nullopt;
    return time > window_.newest ? window_.now : time;
}

std::optional<int64_t> PushFrames::row_time(const RowSet& set, const Segment& segment,
                                            size_t row) const {
    if (set.row_time.is_null(row)) return entry_times_[segment.entry];
    return accepted(static_cast<int64_t>(set.row_time.word(row)));
}

void PushFrames::sort_out_times() {
    const int64_t envelope_time = push_.envelope.timestamp.value_or(window_.now);
    const auto time_of = [&](const Entry& entry) {
        return entry.timestamp.value_or(envelope_time);
    };
    for (const Entry& entry : push_.entries) entry_times_.push_back(accepted(time_of(entry)));
    const auto count = [&](const RowSet& set) {
        for (const Segment& segment : set.segments) {
            for (size_t row = segment.first; row < segment.first + segment.rows; ++row) {
                if (!row_time(set, segment, row)) ++too_old_;
                const int64_t said = set.row_time.is_null(row)
                                         ? time_of(push_.entries[segment.entry])
                                         : static_cast<int64_t>(set.row_time.word(row));
                if (said > window_.newest) ++future_;
            }
        }
    };
    for (const RowSet& set : push_.rowsets) count(set);
}

const char* PushFrames::refusal() const {
    const bool too_long = std::any_of(push_.rowsets.begin(), push_.rowsets.end(), has_long_row) ||
                          std::any_of(push_.gone.begin(), push_.gone.end(), has_long_row);
    return too_long ? "a row is too long" : nullptr;
}

void PushFrames::encode_value(ColumnType type, uint64_t word) {
    switch (type) {
        case ColumnType::kBool:
            return encoder_.boolean(word != 0);
        case ColumnType::kInt64:
        case ColumnType::kFloat64:
        case ColumnType::kLsn:
            return encoder_.int64(static_cast<int64_t>(word));
        case ColumnType::kTimestamp:
            return encoder_.timestamp(static_cast<int64_t>(word));
        case ColumnType::kOid:
            return encoder_.oid(static_cast<uint32_t>(word));
        case ColumnType::kText:
            return encoder_.bytes(ValueColumn::text_at(word, push_.body));
        case ColumnType::kUuid:
            return encoder_.bytes(ValueColumn::text_at(word, push_.made));
        case ColumnType::kJson:
            return encoder_.jsonb(ValueColumn::text_at(word, push_.made));
    }
}

void PushFrames::plan_fields(const RowSet& set) {
    planned_ = &set;
    plan_.clear();
    for (const TargetField& field : set.target->fields) {
        FieldPlan& plan = plan_.emplace_back();
        plan.source = field.source;
        if (field.source != TargetField::Source::kColumn) continue;
        const ValueColumn& column = set.columns[field.column];
        plan.type = set.target->columns[field.column]->type;
        plan.size = column.size();
        plan.words = column.words();
        plan.nulls = column.nulls();
    }
}

void PushFrames::encode_row(const RowSet& set, const Segment& segment, size_t row, int64_t time) {
    if (planned_ != &set) plan_fields(set);
    encoder_.begin_row(static_cast<uint16_t>(plan_.size()));
    for (const FieldPlan& field : plan_) {
        switch (field.source) {
            case TargetField::Source::kTime:
                encoder_.timestamp(time);
                break;
            case TargetField::Source::kCollector:
                encoder_.bytes(as_text(collector_id_));
                break;
            case TargetField::Source::kDatname: {
                const std::string_view datname = push_.entries[segment.entry].datname;
                datname.data() == nullptr ? encoder_.null() : encoder_.bytes(datname);
                break;
            }
            case TargetField::Source::kColumn:
                if (row >= field.size || field.nulls[row] != 0) {
                    encoder_.null();
                } else {
                    encode_value(field.type, field.words[row]);
                }
                break;
        }
    }
}

void PushFrames::encode_gone(const RowSet& set, const Segment& segment, size_t row, int64_t time) {
    const PushTarget& keys = *set.target;
    const PushTarget& target = *targets_->gone();
    json_.assign(1, '{');
    for (size_t i = 0; i < keys.keys; ++i) {
        if (i > 0) json_ += ',';
        append_json_string(json_, keys.columns[i]->name);
        json_ += ':';
        append_json(json_, keys.columns[i]->type, set.columns[i], row, push_);
    }
    json_ += '}';
    encoder_.begin_row(static_cast<uint16_t>(target.fields.size()));
    encoder_.timestamp(time);
    encoder_.bytes(as_text(collector_id_));
    for (const Column* column : target.columns) {
        if (column->name == "rowset") {
            encoder_.bytes(keys.name);
        } else if (column->name == "datid") {
            if (keys.datid == PushTarget::kNone) {
                encoder_.oid(0);
            } else if (set.columns[keys.datid].is_null(row)) {
                encoder_.oid(push_.entries[segment.entry].datid.value_or(0));
            } else {
                encode_value(ColumnType::kOid, set.columns[keys.datid].word(row));
            }
        } else if (column->name == "key") {
            encoder_.jsonb(json_);
        } else if (column->name == "left_out") {
            encoder_.boolean(segment.left_out);
        } else {
            encoder_.null();
        }
    }
}

void PushFrames::encode_full(const FullRowset& full, int64_t time) {
    const PushTarget& target = *targets_->fulls();
    const Entry& entry = push_.entries[full.entry];
    const bool of_database = is_of_database(*full.target->rowset);
    encoder_.begin_row(static_cast<uint16_t>(target.fields.size()));
    encoder_.timestamp(time);
    encoder_.bytes(as_text(collector_id_));
    for (const Column* column : target.columns) {
        if (column->name == "rowset") {
            const std::string own = "own." + std::string(full.own);
            encoder_.bytes(full.own.empty() ? full.target->name : own);
        } else if (column->name == "datid") {
            const uint32_t datid = full.datid.value_or(entry.datid.value_or(0));
            encoder_.oid(of_database ? datid : 0);
        } else if (column->name == "datname" && of_database && entry.datname.data() != nullptr) {
            encoder_.bytes(entry.datname);
        } else if (column->name == "complete") {
            encoder_.boolean(full.complete);
        } else if (column->name == "left_out" && full.left_out > 0) {
            encoder_.int64(static_cast<int64_t>(full.left_out));
        } else if (column->name == "cycle" && push_.envelope.parts > 1 && push_.envelope.cycle) {
            encoder_.bytes(as_text(*push_.envelope.cycle));
        } else {
            encoder_.null();
        }
    }
}

// Keeps the row encoded last, or takes it back where it makes the frame too long (it then starts
// the next one).
bool PushFrames::take_row(size_t before, size_t& count) {
    if (count > 0 && encoder_.size() + kFrameExtra > kRowsFrameBytes) {
        encoder_.cut(before);
        return false;
    }
    ++count;
    return true;
}

// As make_frame(PushRows{...}) gives it, with the rows copied once.
std::string PushFrames::frame(uint16_t rowset, size_t count) {
    ByteWriter out;
    out.reserve(encoder_.size() + kFrameExtra);
    out.u32(0);
    out.u8(static_cast<uint8_t>(FrameType::kPushRows));
    out.u8(kFrameVersion);
    out.varint(number_);
    out.varint(rowset);
    out.varint(count);
    out.text(encoder_.rows());
    out.patch_u32(0, static_cast<uint32_t>(out.size() - sizeof(uint32_t)));
    encoder_.clear();
    rows_ += count;
    return out.take();
}

template <class EncodeRow>
std::optional<std::string> PushFrames::next_of(const std::vector<RowSet>& sets, Cursor& cursor,
                                               const PushTarget* own, EncodeRow encode) {
    size_t count = 0;
    while (cursor.set < sets.size()) {
        const RowSet& set = sets[cursor.set];
        while (cursor.segment < set.segments.size()) {
            const Segment& segment = set.segments[cursor.segment];
            while (cursor.row < segment.rows) {
                const size_t row = segment.first + cursor.row;
                if (const std::optional<int64_t> time = row_time(set, segment, row)) {
                    const size_t before = encoder_.size();
                    encode(set, segment, row, *time);
                    if (!take_row(before, count)) {
                        return frame(own ? own->number : set.target->number, count);
                    }
                }
                ++cursor.row;
            }
            cursor.row = 0;
            ++cursor.segment;
        }
        cursor.segment = 0;
        ++cursor.set;
        if (own == nullptr && count > 0) return frame(set.target->number, count);
    }
    if (count == 0) return std::nullopt;
    return frame(own->number, count);
}

std::optional<std::string> PushFrames::next_fulls() {
    size_t count = 0;
    for (; full_at_ < push_.fulls.size(); ++full_at_) {
        const FullRowset& full = push_.fulls[full_at_];
        const std::optional<int64_t> time = entry_times_[full.entry];
        if (!time) continue;
        const size_t before = encoder_.size();
        encode_full(full, *time);
        if (!take_row(before, count)) break;
    }
    if (count == 0) return std::nullopt;
    return frame(targets_->fulls()->number, count);
}

std::optional<std::string> PushFrames::next() {
    auto made = next_of(push_.rowsets, rows_at_, nullptr,
                        [this](const auto&... row) { encode_row(row...); });
    if (!made && targets_->gone() != nullptr) {
        made = next_of(push_.gone, gone_at_, targets_->gone(),
                       [this](const auto&... row) { encode_gone(row...); });
    }
    if (!made && targets_->fulls() != nullptr) made = next_fulls();
    return made;
}

}  // namespace pganalytics::serve

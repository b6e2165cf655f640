// The members of a push's envelope, entries and rowsets (see push_sink.hpp). Pure.
#include <algorithm>

#include "pganalytics/core/time_text.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/push_sink.hpp"
#include "pganalytics/serve/push_values.hpp"

namespace pganalytics::serve {

const std::array<PushSink::Name, 15> PushSink::kEnvelopeNames = {{
    {"collector_id", Member::kCollectorId},
    {"hostname", Member::kHostname},
    {"timestamp", Member::kTimestamp},
    {"version", Member::kVersion},
    {"system_identifier", Member::kSystemIdentifier},
    {"in_recovery", Member::kInRecovery},
    {"snapshot_id", Member::kSnapshotId},
    {"incarnation", Member::kIncarnation},
    {"sequence", Member::kSequence},
    {"cycle", Member::kCycle},
    {"part", Member::kPart},
    {"parts", Member::kParts},
    {"config_version", Member::kConfigVersion},
    {"metrics_count", Member::kMetricsCount},
    {"metrics", Member::kMetrics},
}};

namespace {

constexpr const char* kBadTime = "time in RFC 3339 form expected";
constexpr const char* kBadUuid = "UUID expected";
constexpr const char* kTooLong = "string too long";
constexpr size_t kMostParts = 100'000;

const char* set_uuid(std::optional<Uuid>& field, std::string_view text) {
    field = parse_uuid(text);
    return field ? nullptr : kBadUuid;
}

const char* set_text(std::string_view& field, std::string_view text) {
    if (text.size() > kShortTextBytes) return kTooLong;
    field = text;
    return nullptr;
}

}  // namespace

PushSink::Reason PushSink::key(std::string_view key) {
    member_ = Member::kUnknown;
    switch (state_) {
        case State::kEnvelope:
            return envelope_key(key);
        case State::kEntry:
            return entry_key(key);
        case State::kRowset:
            rowset_key(key);
            return nullptr;
        case State::kColumns:
        case State::kGone:
        case State::kRow:
            column_key(key);
            return nullptr;
        case State::kJson:
            json_comma();
            append_json_string(json_, key);
            json_ += ':';
            return nullptr;
        default:
            return nullptr;
    }
}

PushSink::Reason PushSink::envelope_key(std::string_view key) {
    for (const Name& known : kEnvelopeNames) {
        if (known.name == key) member_ = known.member;
    }
    return nullptr;
}

PushSink::Reason PushSink::envelope_text(std::string_view text) {
    Envelope& envelope = push_.envelope;
    switch (member_) {
        case Member::kCollectorId:
            return set_uuid(envelope.collector_id, text);
        case Member::kSnapshotId:
            return set_uuid(envelope.snapshot_id, text);
        case Member::kIncarnation:
            return set_uuid(envelope.incarnation, text);
        case Member::kCycle:
            return set_uuid(envelope.cycle, text);
        case Member::kHostname:
            return set_text(envelope.hostname, text);
        case Member::kVersion:
            return set_text(envelope.version, text);
        case Member::kSystemIdentifier:
            return set_text(envelope.system_identifier, text);
        case Member::kTimestamp:
            envelope.timestamp = parse_time(text);
            return envelope.timestamp ? nullptr : kBadTime;
        default:
            return misplaced();
    }
}

PushSink::Reason PushSink::envelope_number(std::string_view text) {
    uint64_t value = 0;
    const bool is_unsigned = parse_unsigned(text, value);
    uint64_t* field = nullptr;
    switch (member_) {
        case Member::kSequence:
            field = &push_.envelope.sequence;
            break;
        case Member::kPart:
            field = &push_.envelope.part;
            break;
        case Member::kParts:
            field = &push_.envelope.parts;
            break;
        case Member::kConfigVersion:
            field = &push_.envelope.config_version;
            break;
        case Member::kMetricsCount:
            field = &push_.envelope.metrics_count.emplace();
            break;
        default:
            return misplaced();
    }
    // What goes into a bigint of the ledger.
    if (!is_unsigned || value > INT64_MAX) return misplaced();
    *field = value;
    return nullptr;
}

PushSink::Reason PushSink::begin_entry(const char* behind) {
    push_.entries.emplace_back();
    type_ = find_type(behind);
    if (type_.empty()) return "entry without a plain type";
    type_known_ = targets_.knows_plugin(type_);
    if (!type_known_) push_.unknown.add_type(type_);
    return enter(State::kEntry);
}

PushSink::Reason PushSink::entry_key(std::string_view key) {
    target_ = nullptr;
    if (key == "type") {
        member_ = Member::kType;
    } else if (key == "timestamp") {
        member_ = Member::kTimestamp;
    } else if (key == "datname" || key == "database") {
        // "database" is what older collectors of the family say.
        member_ = Member::kDatname;
    } else if (key == "datid") {
        member_ = Member::kDatid;
    } else if (type_known_ && key != "collector_id" && key != "hostname") {
        target_ = targets_.find(type_, key);
        if (target_ != nullptr) {
            member_ = Member::kRowset;
        } else {
            push_.unknown.add_rowset(std::string(type_) + "." + std::string(key));
        }
    }
    return nullptr;
}

PushSink::Reason PushSink::entry_text(std::string_view text) {
    Entry& entry = push_.entries.back();
    switch (member_) {
        case Member::kType:
            // What was found ahead is what the parser found.
            return text == type_ ? nullptr : "entry without a plain type";
        case Member::kTimestamp:
            entry.timestamp = parse_row_time(text);
            return entry.timestamp ? nullptr : kBadTime;
        case Member::kDatname:
            return set_text(entry.datname, text);
        default:
            return misplaced();
    }
}

PushSink::Reason PushSink::end_entry() {
    target_ = nullptr;
    current_ = nullptr;
    return nullptr;
}

void PushSink::rowset_key(std::string_view key) {
    if (key == "columns") {
        member_ = Member::kColumns;
    } else if (key == "gone") {
        member_ = Member::kGone;
    } else if (key == "full") {
        member_ = Member::kFull;
    } else if (key == "complete") {
        member_ = Member::kComplete;
    } else if (key == "left_out") {
        member_ = Member::kLeftOut;
    } else if (key == "rowset" && target_->rowset->scope == Scope::kOwn) {
        member_ = Member::kOwnName;
    } else {
        unknown_member(key);
    }
}

void PushSink::column_key(std::string_view key) {
    current_ = nullptr;
    column_ = target_->find_column(key, next_column_);
    Part& part = state_ == State::kGone ? gone_ : rows_;
    const size_t known = state_ == State::kGone ? target_->keys : target_->columns.size();
    if (column_ < known) {
        next_column_ = column_ + 1;
        current_ = &part.set->columns[column_];
        current_type_ = target_->columns[column_]->type;
    } else if (state_ != State::kGone && key == "timestamp" &&
               target_->rowset->scope == Scope::kExternal) {
        current_ = &part.set->row_time;
        current_type_ = ColumnType::kTimestamp;
    } else {
        unknown_member(key);
    }
    if (current_ != nullptr && state_ == State::kRow) current_->fit(part.base + part.rows);
}

void PushSink::unknown_member(std::string_view key) {
    push_.unknown.add_column(target_->name + "." + std::string(key));
}

PushSink::Reason PushSink::finish() {
    const Envelope& envelope = push_.envelope;
    if (!envelope.collector_id) return "collector_id missing";
    if (!envelope.timestamp) return "timestamp missing";
    if (envelope.metrics_count && *envelope.metrics_count != push_.entries.size()) {
        return "metrics_count is not the number of metrics";
    }
    if (envelope.part < 1 || envelope.part > envelope.parts || envelope.parts > kMostParts) {
        return "part and parts do not fit";
    }
    return nullptr;
}

PushSink::State PushSink::last_known_state() const {
    size_t depth = depth_;
    State state = state_;
    while (depth > 0 && (state == State::kSkip || state == State::kJson)) state = before_[--depth];
    return state;
}

std::string PushSink::place() const {
    const State state = last_known_state();
    std::string out;
    if (state == State::kEnvelope) {
        for (const Name& known : kEnvelopeNames) {
            if (known.member == member_) out = known.name;
        }
    }
    if (state <= State::kEnvelope) return out;
    out = "metrics";
    if (state == State::kMetrics) return out + "[" + std::to_string(push_.entries.size()) + "]";
    out += "[" + std::to_string(push_.entries.size() - 1) + "]";
    if (target_ == nullptr) return out;
    out += ".";
    out += target_->rowset->name;
    if (state == State::kGone || state == State::kGoneColumn) out += ".gone";
    if (state == State::kRows || state == State::kRow) {
        out += "[" + std::to_string(rows_.rows) + "]";
    }
    const bool in_column = current_ != nullptr && state >= State::kColumns && state != State::kRows;
    if (!in_column || column_ >= target_->columns.size()) return out;
    out += ".";
    out += target_->columns[column_]->name;
    if (state == State::kColumn || state == State::kGoneColumn) {
        const Part& part = state == State::kColumn ? rows_ : gone_;
        out += "[" + std::to_string(current_->size() - part.base) + "]";
    }
    return out;
}

namespace {

const char* skip_blanks(const char* at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') ++at;
    return at;
}

// Behind the string whose opening quote is at `at`; at the text's end where it never closes.
const char* skip_string(const char* at) {
    for (++at; *at != '\0' && *at != '"'; ++at) {
        if (*at == '\\' && at[1] != '\0') ++at;
    }
    return *at == '"' ? at + 1 : at;
}

const char* skip_value(const char* at) {
    size_t depth = 0;
    while (*at != '\0') {
        if (*at == '"') {
            at = skip_string(at);
        } else if (*at == '{' || *at == '[') {
            ++depth;
            ++at;
        } else if (*at == '}' || *at == ']' || *at == ',') {
            if (depth == 0) return at;
            if (*at != ',') --depth;
            ++at;
        } else {
            ++at;
        }
    }
    return at;
}

}  // namespace

std::string_view find_type(const char* behind) {
    const char* at = skip_blanks(behind);
    while (*at == '"') {
        const char* key = at;
        at = skip_string(at);
        const bool is_type = std::string_view(key, static_cast<size_t>(at - key)) == "\"type\"";
        at = skip_blanks(at);
        if (*at != ':') return {};
        at = skip_blanks(at + 1);
        if (is_type) {
            if (*at != '"') return {};
            const char* end = skip_string(at);
            const std::string_view type(at + 1, static_cast<size_t>(end - at) - 1);
            // Without its closing quote; an escape is not plain.
            if (type.empty() || type.back() != '"') return {};
            if (type.find('\\') != std::string_view::npos) return {};
            return type.substr(0, type.size() - 1);
        }
        at = skip_blanks(skip_value(at));
        if (*at != ',') return {};
        at = skip_blanks(at + 1);
    }
    return {};
}

}  // namespace pganalytics::serve

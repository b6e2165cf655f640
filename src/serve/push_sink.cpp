// The events of a push's JSON: containers and values (see the header). Pure.
#include "pganalytics/serve/push_sink.hpp"

#include <algorithm>

#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/own_rows.hpp"
#include "pganalytics/serve/push_values.hpp"

namespace pganalytics::serve {

PushSink::Reason PushSink::enter(State state) {
    before_[depth_++] = state_;
    state_ = state;
    return nullptr;
}

// The set of rows of target_, made at its first use.
RowSet& PushSink::rows_of(std::vector<RowSet>& sets, std::vector<size_t>& places) {
    places.resize(targets_.all().size());
    size_t& place = places[static_cast<size_t>(target_ - targets_.all().data())];
    if (place == 0) {
        RowSet& made = sets.emplace_back();
        made.target = target_;
        made.columns.resize(target_->columns.size());
        place = sets.size();
    }
    return sets[place - 1];
}

PushSink::Reason PushSink::begin_rowset(State state) {
    full_ = false;
    complete_ = true;
    left_out_ = 0;
    own_name_ = {};
    RowSet& set = rows_of(push_.rowsets, rowset_places_);
    rows_ = Part{&set, set.rows, 0, false};
    gone_ = Part{};
    return enter(state);
}

PushSink::Reason PushSink::end_part(Part& part, size_t fields, bool left_out) {
    if (part.rows == 0) return nullptr;
    part.set->segments.push_back({push_.entries.size() - 1, part.base, part.rows, left_out});
    part.set->rows += part.rows;
    cells_ += part.rows * fields;
    return cells_ > kPushCells ? "too many rows" : nullptr;
}

// Of users' own rowsets: each row is what it says it is.
PushSink::Reason PushSink::end_own() {
    const OwnPart rows = {rows_.set, rows_.base, rows_.rows};
    const OwnPart gone = {gone_.set, gone_.base, gone_.rows};
    if (!is_of_database(*target_->rowset)) return own_definitions_problem(rows, push_);
    if (const Reason reason = own_rows_problem(rows, gone, own_name_, push_)) return reason;
    if (std::find(own_names_.begin(), own_names_.end(), own_name_) == own_names_.end())
        own_names_.push_back(own_name_);
    // All there are, and as many that were dropped or replaced since the last push, or the two
    // before.
    return own_names_.size() > 3 * kMostOwnRowsets ? "too many rowsets of users" : nullptr;
}

PushSink::Reason PushSink::end_rowset() {
    if (target_->rowset->scope == Scope::kOwn) {
        if (const Reason reason = end_own()) return reason;
    }
    // A rowset without keys is whole each time it comes: that says nothing of the others.
    if (full_ && target_->keys > 0) {
        FullRowset full{target_,      own_name_, push_.entries.size() - 1,
                        std::nullopt, complete_, left_out_};
        if (target_->datid != PushTarget::kNone && rows_.rows > 0) {
            const ValueColumn& datid = rows_.set->columns[target_->datid];
            if (!datid.is_null(rows_.base)) {
                full.datid = static_cast<uint32_t>(datid.word(rows_.base));
            }
        }
        push_.fulls.push_back(full);
    }
    const Reason reason = end_part(rows_, target_->fields.size());
    return reason ? reason : end_part(gone_, target_->keys, left_out_ > 0);
}

PushSink::Reason PushSink::begin_column(State state) {
    Part& part = state == State::kColumn ? rows_ : gone_;
    if (current_ == nullptr) return enter(State::kSkip);
    current_->fit(part.base);
    if (part.sized) current_->reserve(part.base + part.rows);
    return enter(state);
}

PushSink::Reason PushSink::end_column() {
    Part& part = state_ == State::kColumn ? rows_ : gone_;
    const size_t count = current_->size() - part.base;
    if (part.sized && part.rows != count) return "columns of one rowset differ in length";
    part.rows = count;
    part.sized = true;
    return nullptr;
}

PushSink::Reason PushSink::open_json(char bracket) {
    if (state_ != State::kJson) {
        if (current_type_ != ColumnType::kJson) return "value of another type expected";
        json_.clear();
    }
    json_comma();
    json_ += bracket;
    return enter(State::kJson);
}

// Between two values or members; what ends a value never is one of these.
void PushSink::json_comma() {
    if (json_.empty()) return;
    const char last = json_.back();
    if (last != '{' && last != '[' && last != ':') json_ += ',';
}

PushSink::Reason PushSink::start_object(const char* behind) {
    if (state_ == State::kJson || takes_value()) return open_json('{');
    switch (state_) {
        case State::kStart:
            return enter(State::kEnvelope);
        case State::kMetrics:
            return begin_entry(behind);
        case State::kEntry:
            if (member_ == Member::kRowset) return begin_rowset(State::kRowset);
            break;
        case State::kRowset:
            if (member_ == Member::kColumns) return enter(State::kColumns);
            if (member_ == Member::kGone) {
                RowSet& set = rows_of(push_.gone, gone_places_);
                gone_ = Part{&set, set.rows, 0, false};
                return enter(State::kGone);
            }
            break;
        case State::kColumns:
        case State::kGone:
            if (current_ != nullptr) return misplaced();
            return enter(State::kSkip);
        case State::kRows:
            next_column_ = 0;
            row_has_value_ = false;
            return enter(State::kRow);
        default:
            break;
    }
    return member_ == Member::kUnknown ? enter(State::kSkip) : misplaced();
}

PushSink::Reason PushSink::start_array() {
    if (state_ == State::kJson || takes_value()) return open_json('[');
    switch (state_) {
        case State::kEnvelope:
            if (member_ == Member::kMetrics) return enter(State::kMetrics);
            break;
        case State::kEntry:
            if (member_ == Member::kRowset) return begin_rowset(State::kRows);
            break;
        case State::kColumns:
            return begin_column(State::kColumn);
        case State::kGone:
            return begin_column(State::kGoneColumn);
        case State::kStart:
        case State::kMetrics:
        case State::kRows:
            return misplaced();
        default:
            break;
    }
    return member_ == Member::kUnknown ? enter(State::kSkip) : misplaced();
}

PushSink::Reason PushSink::end_object() {
    const State ended = state_;
    leave();
    switch (ended) {
        case State::kEntry:
            return end_entry();
        case State::kRowset:
            return end_rowset();
        case State::kRow:
            if (row_has_value_) ++rows_.rows;
            return nullptr;
        case State::kJson:
            json_ += '}';
            return state_ == State::kJson ? nullptr
                                          : value_taken(add_json(*current_, json_, push_));
        default:
            return nullptr;
    }
}

PushSink::Reason PushSink::end_array() {
    Reason reason = nullptr;
    if (state_ == State::kColumn || state_ == State::kGoneColumn) reason = end_column();
    if (state_ == State::kRows) reason = end_rowset();
    const bool was_json = state_ == State::kJson;
    leave();
    if (!was_json) return reason;
    json_ += ']';
    return state_ == State::kJson ? nullptr : value_taken(add_json(*current_, json_, push_));
}

PushSink::Reason PushSink::value_taken(Reason reason) {
    if (state_ == State::kRow && target_ != nullptr && current_ != &rows_.set->row_time) {
        row_has_value_ = true;
    }
    return reason;
}

PushSink::Reason PushSink::string(std::string_view text) {
    if (takes_value()) return value_taken(add_string(*current_, current_type_, text, push_));
    switch (state_) {
        case State::kJson:
            json_comma();
            append_json_string(json_, text);
            return nullptr;
        case State::kEnvelope:
            return envelope_text(text);
        case State::kEntry:
            return entry_text(text);
        case State::kRowset:
            if (member_ != Member::kOwnName) return misplaced();
            own_name_ = text;
            return is_own_name(text) ? nullptr : "name of a user's rowset expected";
        default:
            return misplaced();
    }
}

PushSink::Reason PushSink::number(std::string_view text) {
    if (takes_value()) return value_taken(add_number(*current_, current_type_, text, push_));
    switch (state_) {
        case State::kJson:
            json_comma();
            json_ += text;
            return nullptr;
        case State::kEnvelope:
            return envelope_number(text);
        case State::kEntry:
        case State::kRowset:
            return rowset_number(text);
        default:
            return misplaced();
    }
}

// Of an entry or a rowset.
PushSink::Reason PushSink::rowset_number(std::string_view text) {
    uint64_t value = 0;
    const bool is_unsigned = parse_unsigned(text, value);
    if (is_unsigned && member_ == Member::kDatid && value <= UINT32_MAX) {
        push_.entries.back().datid = static_cast<uint32_t>(value);
    } else if (is_unsigned && member_ == Member::kLeftOut && value <= INT64_MAX) {
        left_out_ = value;
    } else {
        return misplaced();
    }
    return nullptr;
}

PushSink::Reason PushSink::boolean(bool value) {
    if (takes_value()) return value_taken(add_boolean(*current_, current_type_, value, push_));
    if (state_ == State::kJson) {
        json_comma();
        json_ += value ? "true" : "false";
    } else if (state_ == State::kEnvelope && member_ == Member::kInRecovery) {
        push_.envelope.in_recovery = value;
    } else if (state_ == State::kRowset && member_ == Member::kFull) {
        full_ = value;
    } else if (state_ == State::kRowset && member_ == Member::kComplete) {
        complete_ = value;
    } else {
        return misplaced();
    }
    return nullptr;
}

PushSink::Reason PushSink::null() {
    if (takes_value()) {
        current_->add_null();
        return nullptr;
    }
    switch (state_) {
        case State::kJson:
            json_comma();
            json_ += "null";
            return nullptr;
        case State::kEnvelope:
        case State::kEntry:
            // Not there: the same as null for every member.
            return nullptr;
        default:
            return misplaced();
    }
}

// A value (of any kind) where it cannot stand: fine where nobody looks at it.
PushSink::Reason PushSink::misplaced() const {
    switch (state_) {
        case State::kSkip:
            return nullptr;
        case State::kStart:
        case State::kMetrics:
        case State::kRows:
            return "object expected";
        case State::kColumns:
        case State::kGone:
            return current_ == nullptr ? nullptr : "array expected";
        case State::kRow:
            return nullptr;
        default:
            break;
    }
    switch (member_) {
        case Member::kUnknown:
            return nullptr;
        case Member::kMetrics:
            return "array expected";
        case Member::kColumns:
        case Member::kGone:
            return "object expected";
        case Member::kRowset:
            return "object or array expected";
        case Member::kInRecovery:
        case Member::kFull:
        case Member::kComplete:
            return "true or false expected";
        case Member::kSequence:
        case Member::kPart:
        case Member::kParts:
        case Member::kConfigVersion:
        case Member::kMetricsCount:
        case Member::kDatid:
        case Member::kLeftOut:
            return "integer without sign expected";
        default:
            return "string expected";
    }
}

}  // namespace pganalytics::serve

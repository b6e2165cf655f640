// Takes the events of a push's JSON and builds the Push: the state machine behind decode_push().
// Pure. Runs in `pganalytics serve`.
//
//   kStart -> kEnvelope -> kMetrics -> kEntry -> kRowset -> kColumns -> kColumn
//                                                       \-> kGone -> kGoneColumn
//                                            \-> kRows -> kRow
//   anywhere: kSkip (what is not known), kJson (the value of a json column)
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "pganalytics/serve/limits.hpp"
#include "pganalytics/serve/push.hpp"

namespace pganalytics::serve {

class PushSink {
  public:
    using Reason = const char*;

    PushSink(Push& push, const PushTargets& targets) : push_(push), targets_(targets) {}

    // Events (strict_json.hpp).
    Reason start_object(const char* behind);
    Reason end_object();
    Reason start_array();
    Reason end_array();
    Reason key(std::string_view key);
    Reason string(std::string_view text);
    Reason number(std::string_view text);
    Reason boolean(bool value);
    Reason null();

    // Where the events stand: "metrics[3].tables.seq_scan[17]".
    std::string place() const;
    // What only the end shows: missing members, a wrong count.
    Reason finish();

  private:
    enum class State : uint8_t {
        kStart,
        kEnvelope,
        kMetrics,
        kEntry,
        kRowset,
        kColumns,
        kColumn,
        kRows,
        kRow,
        kGone,
        kGoneColumn,
        kJson,
        kSkip,
    };
    // What the member is whose key came last.
    enum class Member : uint8_t {
        kUnknown,
        kCollectorId,
        kHostname,
        kTimestamp,
        kVersion,
        kSystemIdentifier,
        kInRecovery,
        kSnapshotId,
        kIncarnation,
        kSequence,
        kCycle,
        kPart,
        kParts,
        kConfigVersion,
        kMetricsCount,
        kMetrics,
        kType,
        kDatname,
        kDatid,
        kRowset,  // known
        kFull,
        kComplete,
        kLeftOut,
        kOwnName,
        kColumns,
        kGone,
    };
    struct Name {
        std::string_view name;
        Member member;
    };
    static const std::array<Name, 15> kEnvelopeNames;
    // The rows, or the keys gone, of the rowset being read.
    struct Part {
        RowSet* set = nullptr;
        size_t base = 0;     // rows of the set before this segment
        size_t rows = 0;     // of this segment
        bool sized = false;  // a column has said how many
    };

    Reason enter(State state);
    void leave() { state_ = before_[--depth_]; }

    Reason envelope_key(std::string_view key);
    Reason envelope_text(std::string_view text);
    Reason envelope_number(std::string_view text);
    Reason rowset_number(std::string_view text);
    Reason begin_entry(const char* behind);
    Reason end_entry();
    Reason entry_key(std::string_view key);
    Reason entry_text(std::string_view text);
    void rowset_key(std::string_view key);
    void column_key(std::string_view key);
    Reason begin_rowset(State state);
    Reason end_rowset();
    Reason begin_column(State state);
    Reason end_column();
    Reason end_own();
    Reason end_part(Part& part, size_t fields, bool left_out = false);
    Reason open_json(char bracket);
    void json_comma();

    RowSet& rows_of(std::vector<RowSet>& sets, std::vector<size_t>& places);
    bool takes_value() const {
        return state_ == State::kColumn || state_ == State::kGoneColumn ||
               (state_ == State::kRow && current_ != nullptr);
    }
    Reason value_taken(Reason reason);
    Reason misplaced() const;
    void unknown_member(std::string_view key);
    State last_known_state() const;

    Push& push_;
    const PushTargets& targets_;
    State state_ = State::kStart;
    Member member_ = Member::kUnknown;
    std::array<State, kJsonDepth> before_{};
    size_t depth_ = 0;

    // the entry
    std::string_view type_;
    bool type_known_ = false;  // some rowset of it is

    // the rowset
    const PushTarget* target_ = nullptr;
    bool full_ = false;
    bool complete_ = true;
    uint64_t left_out_ = 0;
    std::string_view own_name_;                // of own.rows
    std::vector<std::string_view> own_names_;  // of the push, each once
    Part rows_;
    Part gone_;
    size_t cells_ = 0;
    std::vector<size_t> rowset_places_;  // by target: place in push_.rowsets + 1
    std::vector<size_t> gone_places_;

    // the value
    ValueColumn* current_ = nullptr;  // null: not to be kept
    ColumnType current_type_{};
    size_t column_ = 0;       // in target_->columns
    size_t next_column_ = 0;  // guess for the next key
    bool row_has_value_ = false;
    std::string json_;  // the value of a json column so far
};

// The value of the member "type" of an object whose text behind the brace is `behind` (ends with
// NUL): entries come in any order of members, and a rowset cannot be read before its type is known.
// Empty where there is none, or it is not plain text.
std::string_view find_type(const char* behind);

}  // namespace pganalytics::serve

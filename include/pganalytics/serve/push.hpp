// A push as it was taken apart: its envelope, its rows as typed columns. Pure. Runs in
// `pganalytics serve`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/uuid.hpp"
#include "pganalytics/serve/push_targets.hpp"
#include "pganalytics/serve/unknown_names.hpp"

namespace pganalytics::serve {

// The envelope; strings are views into Push::body.
struct Envelope {
    std::optional<Uuid> collector_id;
    std::optional<int64_t> timestamp;
    std::optional<Uuid> snapshot_id;
    std::optional<Uuid> incarnation;
    std::optional<Uuid> cycle;
    std::string_view hostname;
    std::string_view version;
    std::string_view system_identifier;
    std::optional<bool> in_recovery;
    uint64_t sequence = 0;
    uint64_t part = 1;
    uint64_t parts = 1;
    uint64_t config_version = 0;
    std::optional<uint64_t> metrics_count;
};

// The values of one column. A word is an integer (sign-extended), the bits of a double, a position
// in Push::made (uuid), or position and length (text in Push::body, json in Push::made). A value
// behind the end is null.
class ValueColumn {
  public:
    static constexpr unsigned kLengthBits = 20;

    size_t size() const { return words_.size(); }
    // Exactly `size` values: cut, or filled up with null.
    void fit(size_t size) {
        words_.resize(size);
        nulls_.resize(size, 1);
    }
    void reserve(size_t size) {
        words_.reserve(size);
        nulls_.reserve(size);
    }
    void add(uint64_t word) {
        words_.push_back(word);
        nulls_.push_back(0);
    }
    void add_text(size_t position, size_t length) {
        add((static_cast<uint64_t>(position) << kLengthBits) | length);
    }
    void add_null() {
        words_.push_back(0);
        nulls_.push_back(1);
    }
    bool is_null(size_t row) const { return row >= words_.size() || nulls_[row] != 0; }
    uint64_t word(size_t row) const { return words_[row]; }
    std::string_view text(size_t row, const std::string& base) const {
        return text_at(words_[row], base);
    }
    static std::string_view text_at(uint64_t word, const std::string& base) {
        return std::string_view(base).substr(word >> kLengthBits, length_of(word));
    }
    static size_t length_of(uint64_t word) { return word & ((uint64_t{1} << kLengthBits) - 1); }

    // Of size() values each.
    const uint64_t* words() const { return words_.data(); }
    const uint8_t* nulls() const { return nulls_.data(); }

  private:
    std::vector<uint64_t> words_;
    std::vector<uint8_t> nulls_;
};

// Rows of one entry of `metrics`, within those of its rowset.
struct Segment {
    size_t entry = 0;
    size_t first = 0;
    size_t rows = 0;
    bool left_out = false;  // keys gone, of a rowset with rows left out
};

// All rows of one rowset (or of the keys gone of it) in a push.
struct RowSet {
    const PushTarget* target = nullptr;
    std::vector<ValueColumn> columns;  // as target->columns
    ValueColumn row_time;              // rowsets whose rows have a time of their own
    std::vector<Segment> segments;
    size_t rows = 0;
};

struct Entry {
    std::optional<int64_t> timestamp;
    std::string_view datname;  // data() null: not there
    std::optional<uint32_t> datid;
};

// A rowset that says it is full.
struct FullRowset {
    const PushTarget* target = nullptr;
    std::string_view own;  // of own.rows: which of the users'
    size_t entry = 0;
    std::optional<uint32_t> datid;
    bool complete = true;
    uint64_t left_out = 0;  // rows
};

struct Push {
    std::string body;  // JSON, unescaped in place; views point into it
    std::string made;  // values that had to be made: uuids, json
    Envelope envelope;
    std::vector<Entry> entries;
    std::vector<RowSet> rowsets;
    std::vector<RowSet> gone;  // key columns only
    std::vector<FullRowset> fulls;
    UnknownNames unknown;
};

}  // namespace pganalytics::serve

// The rows of a push as frames for the hub worker, made one by one so that a large push never lies
// in memory twice. Pure. Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/serve/copy_encoder.hpp"
#include "pganalytics/serve/push.hpp"

namespace pganalytics::serve {

// When rows are taken as what they say they are. Microseconds since 1970.
struct RowWindow {
    int64_t now = 0;
    int64_t oldest = 0;  // earlier: counted, not stored
    int64_t newest = 0;  // later: stored with the hub's time, and counted
};
RowWindow row_window(int64_t now, int64_t retention_seconds);

class PushFrames {
  public:
    // `targets` are those the push was decoded with.
    PushFrames(Push push, std::shared_ptr<const PushTargets> targets, const Uuid& collector_id,
               uint64_t number, const RowWindow& window);

    // A reason (fixed text) why these rows can't be passed on; null: they can.
    const char* refusal() const;

    // Rows of rowsets that next() leaves out, and those it gives the hub's time.
    uint64_t too_old() const { return too_old_; }
    uint64_t future() const { return future_; }
    // No less than the bytes of all frames.
    size_t bytes_at_most() const { return bytes_at_most_; }

    // The next PushRows frame; empty: that was all.
    std::optional<std::string> next();
    // Rows in the frames made so far.
    uint64_t rows() const { return rows_; }

    const Push& push() const { return push_; }

  private:
    struct Cursor {
        size_t set = 0;
        size_t segment = 0;
        size_t row = 0;
    };
    // How a field of a row is made, looked up once for a set.
    struct FieldPlan {
        TargetField::Source source{};
        ColumnType type{};
        size_t size = 0;
        const uint64_t* words = nullptr;
        const uint8_t* nulls = nullptr;
    };
    void plan_fields(const RowSet& set);
    void sort_out_times();
    std::optional<int64_t> row_time(const RowSet& set, const Segment& segment, size_t row) const;
    std::optional<int64_t> accepted(int64_t time) const;
    template <class EncodeRow>
    std::optional<std::string> next_of(const std::vector<RowSet>& sets, Cursor& cursor,
                                       const PushTarget* own, EncodeRow encode_row);
    std::optional<std::string> next_fulls();
    void encode_row(const RowSet& set, const Segment& segment, size_t row, int64_t time);
    void encode_gone(const RowSet& set, const Segment& segment, size_t row, int64_t time);
    void encode_full(const FullRowset& full, int64_t time);
    void encode_value(ColumnType type, uint64_t word);
    bool take_row(size_t before, size_t& count);
    std::string frame(uint16_t rowset, size_t count);

    Push push_;
    std::shared_ptr<const PushTargets> targets_;
    Uuid collector_id_;
    uint64_t number_;
    RowWindow window_;
    std::vector<std::optional<int64_t>> entry_times_;  // empty: too old
    uint64_t too_old_ = 0;
    uint64_t future_ = 0;
    uint64_t rows_ = 0;
    size_t bytes_at_most_ = 0;
    Cursor rows_at_;
    Cursor gone_at_;
    size_t full_at_ = 0;
    const RowSet* planned_ = nullptr;
    std::vector<FieldPlan> plan_;
    CopyEncoder encoder_;
    std::string json_;
};

}  // namespace pganalytics::serve

// Rowsets that come in slices, cycle by cycle (core/slice_rounds.hpp): their rows until the last
// slice is there. Then they are a reading like any other. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/sparse_filter.hpp"

namespace pganalytics::ship {

class SlicedRowsets {
  public:
    struct Round {
        std::deque<std::string> rows;  // as they came
        uint64_t count = 0;
        uint64_t left_out = 0;
        uint16_t slices = 0;
        bool whole = true;  // nothing of it was lost
    };
    enum class End : uint8_t {
        kGood,
        kFailed,  // it will come again
        kLost,    // in part, and it will not
    };

    // The first one makes a new round; one that does not follow the one before it ends up in a
    // round that is not whole.
    void begin(RowsetGroup group, uint16_t slice);
    // Rows of the slice begun last; beyond `limit` bytes, of all rounds, they are lost.
    void add(std::string_view rows, uint64_t count, size_t limit);
    void end(End end, uint64_t left_out);
    // Ends the round of the slice begun last.
    Round take();

    void keep_databases(std::span<const uint32_t> datids);
    size_t bytes() const;

  private:
    std::map<RowsetGroup, Round> rounds_;
    // of the slice begun last
    RowsetGroup group_;
    size_t pieces_before_ = 0;
    uint64_t count_before_ = 0;
};

}  // namespace pganalytics::ship

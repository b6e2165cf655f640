// Rowsets in slices (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/sliced_rowsets.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::ship {

void SlicedRowsets::begin(RowsetGroup group, uint16_t slice) {
    group_ = group;
    Round& round = rounds_[group];
    if (slice == 1) round = Round{};
    round.whole = round.whole && slice == round.slices + 1;
    round.slices = slice;
    pieces_before_ = round.rows.size();
    count_before_ = round.count;
}

void SlicedRowsets::add(std::string_view rows, uint64_t count, size_t limit) {
    Round& round = rounds_[group_];
    round.whole = round.whole && bytes() + rows.size() <= limit;
    if (!round.whole) return;
    round.rows.emplace_back(rows);
    round.count += count;
}

void SlicedRowsets::end(End end, uint64_t left_out) {
    Round& round = rounds_[group_];
    if (end == End::kFailed) {
        round.rows.resize(std::min(round.rows.size(), pieces_before_));
        round.count = count_before_;
        --round.slices;
        return;
    }
    round.whole = round.whole && end == End::kGood;
    round.left_out += left_out;
    if (!round.whole) round.rows = {};
}

SlicedRowsets::Round SlicedRowsets::take() {
    Round round = std::move(rounds_[group_]);
    rounds_.erase(group_);
    return round;
}

void SlicedRowsets::keep_databases(std::span<const uint32_t> datids) {
    std::erase_if(rounds_, [&](const auto& entry) {
        return std::find(datids.begin(), datids.end(), entry.first.datid) == datids.end();
    });
}

size_t SlicedRowsets::bytes() const {
    size_t sum = 0;
    for (const auto& [group, round] : rounds_)
        for (const std::string& piece : round.rows) sum += piece.size();
    return sum;
}

}  // namespace pganalytics::ship

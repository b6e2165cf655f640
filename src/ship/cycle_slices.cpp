// A cycle's part in rowsets that come in slices (sliced_rowsets.hpp). Runs in `pganalytics ship`.
#include <utility>

#include "pganalytics/host/relation_sizes.hpp"
#include "pganalytics/ship/cycle.hpp"

namespace pganalytics::ship {

void Cycle::keep_slice(std::string_view rows) {
    RowReader reader(rows);
    uint64_t count = 0;
    for (std::string_view body; reader.next(body);) ++count;
    received_ += count;
    malformed_ = !reader.ok();
    slices_.add(rows, count, reading_limit_);
}

void Cycle::end_slice(const RowsetEnd& end, RowsetReport report) {
    slicing_ = false;
    using End = SlicedRowsets::End;
    const bool failed = !end.sqlstate.empty();
    const bool lost = malformed_ || received_ != end.rows;
    slices_.end(failed ? End::kFailed : lost ? End::kLost : End::kGood, end.left_out);
    if (!failed && end.last == 0) return end_round(end, std::move(report));
    report.rowset = std::exchange(shape_, nullptr)->rowset;
    report.datid = begin_.datid;
    report.datname = begin_.datname;
    report.slice = begin_.slice;
    reports_.push_back(std::move(report));
}

// All slices together are a reading like any other.
void Cycle::end_round(const RowsetEnd& end, RowsetReport report) {
    SlicedRowsets::Round round = slices_.take();
    const RowsetShape& shape = *shape_;
    keeps_ = host::has_file_sizes(*shape.rowset);
    start(shape, std::move(begin_));
    for (; !round.rows.empty(); round.rows.pop_front()) static_cast<void>(rows(round.rows.front()));
    report.rows = round.count;
    report.left_out = round.left_out;
    if (!round.whole && report.error.empty()) report.error = "rows were lost on their way";
    finish(end.complete && round.whole, std::move(report));
}

}  // namespace pganalytics::ship

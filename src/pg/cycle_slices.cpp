// A cycle's part in rowsets that are read in slices (core/slice_rounds.hpp): one slice has the turn
// of its rowset. Runs in the collector.
#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

// A preview keeps nothing, so it shows what one reading gives.
void Cycle::order_slices(const PlannedVisit& planned, VisitOrder& order) const {
    if (dry_) return;
    for (const uint16_t number : planned.rowsets) {
        if (const auto slice = slices_.next(planned.oid, number)) order.slices.push_back(*slice);
    }
}

void Cycle::on_slice_read(const OpenRowset& open, const RowsetEnd& end) {
    if (dry_ || in_changes_) return;
    if (end.sqlstate == sqlstate_text(ERRCODE_QUERY_CANCELED)) {
        on_too_long(open.number);
    } else if (end.sqlstate.empty() && open.slice != 0) {
        const int64_t limit_ms = std::min(settings().statement_timeout, settings().visit_timeout);
        slices_.read(visited_, open.number, end.rows, end.last,
                     static_cast<int64_t>(end.elapsed_us), limit_ms * 1000);
    }
}

void Cycle::on_too_long(uint16_t rowset) {
    if (dry_ || rowset >= catalog().size() || !is_sliceable(catalog()[rowset], kServerMajor))
        return;
    slices_.too_long(visited_, rowset);
}

}  // namespace pganalytics::pg

// What was left out of rowsets (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/left_outs.hpp"

#include <algorithm>

#include "pganalytics/core/catalog.hpp"

namespace pganalytics::ship {

void LeftOuts::take(std::span<const RowsetReport> reports, std::span<const uint32_t> databases) {
    for (const RowsetReport& report : reports) {
        if (!report.complete || report.partial) continue;
        const RowsetGroup group{rowset_number(*report.rowset), report.datid};
        if (report.left_out > 0) {
            groups_[group] = {report.datname, report.left_out, report.sums};
        } else {
            groups_.erase(group);
        }
    }
    std::erase_if(groups_, [&](const auto& entry) {
        const uint32_t datid = entry.first.datid;
        return datid != 0 &&
               std::find(databases.begin(), databases.end(), datid) == databases.end();
    });
}

void LeftOuts::put_rows(RowBuilder& out) const {
    for (const auto& [group, left_out] : groups_) {
        const Rowset& rowset = catalog()[group.rowset];
        out.begin();
        out.text(std::string(rowset.plugin) + "." + std::string(rowset.name));
        out.number(group.datid);
        if (left_out.datname.empty()) {
            out.null();
        } else {
            out.text(left_out.datname);
        }
        out.integer(static_cast<int64_t>(left_out.rows));
        out.text(left_out.sums);
        out.end();
    }
}

}  // namespace pganalytics::ship

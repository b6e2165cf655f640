// What was left out of rowsets that had more rows than pganalytics.max_rows, by their last reading:
// the rows of pganalytics.left_out. Runs in `pganalytics ship`.
#pragma once

#include <map>
#include <span>
#include <string>

#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/ship/cycle.hpp"

namespace pganalytics::ship {

class LeftOuts {
  public:
    // The readings of a cycle, and the databases there are. What could not be read, or was read in
    // part, is as it was.
    void take(std::span<const RowsetReport> reports, std::span<const uint32_t> databases);

    void put_rows(RowBuilder& out) const;

  private:
    struct LeftOut {
        std::string datname;
        uint64_t rows = 0;
        std::string sums;
    };
    std::map<RowsetGroup, LeftOut> groups_;
};

}  // namespace pganalytics::ship

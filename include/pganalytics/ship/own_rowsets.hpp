// The collector about itself, as rows of the plugin pganalytics. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/ship/cycle.hpp"
#include "pganalytics/ship/left_outs.hpp"
#include "pganalytics/ship/status_report.hpp"

namespace pganalytics::ship {

// Of one rowset, all databases together, since the program's start.
struct RowsetFigures {
    uint64_t readings = 0;
    uint64_t incomplete = 0;
    uint64_t errors = 0;
    uint64_t rows = 0;
    uint64_t sent = 0;
    uint64_t elapsed_us = 0;
    uint64_t cpu_us = 0;
    int64_t last_error_at = 0;
    std::string last_error;
};

// What rowsets cost, by their number.
class RowsetCosts {
  public:
    void count(std::span<const RowsetReport> reports, bool sent, int64_t time);
    const std::map<uint16_t, RowsetFigures>& figures() const { return figures_; }

  private:
    std::map<uint16_t, RowsetFigures> figures_;
};

struct OwnSource {
    const StatusSource& status;
    const WorkerCounts& worker;
    const RowsetCosts& costs;
    const LeftOuts& left_outs;
    int64_t started_at = 0;  // of the program
};

// Appends the rows of one of kProgram's rowsets, all columns in order.
Status read_own_rowset(const Rowset& rowset, const OwnSource& source, RowBuilder& out);

}  // namespace pganalytics::ship

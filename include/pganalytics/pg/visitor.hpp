// The worker "pganalytics visitor": connects to one database, reads the rowsets of its order
// through SPI, hands them over as ready frames, ends. Started by the collector, one at a time,
// never again.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// The worker's main; `segment` is a dsm_handle laid out as in visit_order.hpp.
[[noreturn]] void run_visitor(Datum segment);

}  // namespace pganalytics::pg

// A pass over the server's shared statistics (15 to 18): which rowsets it can fill, and the walk
// itself. Runs in the collector.
#pragma once

#include <memory>
#include <span>

#include "pganalytics/core/counter_pass.hpp"
#include "pganalytics/pg/guard.hpp"

namespace pganalytics::pg {

// One that nothing is known to; on servers without such statistics one that covers nothing.
CounterPass make_counter_pass();

// meet() for each entry there is. False: `error` says why; what was met is then worth nothing.
bool walk_statistics(CounterPass& pass, FlatError& error);

// The counters of single objects, each as of its own moment (CounterLookup).
bool look_up_statistics(StatisticsKind kind, uint32_t datid, std::span<const uint32_t> oids,
                        CounterCopy* copies, FlatError& error);

}  // namespace pganalytics::pg

// A pass over the server's shared statistics (15 to 18): which rowsets it can fill, and the walk
// itself. Runs in the collector.
#pragma once

#include <memory>

#include "pganalytics/core/counter_pass.hpp"
#include "pganalytics/pg/guard.hpp"

namespace pganalytics::pg {

// One that nothing is known to; on servers without such statistics one that covers nothing.
CounterPass make_counter_pass();

// meet() for each entry there is. False: `error` says why; what was met is then worth nothing.
bool walk_statistics(CounterPass& pass, FlatError& error);

}  // namespace pganalytics::pg

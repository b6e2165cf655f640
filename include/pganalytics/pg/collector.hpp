// The worker "pganalytics collector": plans cycles, starts visitors, passes what they read on to
// `pganalytics ship`, answers SQL functions. Connected to no database.
#pragma once

namespace pganalytics::pg {

// The worker's main.
[[noreturn]] void run_collector();

}  // namespace pganalytics::pg

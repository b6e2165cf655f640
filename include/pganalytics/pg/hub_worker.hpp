// The worker "pganalytics hub", connected to pganalytics.hub_database: supervises `pganalytics
// serve` and `pganalytics keys`, stores what the front lets in, keeps the tables.
//
//   no extension --found--> files (keys looks at them) --> tables --> serving
//   serving --front listens--> ready        any --extension dropped--> no extension, front stopped
#pragma once

namespace pganalytics::pg {

// The worker's main.
[[noreturn]] void run_hub();

}  // namespace pganalytics::pg

// Enrolment of a server's collector with its own hub, through the mailbox in shared memory
// (hub_shared.hpp): the collector asks, the hub worker answers with a token. Collector's side.
#pragma once

#include <optional>

#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics::pg {

// Puts the question and wakes the hub worker; asking again is harmless.
void ask_own_hub();

// The answer, once it is there; the mailbox is zeroed. A refusal is logged.
std::optional<SelfEnrol> take_own_hubs_answer();

}  // namespace pganalytics::pg

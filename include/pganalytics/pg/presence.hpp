// Whether a rowset can have rows now, seen without a query: planning and starting one costs a
// hundred times what a look at the server's memory does, and most of what these rowsets tell of is
// not there most of the time. Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"

namespace pganalytics::pg {

// False: its query would have no rows, asked in this moment. True where it can't be told. In a
// transaction with an active snapshot; may raise ERROR.
bool may_have_rows(Presence presence);

}  // namespace pganalytics::pg

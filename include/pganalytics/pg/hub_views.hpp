// The views for people, made over the tables of rowsets. Runs in the hub worker.
#pragma once

#include "pganalytics/pg/hub_tables.hpp"

namespace pganalytics::pg {

// Makes or renews them, and first the tables they read. Each in a transaction of its own; what is
// there stays as it is where it cannot be renewed now.
[[nodiscard]] bool make_views(HubTables& tables, FlatError& error);

}  // namespace pganalytics::pg

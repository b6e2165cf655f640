// Reads pg_query_stats.statements without a query: the function of pg_stat_statements is called by
// itself and its rows are taken as they are, which is half of what the catalog's SELECT costs. Only
// where there is nothing to rank or sum up. The rows are those of that SELECT. Runs in visitors.
#pragma once

#include <span>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/installed_extension.hpp"

namespace pganalytics::pg {

// Whether `rowset`, of an extension found at `version`, can be read this way now, `max_rows` being
// the most that is kept of it. In a transaction; may raise ERROR.
bool can_scan_statements(const Rowset& rowset, const FoundExtension& found, int version,
                         uint64_t max_rows);

// False: it is made in a way that is not known here; nothing was read. In a transaction with an
// active snapshot; may raise ERROR.
bool scan_statements(const FoundExtension& found, std::span<const Column* const> columns,
                     DestReceiver* receiver);

}  // namespace pganalytics::pg

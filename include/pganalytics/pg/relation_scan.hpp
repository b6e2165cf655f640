// Reads pg_stats.tables, .indexes and .relations without a query: a pass over pg_class, counters
// straight from the shared statistics (compat_relation_counters.hpp). The rows are those of the
// catalog's SELECT, at a third of its cost where there are many relations. Runs in visitors.
#pragma once

#include <span>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/pg/relation_fields.hpp"

namespace pganalytics::pg {

struct RelationScan {
    int columns = 0;  // 0: it has to be read by SQL
    const char* kinds = nullptr;
    bool only_indexes = false;  // rows without one in pg_index are none
    unsigned needs = 0;         // of all fields
    RelationField fields[kMaxColumns];
};

// `columns` are those of this server. A column that is not known here leaves the rowset to SQL.
RelationScan relation_scan(const Rowset& rowset, std::span<const Column* const> columns);

struct RelationTarget {
    const RelationScan* scan;
    DestReceiver* receiver;
};

inline constexpr size_t kMaxRelationTargets = 2;

// Fills all targets in one pass; kMaxRelationTargets at most. In a transaction with an active
// snapshot. Raises ERROR.
void run_relation_scan(std::span<const RelationTarget> targets);

}  // namespace pganalytics::pg

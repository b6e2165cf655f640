// Reads pg_stats.tables and pg_stats.indexes without a query: one pass over pg_class, counters
// straight from the shared statistics (compat_relation_counters.hpp). The rows are those of the
// catalog's SELECT, at a third of its cost where there are many relations. Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// Where a column's value is taken from.
struct RelationField {
    enum class Source : uint8_t { kDatabase, kRelation, kTable, kSchema, kName, kCounter };
    Source source = Source::kDatabase;
    Oid type = InvalidOid;  // of the value
    size_t offset = 0;      // of a counter, in RelationCounters
};

struct RelationScan {
    int columns = 0;  // 0: it has to be read by SQL
    const char* kinds = nullptr;
    bool indexes = false;
    RelationField fields[kMaxColumns];
};

// `columns` are those of this server. A column that is not known here leaves the rowset to SQL.
RelationScan relation_scan(const Rowset& rowset, std::span<const Column* const> columns);

// In a transaction with an active snapshot. Raises ERROR.
void run_relation_scan(const RelationScan& scan, DestReceiver* receiver);

}  // namespace pganalytics::pg

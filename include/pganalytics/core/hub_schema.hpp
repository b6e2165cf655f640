// The tables of rowsets at the hub, as SQL text made from the catalog: parent, new columns, day
// partitions. Pure; the hub worker runs the text (src/pg/hub_tables.cpp).
//
// A partition is made by CREATE TABLE (LIKE ...) and ATTACH: that takes SHARE UPDATE EXCLUSIVE on
// the parent and never waits for a reader or a writer, where PARTITION OF takes ACCESS EXCLUSIVE.
// There is never a default partition, which each ATTACH would have to lock and read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/catalog.hpp"

namespace pganalytics {

struct HubColumn {
    std::string_view name;
    ColumnType type;
};

// The columns of a rowset's table as it is made now: time, collector_id, for database scope datid
// and datname, then the catalog's.
std::vector<HubColumn> hub_columns(const Rowset& rowset);

std::string quote_identifier(std::string_view name);
// '...' with quotes doubled; for text without backslashes (standard_conforming_strings).
std::string quote_literal(std::string_view text);

// pganalytics."pg_stats_tables"
std::string qualified_table(std::string_view table);

// The parent, its index, its grant. The index begins with what every reader asks for:
// collector_id, datid where there is one, then time; for the hub's own rowsets their keys between.
std::string create_table_sql(const Rowset& rowset);

std::string add_column_sql(const Rowset& rowset, const HubColumn& column);

// "pg_stats_tables_20260220", for a day since 1970-01-01; where that name is taken (by a partition
// that somebody detached to keep it, say) the `number`th: "pg_stats_tables_20260220_2".
inline constexpr int kPartitionNames = 99;
std::string partition_name(const Rowset& rowset, int32_t day, int number = 1);
std::string create_partition_sql(const Rowset& rowset, int32_t day, int number = 1);

// "2026-02-20 00:00:00+00"
std::string day_text(int32_t day);

}  // namespace pganalytics

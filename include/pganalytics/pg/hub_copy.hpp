// Rows into a rowset's table, those of many pushes at once: straight into its partitions where they
// are as the hub makes them (hub_insert.hpp), the others by binary COPY fed by a callback. Runs in
// the hub worker, inside a transaction of the hub.
//
// Neither way checks privileges or row security, so the target is checked here.
#pragma once

#include <string_view>

#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

// Plain data: lives across calls that raise ERROR. What it points to stays the caller's.
struct CopyInput {
    Oid table = InvalidOid;
    const std::string* columns = nullptr;  // in the order of the rows' fields
    size_t column_count = 0;
    const std::string_view* chunks = nullptr;  // whole rows each, walked by walk_copy_rows()
    size_t chunk_count = 0;
    uint64_t rows = 0;  // in all chunks
};

// Stores them all or raises ERROR; also where `table` is not a table that the hub made in this
// place, or where COPY took another number of rows.
void copy_into(const HubPlace& place, const CopyInput& input);

}  // namespace pganalytics::pg

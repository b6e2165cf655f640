// Rows straight into the partitions of a rowset's table, by the interface COPY itself stores
// through: whole pages at a time, then the entries of each index. It leaves out what a table the
// hub made has no need of (receive functions, defaults, constraints, triggers), which was a fifth
// of what storing cost; rows for anything else (see is_plain() in the source) are left to COPY.
// Runs in the hub worker, inside a transaction of the hub.
#pragma once

#include "pganalytics/pg/hub_copy.hpp"

namespace pganalytics::pg {

// Stores rows of `input` (walked before: what they announce is there) and returns how many; `rest`
// becomes the others, in the current memory context. Raises ERROR as COPY would. `table` is
// input.table, open and checked; each partition touched stays locked to the transaction's end.
uint64_t insert_plain(Relation table, const CopyInput& input, CopyInput& rest);

}  // namespace pganalytics::pg

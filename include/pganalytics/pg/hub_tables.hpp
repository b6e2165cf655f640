// The tables of rowsets: what exists, and the making of what is missing: parent, columns, day
// partitions. All DDL gives up a lock after 100 ms and is tried again later, each piece in a
// transaction of its own. Runs in the hub worker.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

struct RowsetTable {
    Oid oid = InvalidOid;              // invalid: not made yet
    std::vector<std::string> columns;  // in the table's order, those the catalog knows
    std::vector<int32_t> days;         // that have a partition, ascending
};

class HubTables {
  public:
    // Reads what there is, for every rowset of the catalog.
    [[nodiscard]] bool load(FlatError& error) noexcept;

    const RowsetTable& of(uint16_t rowset) const { return tables_[rowset]; }
    size_t count() const { return tables_.size(); }

    // What the front is told. Of a table not made yet: the columns it will have.
    std::vector<ServeTarget> targets() const;

    // Makes the table where it is missing, and partitions for `days`.
    [[nodiscard]] bool prepare(uint16_t rowset, std::span<const int32_t> days, FlatError& error);

    // Adds columns the catalog has and the tables lack; `changed`: some were added.
    [[nodiscard]] bool add_columns(bool& changed, FlatError& error);

    // Partitions of every table there is for these days.
    [[nodiscard]] bool prepare_days(std::span<const int32_t> days, FlatError& error);

  private:
    static bool read_columns(std::vector<RowsetTable>& tables, FlatError& error);
    static bool read_days(std::vector<RowsetTable>& tables, FlatError& error);
    bool make_table(const Rowset& rowset, FlatError& error);
    bool make_partition(const Rowset& rowset, int32_t day, FlatError& error);
    bool try_partition(const Rowset& rowset, int32_t day, int number, bool& taken,
                       FlatError& error);
    std::vector<RowsetTable> tables_;
};

}  // namespace pganalytics::pg

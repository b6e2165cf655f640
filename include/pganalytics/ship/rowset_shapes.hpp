// The rowsets as this server delivers them: columns, types and keys by rowset number. Runs in
// `pganalytics ship`.
#pragma once

#include <cstdint>
#include <vector>

#include "pganalytics/core/catalog.hpp"

namespace pganalytics::ship {

struct RowsetShape {
    const Rowset* rowset = nullptr;
    uint16_t number = 0;
    std::vector<const Column*> columns;
    std::vector<ColumnType> types;
    size_t keys = 0;

    std::span<const ColumnType> key_types() const { return std::span(types).first(keys); }
};

class RowsetShapes {
  public:
    explicit RowsetShapes(int server_major);

    // Null where this server has no such rowset.
    const RowsetShape* find(uint16_t number) const;
    int server_major() const { return server_major_; }

  private:
    int server_major_;
    std::vector<RowsetShape> shapes_;
};

}  // namespace pganalytics::ship

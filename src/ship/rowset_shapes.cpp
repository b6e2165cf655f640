// Rowsets as this server delivers them (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/rowset_shapes.hpp"

namespace pganalytics::ship {

RowsetShapes::RowsetShapes(int server_major) : server_major_(server_major) {
    for (const Rowset& rowset : catalog()) {
        RowsetShape shape;
        shape.rowset = &rowset;
        shape.number = rowset_number(rowset);
        if (rowset.scope != Scope::kExternal && rowset.scope != Scope::kHub)
            shape.columns = columns_for(rowset, server_major);
        shape.types = types_of(shape.columns);
        shape.keys = key_count(shape.columns);
        shapes_.push_back(std::move(shape));
    }
}

const RowsetShape* RowsetShapes::find(uint16_t number) const {
    if (number >= shapes_.size() || shapes_[number].columns.empty()) return nullptr;
    return &shapes_[number];
}

}  // namespace pganalytics::ship

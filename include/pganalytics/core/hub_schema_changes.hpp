// What became of databases, tablespaces, roles and of the objects of schemas (pg_schema), told from
// the rows the hub keeps of them: the function and the view over the tables of these rowsets, as
// SQL text. Pure; the hub worker makes them with the other views (src/pg/hub_views.cpp).
//
// Of an object there is a row whenever it was read changed, and one in each full rowset. So an
// object whose digest is another than in its row before was changed; one that a complete full
// rowset before its first row has not was created; one that was named gone, or that the next
// complete full rowset has not, was dropped. What came before the first complete full rowset is not
// known. When: at the reading that saw it; it happened since the reading before (pg_schema's
// period).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace pganalytics {

// Tables of rowsets it reads, all.
std::span<const std::string_view> schema_change_tables();

// Statements separated by semicolons.
std::string create_schema_changes_sql();

}  // namespace pganalytics

// The views for people (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_views.hpp"

#include "pganalytics/core/hub_schema_changes.hpp"
#include "pganalytics/core/hub_views.hpp"
#include "pganalytics/pg/hub_sql.hpp"

namespace pganalytics::pg {

namespace {

const Rowset* rowset_of(std::string_view table) {
    for (const Rowset& rowset : catalog()) {
        if (hub_table(rowset) == table) return &rowset;
    }
    return nullptr;
}

bool run_ddl(const std::string& sql, FlatError& error) {
    return run_in_hub(
        kDdlLimits, [&](const HubPlace&) { run_sql(sql.c_str()); }, error);
}

bool prepare(HubTables& tables, std::span<const std::string_view> names, FlatError& error) {
    for (const std::string_view name : names) {
        const Rowset* rowset = rowset_of(name);
        if (rowset != nullptr && !tables.prepare(rowset_number(*rowset), {}, error)) return false;
    }
    return true;
}

bool make_view(const HubView& view, std::span<const std::string> columns, FlatError& error) {
    const std::string sql = create_view_sql(view, columns);
    if (run_ddl(sql, error)) return true;
    if (error.code != ERRCODE_INVALID_TABLE_DEFINITION) return false;
    // Columns moved. A view of somebody's that reads it keeps it as it is.
    return run_ddl(drop_view_sql(view) + ";\n" + sql, error);
}

}  // namespace

bool make_views(HubTables& tables, FlatError& error) {
    for (const HubView& view : hub_views()) {
        if (!prepare(tables, view.reads, error)) return false;
        const uint16_t own = rowset_number(*rowset_of(view.table));
        if (!run_ddl(create_state_function_sql(view), error) ||
            !make_view(view, tables.of(own).columns, error))
            return false;
    }
    return prepare(tables, schema_change_tables(), error) &&
           run_ddl(create_schema_changes_sql(), error);
}

}  // namespace pganalytics::pg

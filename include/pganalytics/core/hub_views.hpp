// The views for people over the tables of rowsets, as SQL text. Pure; the hub worker makes them
// (src/pg/hub_views.cpp), because the tables they read are no members of the extension.
//
// A row that did not change is not sent again. So the state of a rowset at a time is: of each key
// the latest row since the last complete full one, less the keys named gone since. A function of
// each rowset reads that state for one collector (PL/pgSQL: planned with the values at hand, so
// that days that do not matter are left out, and without JIT, whose estimate of such queries is far
// off); the view calls it for every collector. The search for the full one goes back 25 hours, as a
// full one comes each day at the latest.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pganalytics {

struct HubView {
    std::string_view name;      // "current_tables"
    std::string_view function;  // "tables_at"
    std::string_view table;     // whose state it shows
    std::string_view rowset;    // as pganalytics.fulls and .gone name it
    std::string_view key;       // beside datid where the rows are of a database
    bool of_database;
    std::span<const std::string_view> reads;  // tables of rowsets, all
};

// In the order in which they are to be made.
std::span<const HubView> hub_views();

// Statements separated by semicolons. `columns` are those of the view's own table, in its order.
std::string create_state_function_sql(const HubView& view);
std::string create_view_sql(const HubView& view, std::span<const std::string> columns);
// For when columns moved, which CREATE OR REPLACE refuses.
std::string drop_view_sql(const HubView& view);

}  // namespace pganalytics

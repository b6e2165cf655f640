// The views for people over the tables of rowsets, as SQL text. Pure; the hub worker makes them
// (src/pg/hub_views.cpp), because the tables they read are no members of the extension.
//
// A row that did not change is not sent again. So the state of a rowset is: of each key the latest
// row since the last complete full one, less the keys named gone since. The search for that full
// one goes back 25 hours from the collector's last push (a full one comes each day at the latest).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pganalytics {

struct HubView {
    std::string_view name;                    // "current_tables"
    std::span<const std::string_view> reads;  // tables of rowsets, its own first
};

// In the order in which they are to be made.
std::span<const HubView> hub_views();

// `columns` are those of the view's own table, in its order. Statements separated by semicolons.
std::string create_view_sql(const HubView& view, std::span<const std::string> columns);
// For when columns moved, which CREATE OR REPLACE refuses.
std::string drop_view_sql(const HubView& view);

}  // namespace pganalytics

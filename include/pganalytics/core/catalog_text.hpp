// The catalog as text for people and tools: reference documentation, SQL, JSON. Used by
// `pganalytics catalog` and by tests; never in the server.
#pragma once

#include <string>

namespace pganalytics {

// A line for each rowset.
std::string catalog_list();

// docs/metrics.md, whole.
std::string catalog_markdown();

// Each rowset's query on a server of `major`, after a comment with its name, ended by a semicolon.
std::string catalog_sql(int major);

// An array of {"plugin", "name", "scope", "period_seconds", "hub_table", "sql", "columns"}, each
// column {"name", "type", "kind", "unit", "help"}, as a server of `major` delivers them.
std::string catalog_json(int major);

}  // namespace pganalytics

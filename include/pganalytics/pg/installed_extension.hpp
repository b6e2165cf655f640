// What a database knows of an extension whose rowsets the catalog has. Runs in visitors.
#pragma once

#include <string>
#include <string_view>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/row_encoder.hpp"

namespace pganalytics::pg {

// A query for one row: schema, quoted where it needs it, and version. No row where the extension is
// not there or its library is not loaded.
std::string installed_query(std::string_view extension);
RowShape installed_shape();
// From the rows of that query; version 0: none.
InstalledExtension installed_from(const RowEncoder& encoder);

}  // namespace pganalytics::pg

// The rowset pg_stats.file_sizes: a visitor delivers which file each relation has, the program
// puts the sizes of the files in the columns that the visitor left null. Runs in `pganalytics
// ship`.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics::host {

bool has_file_sizes(const Rowset& rowset);
uint16_t file_sizes_rowset();  // its number
// Where rows of this one change, files may.
bool changes_file_sizes(const Rowset& rowset);

enum class AbsentFiles : uint8_t {
    kNull,     // null sizes
    kLeftOut,  // no row
};

// `rows` as they came, of `columns`; the same with sizes are appended to `out`. `absent` is
// what becomes of those whose file is not there (any more). An Error where rows make no sense; a
// folder that can't be read costs its sizes and is the Error too, after all rows.
Status fill_file_sizes(std::string_view rows, std::span<const Column* const> columns,
                       const std::string& data_directory, AbsentFiles absent, RowBuilder& out);

}  // namespace pganalytics::host

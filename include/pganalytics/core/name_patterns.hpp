// Lists of names as settings write them: `app*, "Sales 2024", tmp_?`. Names follow the rules of SQL
// identifiers (folded to lower case unless in double quotes, a doubled quote is a quote); `*`
// stands for any characters and `?` for one, in quotes too. Runs in every process of the server and
// in `ship`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"

namespace pganalytics {

inline constexpr size_t kMaxPatterns = 1000;

// An empty text is an empty list.
Result<std::vector<std::string>> parse_name_patterns(std::string_view text);

// `*` and `?` in `pattern` are wild; `?` is one character where both are UTF-8, else one byte.
bool matches_pattern(std::string_view name, std::string_view pattern);
bool matches_any(std::string_view name, const std::vector<std::string>& patterns);

// `*`, `name`, `-name`, separated by commas; names are [a-z0-9_]+. The last word about a name wins;
// a list that starts with an exception starts from everything.
Result<std::vector<std::string>> parse_selection(std::string_view text);
bool is_selected(std::string_view name, const std::vector<std::string>& selection);

}  // namespace pganalytics

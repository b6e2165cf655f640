// An errno as an Error: what was tried, the path, the system's reason. Runs in the program.
#pragma once

#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

// "could not open file "/x": Permission denied", with a hint where there is one that helps.
Error system_error(std::string_view action, const std::string& path, int code);

}  // namespace pganalytics::host

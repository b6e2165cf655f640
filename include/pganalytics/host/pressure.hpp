// Pressure stall information: /proc/pressure/* and the *.pressure files of a control group. Runs in
// the program; pure. (Linux: Documentation/accounting/psi.rst)
#pragma once

#include <string_view>

#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

struct PressureFigures {
    Figure some_us;
    Figure full_us;
};

PressureFigures parse_pressure(std::string_view text);

}  // namespace pganalytics::host

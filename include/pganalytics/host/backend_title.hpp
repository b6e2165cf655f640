// What kind of process of the server a process title says it is. Runs in the program; pure.
#pragma once

#include <string>
#include <string_view>

namespace pganalytics::host {

// `title`: of /proc/PID/cmdline, "postgres: 15/main: walwriter ". The name as in
// pg_stat_activity.backend_type; "background worker" for those of other extensions, whose titles
// are free. Empty where the process is none of a server.
//
// A title is all that can be had without a look into the server's memory. A role whose name looks
// like the title of another process is counted there.
std::string backend_type(std::string_view title);

}  // namespace pganalytics::host

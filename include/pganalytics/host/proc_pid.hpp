// Files of one process under /proc/PID. Runs in the program; pure.
#pragma once

#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

struct PidStat {
    int64_t parent = 0;
    Figure start_ticks;  // since boot: with the number, who the process is
    Figure minor_faults;
    Figure major_faults;
    Figure user_ticks;
    Figure system_ticks;
    Figure children_user_ticks;  // of those that ended and were waited for
    Figure children_system_ticks;
};

struct PidStatus {
    Figure anonymous_bytes;  // its memory in RAM, without files and shared memory
    Figure swap_bytes;
    Figure voluntary_switches;
    Figure involuntary_switches;
};

struct PidIo {
    Figure read_bytes;
    Figure write_bytes;
};

// An error where it is no such line: the name, which anybody can choose, may hold ") 1 (".
Result<PidStat> parse_pid_stat(std::string_view text);
PidStatus parse_pid_status(std::string_view text);
PidIo parse_pid_io(std::string_view text);

}  // namespace pganalytics::host

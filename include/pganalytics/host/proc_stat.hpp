// /proc/stat and /proc/loadavg: processors, switches, load. Runs in the program; pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

struct ProcStat {
    struct Cpu {
        std::string_view name;  // "all" or a number; a view of the text
        // user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice
        std::array<Figure, 10> ticks;
    };
    std::vector<Cpu> cpus;
    Figure interrupts;
    Figure context_switches;
    Figure boot_time;  // seconds since 1970
    Figure forks;
    Figure tasks_blocked;
};

struct LoadAverages {
    std::array<std::optional<double>, 3> loads;  // of 1, 5, 15 minutes
    Figure tasks_runnable;
    Figure tasks_total;
};

// An error where the text has no line of processors (no load average).
Result<ProcStat> parse_proc_stat(std::string_view text);
Result<LoadAverages> parse_loadavg(std::string_view text);

}  // namespace pganalytics::host

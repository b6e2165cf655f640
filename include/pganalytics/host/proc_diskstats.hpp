// /proc/diskstats: block devices and partitions. Runs in the program; pure.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

struct DiskFigures {
    int64_t major = 0;
    int64_t minor = 0;
    std::string_view device;  // a view of the text
    // In the kernel's order: reads, merged, sectors, ms; writes, merged, sectors, ms; in progress,
    // ms in use, weighted ms; discards, merged, sectors, ms (Linux 4.18); flushes, ms (5.5).
    std::array<Figure, 17> figures;

    bool ever_used() const;
};

std::vector<DiskFigures> parse_diskstats(std::string_view text);

}  // namespace pganalytics::host

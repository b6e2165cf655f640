// One moment by both clocks. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>

namespace pganalytics::ship {

// Microseconds.
struct Moment {
    int64_t monotonic = 0;
    int64_t wall = 0;
};

}  // namespace pganalytics::ship

// `pganalytics ship` (see the header).
#include "pganalytics/ship/ship_main.hpp"

#include <malloc.h>

#include "pganalytics/host/process.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

int ship_main(std::span<const std::string> args) {
    if (!args.empty()) return 2;
    if (!host::start_under_worker()) return 2;
    // Whatever is large goes back to the system when it is freed, and threads share one heap. What
    // the next rowset needs again stays: each page taken anew costs more than what is written on
    // it.
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_ARENA_MAX, 1);
    return Shipper().run();
}

}  // namespace pganalytics::ship

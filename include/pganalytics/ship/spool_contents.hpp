// What a spool holds, read by the code that the shipper reads it with, but without changing
// anything: repairs are made in memory only. The shipper may run beside it. Runs in
// `pganalytics ledger`.
#pragma once

#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/ship/loss_book.hpp"
#include "pganalytics/ship/spool_files.hpp"

namespace pganalytics::ship {

struct SpoolContents {
    std::vector<Uuid> waiting;   // snapshots that are neither finished nor lost
    LossBook losses;             // what was damaged and not counted yet included
    uint64_t found_damaged = 0;  // of that
};

Result<SpoolContents> read_spool(SpoolFiles& files);
// Empty where there is no such directory.
Result<SpoolContents> read_spool_directory(const std::string& directory);

}  // namespace pganalytics::ship

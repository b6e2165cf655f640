// One push: what a queue keeps and the delivery sends. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics::ship {

struct Snapshot {
    Uuid snapshot_id{};
    Uuid collector_id{};
    uint64_t sequence = 0;
    Sha256 digest{};   // of the JSON
    std::string body;  // the JSON, gzipped
    uint64_t bytes_json = 0;
    uint64_t rows = 0;                // keys that are gone not counted
    int64_t time = 0;                 // of its cycle
    uint64_t request = 0;             // push_now that waits for it; 0: none
    std::vector<RowsetGroup> groups;  // what has to be sent whole where this is lost

    size_t bytes() const { return body.capacity() + groups.capacity() * sizeof(RowsetGroup); }
};

}  // namespace pganalytics::ship

// What `pganalytics ship` says of itself in pganalytics_status(). Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/ship/hub_link.hpp"
#include "pganalytics/ship/spool_queue.hpp"

namespace pganalytics::ship {

// Counted since the program's start.
struct ShipFigures {
    uint64_t cycles = 0;
    uint64_t cycles_not_sent = 0;  // there was no hub to send them to
    uint64_t rows_read = 0;
    uint64_t rows_sent = 0;
    uint64_t rowset_errors = 0;
    std::string last_rowset_error;
    uint64_t host_readings_missed = 0;
    uint64_t cycle_cpu_us = 0;  // of the last cycle, frames to queue
};

struct StatusSource {
    const ShipFigures& figures;
    const HubLink& link;
    const SpoolQueue& queue;
    const SparseFilter& filter;
    const std::optional<Error>& state_problem;
    std::string state_directory;
    Uuid incarnation{};
    uint64_t next_sequence = 1;
    Moment now;
    const host::Sandbox& sandbox;
};

// Rows of pganalytics_status() (answer_types(RequestKind::kStatus)).
std::string status_report(const StatusSource& source);

}  // namespace pganalytics::ship

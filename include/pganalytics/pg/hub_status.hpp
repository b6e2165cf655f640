// The hub worker's side of shared memory: what it tells sessions and the collector, and the mailbox
// in which the collector asks for a token. Plain copies under a spinlock; raises nothing. Runs in
// the hub worker.
#pragma once

#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/pg/hub_ingest.hpp"
#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_shared.hpp"

namespace pganalytics::pg {

// --- the worker's life

// Before it connects, which is where a missing database ends it: counted as failed until
// publish_connected(). Answers the milliseconds to wait first, twice as long each time, so that a
// worker that cannot start says so once a minute only in the end.
int failed_start_delay_ms();
void publish_starting();
void publish_connected();
void publish_gone();

// --- its state

void publish_problem(std::string_view problem, std::string_view hint);
struct HubFacts {
    std::string hub_id;
    Sha256 ca_fingerprint{};
    std::string hub_url;
    int32_t port = 0;
    int32_t console_port = 0;
};
void publish_ready(const HubFacts& facts);
void publish_alarms(const HubAlarms& alarms);
// Of the hub's listeners.
void publish_certificate(int64_t end, bool own);
// Pushes were put off for now.
void publish_busy(std::string_view reason);
// What the front says of its sandbox.
void publish_sandbox(std::string_view layers);
void publish_figures(const IngestTotals& totals, uint64_t worker_cpu_us, uint64_t front_cpu_us,
                     pid_t front_pid, uint64_t front_starts);

// --- the mailbox

bool mailbox_asks();
void answer_mailbox(std::string_view url, std::string_view token);
void refuse_mailbox(std::string_view problem);

}  // namespace pganalytics::pg

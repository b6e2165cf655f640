// The hub's part of shared memory: what sessions and the collector need to know of the hub worker,
// and the mailbox through which this server's own collector asks for an enrolment token.
//
// Locking: everything but `mutex` itself is read and written with `mutex` (a spinlock) held, by
// plain assignments and memcpy only. Copy out, release, then act.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

enum class MailboxState : uint8_t {
    kEmpty = 0,
    kAsked = 1,     // by the collector, which set the hub worker's latch
    kAnswered = 2,  // by the hub: token and url are there; it set the collector's latch
    kRefused = 3,   // by the hub: `problem` says why
};

// The collector asks and takes; the hub answers. Whoever takes an answer zeroes the mailbox.
struct EnrolmentMailbox {
    MailboxState state;
    char token[256];
    char url[512];
    char problem[256];
};

struct HubShared {
    slock_t mutex;

    // --- written by the hub worker
    pid_t pid;          // 0: no worker runs
    Latch* latch;       // the worker's, in its PGPROC; null: no worker runs
    bool ready;         // the front listens and tokens can be made
    char problem[256];  // why it is not ready, in plain words; empty: nothing is wrong
    char hint[256];     // what to do about it
    char hub_id[40];    // uuid text; empty: not known yet
    uint8_t ca_fingerprint[32];
    int32_t port;
    int32_t console_port;
    char hub_url[512];  // of the collectors' listener
    pid_t front_pid;    // of `serve`; 0: none
    uint64_t front_starts;
    char front_sandbox[512];        // its layers, in words; empty: not known yet
    int32_t failed_starts;          // in a row
    TimestampTz last_failed_start;  // 0: none
    uint64_t snapshots_stored;
    uint64_t snapshots_duplicate;
    uint64_t snapshots_refused;
    uint64_t rows_stored;
    TimestampTz last_stored;  // 0: none
    TimestampTz last_busy;    // when pushes were last put off to come again; 0: never
    char busy_reason[256];    // why
    uint64_t alarms;          // collectors whose identity somebody should look at
    char newest_alarm[256];   // whose, and why
    int64_t certificate_end;  // of the hub's own certificate, seconds since 1970; 0: not known
    bool own_certificate;     // made and renewed by the hub itself
    uint64_t worker_cpu_us;
    uint64_t front_cpu_us;

    // --- both ways
    EnrolmentMailbox mailbox;
};

}  // namespace pganalytics::pg

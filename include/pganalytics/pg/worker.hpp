// The frame of a worker that stays: signals, the one place where it waits, and a loop that survives
// pg_cancel_backend and every ERROR. Runs in the collector and hub workers.
#pragma once

#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

struct Wakeup {
    bool latch = false;     // somebody set our latch
    bool readable = false;  // the descriptor
    bool reloaded = false;  // the configuration was read again since the last wait
};

// The first thing in a worker's main: handlers, then signals unblocked. SIGTERM ends the process at
// the next interrupt check (die), SIGHUP reads the configuration in wait().
void start_worker_signals();

// After connecting: what pg_stat_activity shows.
void report_worker(const char* application_name);

// A step's answer: the process ends with code 1, and the postmaster starts another one.
inline constexpr int kBeginAnew = -1;

struct WorkerLoop {
    const char* name = nullptr;  // "pganalytics collector"
    // Descriptor to wait for, the same for the process's life; below 0: none.
    int wait_fd = -1;
    // All due work. C++: it may allocate and catch, it calls PostgreSQL through try_postgres only,
    // and it never blocks. Answers the milliseconds until it wants to be called again at the
    // latest. An exception that leaves it is logged, and it is called again after a second.
    int (*step)(const Wakeup&) = nullptr;
};

// Wait (latch, postmaster's death, descriptor, timeout), ResetLatch, CHECK_FOR_INTERRUPTS, reload,
// then step; for ever. An ERROR in the wait (pg_cancel_backend) is logged once a minute and
// survived; the process leaves by SIGTERM, the postmaster's death or kBeginAnew only.
[[noreturn]] void run_worker(const WorkerLoop& loop);

// A LogLine frame's payload to the server's log, one line a cause a minute. False where malformed.
bool log_program_line(std::string_view payload);

// Where our program is: beside the server's executable, else in the bindir compiled in.
std::string program_path();

// Microseconds of a clock that nobody sets.
int64_t monotonic_us();
// CPU time of this thread, microseconds.
uint64_t own_cpu_us();

}  // namespace pganalytics::pg

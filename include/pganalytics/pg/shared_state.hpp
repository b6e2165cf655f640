// Shared memory of the library: fixed in size, made at server start. Holds the collector's figures,
// the hub's part and the request slots through which sessions ask the workers.
//
// Locking: three spinlocks (collector, hub, requests), never two at a time, held for assignments
// and memcpy only. A spinlock holder calls nothing that can raise ERROR, log, allocate or wait. No
// pointer to private memory is stored; a Latch is in its process's PGPROC, which is shared.
#pragma once

#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/pg/hub_shared.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

inline constexpr size_t kRequestSlots = 32;

// A user's own rowset.
struct OwnFigure {
    char name[kMostOwnNameBytes + 1];
    char state[12];
    uint32_t off;  // databases
    uint64_t failures;
    char error[160];
};

// What the collector says of itself; a copy is published as a whole.
struct CollectorFigures {
    TimestampTz started_at;
    TimestampTz last_cycle_started;  // 0: none yet
    TimestampTz last_cycle_ended;
    int64_t last_cycle_us;
    uint64_t cycles;
    uint64_t cycles_late;  // began after their time, because the one before ran over
    uint64_t visits;
    uint64_t visits_failed;
    uint64_t visits_cut;      // ended by visit_timeout or the CPU budget
    uint64_t no_worker_slot;  // visits that found no free background worker
    uint64_t rowsets_read;
    uint64_t rowsets_failed;
    uint64_t rows;
    uint64_t bytes;            // of rows, from visitors
    uint64_t rowsets_dropped;  // not taken by the program
    uint32_t databases_known;
    uint32_t databases_waiting;
    int64_t longest_wait_us;  // of a database for its visit
    uint64_t passes;          // over the shared statistics
    uint64_t passes_failed;
    uint64_t pass_cpu_us;  // part of worker_cpu_us
    uint64_t pass_objects;
    uint32_t databases_by_pass;
    uint64_t visitor_cpu_us;
    uint64_t worker_cpu_us;
    uint64_t program_cpu_us;
    pid_t program_pid;
    uint64_t program_starts;
    uint8_t program_state;  // Program::State
    char program_failure[256];
    char last_error[256];  // of a visit or rowset
    char main_database[NAMEDATALEN];
    char own_problem[160];  // why the definitions of own rowsets can't be read
    uint32_t own_count;
    OwnFigure own[kMostOwnRowsets];
};

struct CollectorShared {
    slock_t mutex;
    pid_t pid;            // 0: no worker runs
    Latch* latch;         // null: no worker runs
    uint64_t generation;  // counts the worker's starts
    uint64_t own_calls;   // of functions that change definitions of own rowsets
    CollectorFigures figures;
};

enum class SlotState : uint8_t {
    kFree = 0,
    kAsked = 1,   // by a session; the collector has not seen it
    kTaken = 2,   // the collector has attached to the segment
    kFailed = 3,  // the collector could not attach
};

// The asking session makes the segment and takes the slot; it alone frees it (zeroed).
struct RequestSlot {
    SlotState state;
    uint8_t kind;     // RequestKind
    uint64_t number;  // never used twice while the server runs
    int32_t timeout_ms;
    dsm_handle segment;
    pid_t asker_pid;
    Latch* asker;
};

struct RequestsShared {
    slock_t mutex;
    uint64_t last_number;
    RequestSlot slots[kRequestSlots];
};

struct SharedState {
    CollectorShared collector;
    HubShared hub;
    RequestsShared requests;
};

// Null where the library was not preloaded, or shared memory is not made yet.
SharedState* shared_state();

// For _PG_init while the libraries are preloaded.
void install_shared_state();

// Spinlock as a scope; only trivially copyable work inside.
class SpinLock {
  public:
    explicit SpinLock(slock_t& lock) : lock_(lock) { SpinLockAcquire(&lock_); }
    ~SpinLock() { SpinLockRelease(&lock_); }
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

  private:
    slock_t& lock_;
};

// Tells the worker that definitions of own rowsets are about to change; nothing where it can't run.
void note_own_call();

// Wake the worker; nothing where it does not run.
void wake_collector();
void wake_hub();

}  // namespace pganalytics::pg

// Shared memory (see the header). Runs in the postmaster; the pointer is inherited by every
// process.
#include "pganalytics/pg/shared_state.hpp"

#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

namespace {

SharedState* state = nullptr;
// Must be static: of the same name in another library they would be one variable.
static shmem_startup_hook_type previous_startup_hook = nullptr;
static RequestHook previous_request_hook = nullptr;

void request_shared_memory() {
    if (previous_request_hook != nullptr) previous_request_hook();
    RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
}

void make_shared_memory() {
    if (previous_startup_hook != nullptr) previous_startup_hook();
    bool found = false;
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    state = static_cast<SharedState*>(ShmemInitStruct("pganalytics", sizeof(SharedState), &found));
    if (!found) {
        std::memset(static_cast<void*>(state), 0, sizeof *state);
        SpinLockInit(&state->collector.mutex);
        SpinLockInit(&state->hub.mutex);
        SpinLockInit(&state->requests.mutex);
    }
    LWLockRelease(AddinShmemInitLock);
}

}  // namespace

SharedState* shared_state() { return state; }

void install_shared_state() {
    if (kHasRequestHook) {
        previous_request_hook = *request_hook();
        *request_hook() = request_shared_memory;
    } else {
        request_shared_memory();
    }
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = make_shared_memory;
}

void note_own_call() {
    if (state == nullptr) return;
    const SpinLock lock(state->collector.mutex);
    ++state->collector.own_calls;
}

void wake_collector() {
    Latch* latch = nullptr;
    {
        const SpinLock lock(state->collector.mutex);
        latch = state->collector.latch;
    }
    if (latch != nullptr) SetLatch(latch);
}

void wake_hub() {
    Latch* latch = nullptr;
    {
        const SpinLock lock(state->hub.mutex);
        latch = state->hub.latch;
    }
    if (latch != nullptr) SetLatch(latch);
}

}  // namespace pganalytics::pg

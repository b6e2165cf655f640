// What differs between the majors 13 to 18, once. No version test stands anywhere else.
#pragma once

#include "pganalytics/pg/postgres.hpp"

#if PG_VERSION_NUM >= 180000
extern "C" {
#include "storage/waiteventset.h"
}
#endif

#if PG_VERSION_NUM < 130000
#error "pganalytics needs PostgreSQL 13 or newer"
#endif

namespace pganalytics::pg {

inline constexpr int kServerMajor = PG_VERSION_NUM / 10000;

// --- shared memory: 15 asks for it in a hook, 13 and 14 in _PG_init.

#if PG_VERSION_NUM >= 150000
inline constexpr bool kHasRequestHook = true;
inline shmem_request_hook_type* request_hook() { return &shmem_request_hook; }
using RequestHook = shmem_request_hook_type;
#else
inline constexpr bool kHasRequestHook = false;
using RequestHook = void (*)();
inline RequestHook* request_hook() { return nullptr; }
#endif

// --- settings

inline void reserve_setting_prefix(const char* prefix) {
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved(prefix);
#else
    EmitWarningsOnPlaceholders(prefix);
#endif
}

// --- waiting

inline WaitEventSet* make_wait_event_set(int events) {
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(nullptr, events);
#else
    return CreateWaitEventSet(TopMemoryContext, events);
#endif
}

// --- statistics of a session

// Before 15 a transaction reads a copy of the statistics file; from 15 on this setting says whether
// values read once are kept.
inline constexpr bool kHasFetchConsistency = PG_VERSION_NUM >= 150000;

// --- running a read-only query into a receiver

// Runs a plan made by SPI_prepare, rows going to `receiver` as they come. Answers an SPI code.
// 13 knows no receiver there: the plan is run as a cursor whose portal fills the receiver.
inline int run_plan_into(SPIPlanPtr plan, DestReceiver* receiver, uint64 limit) {
#if PG_VERSION_NUM >= 140000
    SPIExecuteOptions options = {};
    options.read_only = true;
    options.tcount = limit;
    options.dest = receiver;
    return SPI_execute_plan_extended(plan, &options);
#else
    Portal portal = SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
    PortalRunFetch(portal, FETCH_FORWARD, limit == 0 ? FETCH_ALL : static_cast<long>(limit),
                   receiver);
    SPI_cursor_close(portal);
    return SPI_OK_SELECT;
#endif
}

}  // namespace pganalytics::pg

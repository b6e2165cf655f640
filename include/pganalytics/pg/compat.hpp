// What differs between the majors 13 to 19, once. No version test stands anywhere else.
#pragma once

#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "executor/executor.h"
#if PG_VERSION_NUM >= 140000
#include "utils/backend_status.h"
#endif
}

#if PG_VERSION_NUM >= 180000
extern "C" {
#include "storage/waiteventset.h"
#include "utils/wait_event.h"
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

// What pg_stat_activity shows a process to wait for; once a process and name.
inline uint32 wait_event(const char* name) {
#if PG_VERSION_NUM >= 170000
    return WaitEventExtensionNew(name);
#else
    static_cast<void>(name);
    return PG_WAIT_EXTENSION;
#endif
}

// --- statistics of a session

// Before 15 a transaction reads a copy of the statistics file; from 15 on this setting says whether
// values read once are kept.
inline constexpr bool kHasFetchConsistency = PG_VERSION_NUM >= 150000;

// --- what a query's check of rights looks at

// A hook for that check: shows `Check` each relation of the query, the views it is made of among
// them, then asks the hook that was there before.
#if PG_VERSION_NUM >= 160000
template <void (*Check)(Oid), ExecutorCheckPerms_hook_type* Previous>
bool check_relations(List* range_table, List* permissions, bool raises) {
    for (int i = 0; i < list_length(permissions); ++i)
        Check(static_cast<const RTEPermissionInfo*>(list_nth(permissions, i))->relid);
    return *Previous == nullptr || (*Previous)(range_table, permissions, raises);
}
#else
template <void (*Check)(Oid), ExecutorCheckPerms_hook_type* Previous>
bool check_relations(List* range_table, bool raises) {
    for (int i = 0; i < list_length(range_table); ++i) {
        const auto* entry = static_cast<const RangeTblEntry*>(list_nth(range_table, i));
        if (entry->rtekind == RTE_RELATION) Check(entry->relid);
    }
    return *Previous == nullptr || (*Previous)(range_table, raises);
}
#endif

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

// --- what backends do

#if PG_VERSION_NUM >= 160000
inline const LocalPgBackendStatus* local_backend(int place) {
    return pgstat_get_local_beentry_by_index(place);
}
#else
inline const LocalPgBackendStatus* local_backend(int place) {
    return pgstat_fetch_stat_local_beentry(place);
}
#endif

#if PG_VERSION_NUM >= 190000
inline constexpr auto kProgressCluster = PROGRESS_COMMAND_REPACK;
#else
inline constexpr auto kProgressCluster = PROGRESS_COMMAND_CLUSTER;
#endif
#if PG_VERSION_NUM >= 140000
inline constexpr auto kProgressCopy = PROGRESS_COMMAND_COPY;
#else
inline constexpr auto kProgressCopy = PROGRESS_COMMAND_INVALID;
#endif

// --- types

#if PG_VERSION_NUM >= 140000
inline constexpr Oid kLsnType = PG_LSNOID;
#else
inline constexpr Oid kLsnType = LSNOID;
#endif

// --- text

#if PG_VERSION_NUM < 140000
// False where `conversion` does not know all of `text`. It holds nothing that an ERROR would leave
// behind, so no subtransaction is needed.
inline bool convert_whole(Oid conversion, int from, int to, std::string_view text, char* out) {
    volatile bool done = false;
    MemoryContext const context = CurrentMemoryContext;
    PG_TRY();
    {
        OidFunctionCall5(conversion, Int32GetDatum(from), Int32GetDatum(to),
                         CStringGetDatum(text.data()), CStringGetDatum(out),
                         Int32GetDatum(static_cast<int32>(text.size())));
        done = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        FlushErrorState();
        out[0] = '\0';
    }
    PG_END_TRY();
    return done;
}
#endif

// Converts the longest start of `text` that `conversion` knows, from one encoding to another, with
// a NUL behind it; answers how many bytes of `text` that was. Never raises ERROR for what it does
// not know. `out` has room for MAX_CONVERSION_GROWTH bytes a byte, and the NUL.
inline size_t convert_prefix(Oid conversion, int from, int to, std::string_view text, char* out,
                             size_t size) {
#if PG_VERSION_NUM >= 140000
    return static_cast<size_t>(pg_do_encoding_conversion_buf(
        conversion, from, to, reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
        static_cast<int>(text.size()), reinterpret_cast<unsigned char*>(out),
        static_cast<int>(size), true));
#else
    static_cast<void>(size);
    if (convert_whole(conversion, from, to, text, out)) return text.size();
    size_t taken = 0;
    while (taken < text.size()) {
        const auto length = static_cast<size_t>(pg_encoding_mblen(from, text.data() + taken));
        if (taken + length > text.size()) break;
        if (!convert_whole(conversion, from, to, text.substr(taken, length), out)) break;
        out += std::strlen(out);
        taken += length;
    }
    return taken;
#endif
}

// --- queues

inline shm_mq_result queue_send(shm_mq_handle* queue, size_t size, const void* data) {
#if PG_VERSION_NUM >= 150000
    return shm_mq_send(queue, size, data, true, true);
#else
    return shm_mq_send(queue, size, data, true);
#endif
}

}  // namespace pganalytics::pg

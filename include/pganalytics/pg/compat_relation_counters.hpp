// The counters of a relation, taken straight from the shared statistics where the server has them
// (15 to 18): one look-up a relation in place of one for each value, and no reference to each
// relation left behind in the session. Runs in visitors, inside a transaction.
#pragma once

#include <span>
#include <string_view>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "pgstat.h"
#if PG_VERSION_NUM >= 150000
#include "utils/pgstat_internal.h"
#endif
}

#include "pganalytics/core/pass_row.hpp"

namespace pganalytics::pg {

using RelationCounters = PgStat_StatTabEntry;

// An entry of the shared statistics, copied.
struct StatisticsEntry {
    StatisticsKind kind;
    Oid database;  // InvalidOid: all share it
    Oid oid;
    size_t size;
    alignas(8) char counters[sizeof(RelationCounters)];
};

// A member of RelationCounters, 64 bits wide, and the expression that has the same value in SQL.
// As a time it is null where 0.
struct RelationCounter {
    std::string_view sql;
    ColumnType type;
    size_t offset;
};

#if PG_VERSION_NUM >= 150000 && PG_VERSION_NUM < 190000

inline constexpr bool kReadsRelationCounters = true;

#define PGANALYTICS_COUNTER(function, type, member)                     \
    {                                                                   \
        "pg_catalog.pg_stat_get_" function "(c.oid)", ColumnType::type, \
            offsetof(RelationCounters, member)                          \
    }
#if PG_VERSION_NUM >= 160000
#define PGANALYTICS_RENAMED(function, type, member, until_15) \
    PGANALYTICS_COUNTER(function, type, member)
#else
#define PGANALYTICS_RENAMED(function, type, member, until_15) \
    PGANALYTICS_COUNTER(function, type, until_15)
#endif

inline constexpr RelationCounter kRelationCounters[] = {
    PGANALYTICS_COUNTER("numscans", kInt64, numscans),
    PGANALYTICS_COUNTER("tuples_returned", kInt64, tuples_returned),
    PGANALYTICS_COUNTER("tuples_fetched", kInt64, tuples_fetched),
    PGANALYTICS_COUNTER("tuples_inserted", kInt64, tuples_inserted),
    PGANALYTICS_COUNTER("tuples_updated", kInt64, tuples_updated),
    PGANALYTICS_COUNTER("tuples_deleted", kInt64, tuples_deleted),
    PGANALYTICS_COUNTER("tuples_hot_updated", kInt64, tuples_hot_updated),
    PGANALYTICS_RENAMED("live_tuples", kInt64, live_tuples, n_live_tuples),
    PGANALYTICS_RENAMED("dead_tuples", kInt64, dead_tuples, n_dead_tuples),
    PGANALYTICS_RENAMED("mod_since_analyze", kInt64, mod_since_analyze, changes_since_analyze),
    PGANALYTICS_RENAMED("ins_since_vacuum", kInt64, ins_since_vacuum, inserts_since_vacuum),
    PGANALYTICS_COUNTER("blocks_fetched", kInt64, blocks_fetched),
    PGANALYTICS_COUNTER("blocks_hit", kInt64, blocks_hit),
    PGANALYTICS_RENAMED("last_vacuum_time", kTimestamp, last_vacuum_time, vacuum_timestamp),
    PGANALYTICS_COUNTER("vacuum_count", kInt64, vacuum_count),
    PGANALYTICS_RENAMED("last_autovacuum_time", kTimestamp, last_autovacuum_time,
                        autovac_vacuum_timestamp),
    PGANALYTICS_RENAMED("autovacuum_count", kInt64, autovacuum_count, autovac_vacuum_count),
    PGANALYTICS_RENAMED("last_analyze_time", kTimestamp, last_analyze_time, analyze_timestamp),
    PGANALYTICS_COUNTER("analyze_count", kInt64, analyze_count),
    PGANALYTICS_RENAMED("last_autoanalyze_time", kTimestamp, last_autoanalyze_time,
                        autovac_analyze_timestamp),
    PGANALYTICS_RENAMED("autoanalyze_count", kInt64, autoanalyze_count, autovac_analyze_count),
#if PG_VERSION_NUM >= 160000
    PGANALYTICS_COUNTER("lastscan", kTimestamp, lastscan),
    PGANALYTICS_COUNTER("tuples_newpage_updated", kInt64, tuples_newpage_updated),
#endif
#if PG_VERSION_NUM >= 180000
    PGANALYTICS_COUNTER("total_vacuum_time", kFloat64, total_vacuum_time),
    PGANALYTICS_COUNTER("total_autovacuum_time", kFloat64, total_autovacuum_time),
    PGANALYTICS_COUNTER("total_analyze_time", kFloat64, total_analyze_time),
    PGANALYTICS_COUNTER("total_autoanalyze_time", kFloat64, total_autoanalyze_time),
#endif
};

#undef PGANALYTICS_COUNTER
#undef PGANALYTICS_RENAMED

inline std::span<const RelationCounter> relation_counters() { return kRelationCounters; }

// The hash's entry, its partition locked, shared; null: none. `database` is InvalidOid for a
// relation that all databases share.
inline PgStatShared_HashEntry* find_counters(StatisticsKind kind, Oid database, Oid oid) {
    PgStat_HashKey key;
    std::memset(&key, 0, sizeof key);  // with its padding: it is hashed as bytes
    key.kind = kind == StatisticsKind::kRelation ? PGSTAT_KIND_RELATION : PGSTAT_KIND_FUNCTION;
    key.dboid = database;
#if PG_VERSION_NUM >= 180000
    key.objid = oid;
#else
    key.objoid = oid;
#endif
    return static_cast<PgStatShared_HashEntry*>(dshash_find(pgStatLocal.shared_hash, &key, false));
}

template <class Shared>
void copy_locked(Shared* shared, void* out) {
    LWLockAcquire(&shared->header.lock, LW_SHARED);
    std::memcpy(out, &shared->stats, sizeof shared->stats);
    LWLockRelease(&shared->header.lock);
}

// As of now; all zero where the relation was never used. As pgstat's own snapshot does it: the
// partition stays locked while the entry is copied under its own lock.
inline void read_relation_counters(Oid database, Oid relation, RelationCounters* out) {
    PgStatShared_HashEntry* const entry =
        find_counters(StatisticsKind::kRelation, database, relation);
    if (entry == nullptr || entry->dropped) {
        *out = {};
    } else {
        copy_locked(
            static_cast<PgStatShared_Relation*>(dsa_get_address(pgStatLocal.dsa, entry->body)),
            out);
    }
    if (entry != nullptr) dshash_release_lock(pgStatLocal.shared_hash, entry);
}

// Asks the processor for what a look-up will want in a moment. What is fetched may be freed
// meanwhile: nothing is read here.
inline void prefetch_counters(StatisticsKind kind, Oid database, Oid oid) {
    PgStatShared_HashEntry* const entry = find_counters(kind, database, oid);
    if (entry == nullptr) return;
    constexpr size_t kCacheLine = 64;
    const auto* const shared =
        static_cast<const char*>(dsa_get_address(pgStatLocal.dsa, entry->body));
    const size_t bytes = kind == StatisticsKind::kRelation ? sizeof(PgStatShared_Relation)
                                                           : sizeof(PgStatShared_Function);
    for (size_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(shared + i);
    dshash_release_lock(pgStatLocal.shared_hash, entry);
}

using FunctionCounters = PgStat_StatFuncEntry;

inline bool is_wanted(const PgStatShared_HashEntry& entry) {
    return !entry.dropped &&
           (entry.key.kind == PGSTAT_KIND_RELATION || entry.key.kind == PGSTAT_KIND_FUNCTION);
}

template <class Shared>
void copy_counters(const PgStatShared_HashEntry& hashed, Shared* shared, StatisticsEntry* entry) {
    static_assert(sizeof shared->stats <= sizeof entry->counters);
    entry->database = hashed.key.dboid;
#if PG_VERSION_NUM >= 180000
    entry->oid = static_cast<Oid>(hashed.key.objid);
#else
    entry->oid = hashed.key.objoid;
#endif
    entry->size = sizeof shared->stats;
    copy_locked(shared, entry->counters);
}

// Of one object, a shared relation's too, into `out`: how many bytes; 0: it has none.
inline size_t copy_counters(StatisticsKind kind, Oid database, Oid oid, char* out, size_t room) {
    PgStatShared_HashEntry* entry = find_counters(kind, database, oid);
    if (entry == nullptr && oid < FirstNormalObjectId && kind == StatisticsKind::kRelation)
        entry = find_counters(kind, InvalidOid, oid);
    if (entry == nullptr) return 0;
    size_t size = 0;
    if (!entry->dropped) {
        void* const shared = dsa_get_address(pgStatLocal.dsa, entry->body);
        if (kind == StatisticsKind::kRelation && sizeof(RelationCounters) <= room) {
            copy_locked(static_cast<PgStatShared_Relation*>(shared), out);
            size = sizeof(RelationCounters);
        } else if (kind == StatisticsKind::kFunction && sizeof(FunctionCounters) <= room) {
            copy_locked(static_cast<PgStatShared_Function*>(shared), out);
            size = sizeof(FunctionCounters);
        }
    }
    dshash_release_lock(pgStatLocal.shared_hash, entry);
    return size;
}

// All entries of relations and functions, each as of its own moment. `walker` is asked for room()
// for each, then told to take() it, while a 128th of the hash is locked, shared: it calls nothing
// of PostgreSQL and allocates nothing.
template <class Walker>
void each_statistics_entry(Walker& walker) {
    dshash_seq_status scan;
    dshash_seq_init(&scan, pgStatLocal.shared_hash, false);
    while (const auto* hashed = static_cast<PgStatShared_HashEntry*>(dshash_seq_next(&scan))) {
        if (!is_wanted(*hashed)) continue;
        void* const shared = dsa_get_address(pgStatLocal.dsa, hashed->body);
        walker.pass(hashed, shared, sizeof(PgStatShared_Relation));
        StatisticsEntry& entry = walker.room();
        if (hashed->key.kind == PGSTAT_KIND_RELATION) {
            entry.kind = StatisticsKind::kRelation;
            copy_counters(*hashed, static_cast<PgStatShared_Relation*>(shared), &entry);
        } else {
            entry.kind = StatisticsKind::kFunction;
            copy_counters(*hashed, static_cast<PgStatShared_Function*>(shared), &entry);
        }
        walker.take();
    }
    dshash_seq_term(&scan);
}

#else

inline constexpr bool kReadsRelationCounters = false;

inline std::span<const RelationCounter> relation_counters() { return {}; }
inline void read_relation_counters(Oid, Oid, RelationCounters* out) { *out = {}; }
inline void prefetch_counters(StatisticsKind, Oid, Oid) {}
inline size_t copy_counters(StatisticsKind, Oid, Oid, char*, size_t) { return 0; }

struct FunctionCounters {
    int64_t counters[3];
};
template <class Walker>
void each_statistics_entry(Walker&) {}

#endif

}  // namespace pganalytics::pg

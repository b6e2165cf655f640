// Whether a rowset can have rows (see the header). Runs in visitors.
//
// Only by functions the server has for that: the layout of its arrays in shared memory (slots, WAL
// senders) changes with minor versions.
#include "pganalytics/pg/presence.hpp"

#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/set_function.hpp"

extern "C" {
#include "access/twophase.h"
#include "catalog/pg_subscription.h"
#include "commands/progress.h"
#include "replication/walreceiver.h"
#include "storage/procarray.h"
}

namespace pganalytics::pg {

namespace {

// pg_stat_get_wal_senders(), pg_get_replication_slots()
constexpr Oid kWalSendersFunction = 3099;
constexpr Oid kReplicationSlotsFunction = 3781;

// What these rowsets are made of on a later one, nobody has looked at.
constexpr int kLastMajorKnown = 18;

// Younger ones are not in pg_activity.old_sessions.
constexpr int64_t kOldUs = 10 * USECS_PER_SEC;

template <class Test>
bool any_backend(Test&& test) {
    const int count = pgstat_fetch_stat_numbackends();
    for (int i = 1; i <= count; ++i) {
        const LocalPgBackendStatus* const backend = local_backend(i);
        if (backend != nullptr && test(*backend)) return true;
    }
    return false;
}

bool any_progress(ProgressCommandType command) {
    return any_backend([&](const LocalPgBackendStatus& backend) {
        return backend.backendStatus.st_progress_command == command;
    });
}

bool any_old_session() {
    const TimestampTz moment = GetCurrentTimestamp() - kOldUs;
    return any_backend([&](const LocalPgBackendStatus& backend) {
        const PgBackendStatus& status = backend.backendStatus;
        if (status.st_procpid == MyProcPid) return false;
        if (status.st_xact_start_timestamp != 0 && status.st_xact_start_timestamp < moment)
            return true;
        switch (status.st_state) {
            case STATE_RUNNING:
                return status.st_activity_start_timestamp < moment &&
                       status.st_backendType != B_WAL_SENDER;
            case STATE_IDLEINTRANSACTION:
            case STATE_IDLEINTRANSACTION_ABORTED:
                return status.st_state_start_timestamp < moment;
            default:
                return false;
        }
    });
}

bool any_horizon() {
    if (max_prepared_xacts > 0 || set_function_has_rows(kReplicationSlotsFunction)) return true;
    return any_backend([](const LocalPgBackendStatus& backend) {
        return backend.backendStatus.st_procpid != MyProcPid &&
               (TransactionIdIsValid(backend.backend_xid) ||
                TransactionIdIsValid(backend.backend_xmin));
    });
}

bool any_lock_wait() {
    return any_backend([](const LocalPgBackendStatus& backend) {
        const int pid = backend.backendStatus.st_procpid;
        const PGPROC* process = BackendPidGetProc(pid);
        if (process == nullptr) process = AuxiliaryPidGetProc(pid);
        return process != nullptr && (process->wait_event_info & 0xFF000000U) == PG_WAIT_LOCK;
    });
}

// Of any database.
bool any_subscription() {
    Relation relation = table_open(SubscriptionRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    const bool found = heap_getnext(scan, ForwardScanDirection) != nullptr;
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    return found;
}

}  // namespace

bool may_have_rows(Presence presence) {
    if (kServerMajor > kLastMajorKnown) return true;
    switch (presence) {
        case Presence::kUnknown:
            return true;
        case Presence::kVacuum:
            return any_progress(PROGRESS_COMMAND_VACUUM);
        case Presence::kAnalyze:
            return any_progress(PROGRESS_COMMAND_ANALYZE);
        case Presence::kCreateIndex:
            return any_progress(PROGRESS_COMMAND_CREATE_INDEX);
        case Presence::kCluster:
            return any_progress(kProgressCluster);
        case Presence::kBasebackup:
            return any_progress(PROGRESS_COMMAND_BASEBACKUP);
        case Presence::kCopy:
            return any_progress(kProgressCopy);
        case Presence::kOldSessions:
            return any_old_session();
        case Presence::kHorizon:
            return any_horizon();
        case Presence::kLockWaits:
            return any_lock_wait();
        case Presence::kPreparedTransactions:
            return max_prepared_xacts > 0;
        case Presence::kSenders:
            return set_function_has_rows(kWalSendersFunction);
        case Presence::kSlots:
            return set_function_has_rows(kReplicationSlotsFunction);
        case Presence::kReceiver:
            return WalRcv->pid != 0;
        case Presence::kSubscriptions:
            return any_subscription();
    }
    return true;
}

}  // namespace pganalytics::pg

// One transaction of the hub on its tables: SPI connected, the extension found, locked against DROP
// EXTENSION and found again (a schema of that name proves nothing), all work done as the
// extension's owner. Runs in the hub worker and, by its halves, in the hub's SQL functions.
#pragma once

#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

// What an ERROR of require_extension() says to the worker by its code.
inline constexpr int kNoExtension = ERRCODE_UNDEFINED_OBJECT;
inline constexpr int kOtherExtensionVersion = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;

struct HubPlace {
    Oid extension = InvalidOid;
    Oid schema = InvalidOid;  // pganalytics
    Oid owner = InvalidOid;   // of the extension, hence of all tables
};

// Inside a transaction with SPI connected. ERROR kNoExtension or kOtherExtensionVersion; the lock
// is held until the transaction's end.
HubPlace require_extension();

// Acts as `place.owner` from here on: the worker is a superuser, and nothing a table's owner may
// have hung on it shall run as one. SET ROLE would not do: a function could reset it.
class ActAsOwner {
  public:
    explicit ActAsOwner(const HubPlace& place) {
        GetUserIdAndSecContext(&user_, &context_);
        SetUserIdAndSecContext(
            place.owner, context_ | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    }
    // By hand, at the work's end: an ERROR runs no destructor, and its abort restores the user.
    void end() const { SetUserIdAndSecContext(user_, context_); }

  private:
    Oid user_ = InvalidOid;
    int context_ = 0;
};

struct HubLimits {
    int statement_ms;
    const char* lock;  // lock_timeout
};
inline constexpr HubLimits kIngestLimits = {10000, "1s"};
// Never in the way of a reader or of ingest: given up quickly, tried again later.
inline constexpr HubLimits kDdlLimits = {10000, "100ms"};

namespace detail {
HubPlace begin_hub_work(const HubLimits& limits);
void end_hub_work();
}  // namespace detail

// `work(place)` follows the rules of try_postgres. False: rolled back, `error` says why.
template <class Function>
[[nodiscard]] bool run_in_hub(const HubLimits& limits, Function&& work, FlatError& error) noexcept {
    TransactionOptions options;
    options.read_only = false;
    options.timeout_ms = limits.statement_ms;
    return run_transaction(
        options,
        [&] {
            const HubPlace place = detail::begin_hub_work(limits);
            const ActAsOwner owner(place);
            work(place);
            owner.end();
            detail::end_hub_work();
        },
        error);
}

// Inside run_in_hub: `work` in a subtransaction. False: that alone is rolled back.
template <class Function>
[[nodiscard]] bool run_in_subtransaction(Function&& work, FlatError& error) {
    const MemoryContext context = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    const bool done = try_postgres(
        [&] {
            work();
            ReleaseCurrentSubTransaction();
        },
        error);
    if (!done) RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return done;
}

// Whether the same work may succeed a little later: locks, space, cancelled, shutting down, or a
// table that changed under us.
bool worth_retrying(const FlatError& error);

// Whether an ERROR in storing a push comes from what it holds, so that it can never be stored: its
// data, its collector, a size. Anything else (somebody's trigger or constraint, say) is the hub's.
bool blames_push(const FlatError& error);

}  // namespace pganalytics::pg

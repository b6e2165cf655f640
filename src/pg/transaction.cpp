// One transaction of a worker (see the header). Runs in visitors and the hub worker.
#include "pganalytics/pg/transaction.hpp"

#include <utility>

#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

namespace {

// Of a segment on its way. Nothing is left in it once one is there.
ResourceOwner making_owner = nullptr;

template <class Make>
dsm_segment* lasting(Make&& make) {
    if (making_owner == nullptr) making_owner = ResourceOwnerCreate(nullptr, "pganalytics");
    CurrentResourceOwner = making_owner;
    dsm_segment* const segment = make();
    if (segment != nullptr) dsm_pin_mapping(segment);
    return segment;
}

// From 17 on, one that has begun to release can't be used again.
void release_what_was_half_made() {
    ResourceOwner const owner = std::exchange(making_owner, nullptr);
    if (owner == nullptr) return;
    if (CurrentResourceOwner == owner) CurrentResourceOwner = nullptr;
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, true);
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, true);
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, true);
    ResourceOwnerDelete(owner);
}

}  // namespace

void begin_transaction(const TransactionOptions& options) {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    if (options.read_only) XactReadOnly = true;
    if (options.timeout_ms > 0) enable_timeout_after(STATEMENT_TIMEOUT, options.timeout_ms);
    if (options.snapshot) PushActiveSnapshot(GetTransactionSnapshot());
}

void commit_transaction(const TransactionOptions& options) {
    if (options.snapshot) PopActiveSnapshot();
    if (options.timeout_ms > 0) disable_timeout(STATEMENT_TIMEOUT, false);
    CommitTransactionCommand();
    // One that fired in the last moment has nothing left to cancel.
    QueryCancelPending = false;
}

void recover_from_error() noexcept {
    const MemoryContext context = CurrentMemoryContext;
    FlatError ignored;
    static_cast<void>(try_postgres(
        [] {
            // (HOLD_INTERRUPTS, whose ++ on a volatile C++20 frowns upon)
            InterruptHoldoffCount = InterruptHoldoffCount + 1;
            disable_all_timeouts(false);
            QueryCancelPending = false;
            AbortOutOfAnyTransaction();
            LWLockReleaseAll();
            pgstat_report_wait_end();
            release_what_was_half_made();
            InterruptHoldoffCount = InterruptHoldoffCount - 1;
        },
        ignored));
    MemoryContextSwitchTo(context);
}

dsm_segment* make_lasting_segment(Size size) {
    return lasting([&] { return dsm_create(size, 0); });
}

dsm_segment* attach_lasting_segment(dsm_handle handle) {
    return lasting([&] { return dsm_attach(handle); });
}

void set_session_settings(std::span<const SessionSetting> settings, bool as_superuser,
                          GucSource source) {
    const GucContext context = as_superuser ? PGC_SUSET : PGC_USERSET;
    for (const SessionSetting& setting : settings) {
        if (GetConfigOption(setting.name, true, false) == nullptr) continue;
        SetConfigOption(setting.name, setting.value, context, source);
    }
}

void set_lock_timeout(int lock_timeout_ms, GucSource source) {
    char text[16];
    std::snprintf(text, sizeof text, "%d", lock_timeout_ms);
    SetConfigOption("lock_timeout", text, PGC_USERSET, source);
}

}  // namespace pganalytics::pg

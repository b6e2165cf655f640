// One transaction of a worker, with its limits, from C++: started, run, committed; on ERROR or an
// exception rolled back, and the error handed back as plain data. Runs in the collector,
// in visitors and the hub.
#pragma once

#include "pganalytics/pg/guard.hpp"

namespace pganalytics::pg {

struct TransactionOptions {
    bool read_only = true;
    bool snapshot = true;  // push an active snapshot around the work
    // statement_timeout does nothing in a worker unless armed by hand; 0: none.
    int timeout_ms = 0;
};

// The two halves, for use inside try_postgres.
void begin_transaction(const TransactionOptions& options);
void commit_transaction(const TransactionOptions& options);
// After a failed try_postgres: rolls back, disarms the timeout, forgets a cancel that came with it,
// releases what the ERROR left. Never raises.
void recover_from_error() noexcept;

// `work` follows the rules of try_postgres.
template <class Function>
[[nodiscard]] bool run_transaction(const TransactionOptions& options, Function&& work,
                                   FlatError& error) noexcept {
    const bool done = try_postgres(
        [&] {
            begin_transaction(options);
            work();
            commit_transaction(options);
        },
        error);
    if (!done) recover_from_error();
    return done;
}

// Segments of dynamic shared memory held outside of transactions, until dsm_detach(). Inside
// try_postgres; after a failure recover_from_error() lets go of what was half done.
dsm_segment* make_lasting_segment(Size size);
// Null where whoever made it is gone.
dsm_segment* attach_lasting_segment(dsm_handle handle);

struct SessionSetting {
    const char* name;
    const char* value;
};

// Sets each for the session, above what the database or role has; outside of a transaction, inside
// try_postgres. A setting this server does not have is passed over. Before there is a user
// PGC_S_OVERRIDE has to be the source: what a session sets is set by somebody.
void set_session_settings(std::span<const SessionSetting> settings, bool as_superuser,
                          GucSource source = PGC_S_SESSION);
// lock_timeout, for the session. Inside try_postgres.
void set_lock_timeout(int lock_timeout_ms, GucSource source = PGC_S_SESSION);

}  // namespace pganalytics::pg

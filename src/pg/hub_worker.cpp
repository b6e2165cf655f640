// The worker "pganalytics hub" (see the header).
#include "pganalytics/pg/hub_worker.hpp"

#include <sys/epoll.h>

#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/hub_stages.hpp"
#include "pganalytics/pg/hub_status.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

// Made in run_hub(); never destroyed.
HubStages* stages = nullptr;

// A database's owner can have set any of these; a superuser's slip in the configuration file should
// not reach us either.
constexpr SessionSetting kSession[] = {
    {"search_path", "pg_catalog, pg_temp"},
    {"synchronous_commit", "local"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"default_transaction_deferrable", "off"},
    {"statement_timeout", "0"},
    {"transaction_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"lock_timeout", "1s"},
    {"jit", "off"},
    {"max_parallel_workers_per_gather", "0"},
    {"row_security", "off"},
    {"client_encoding", "UTF8"},
    {"client_min_messages", "error"},
    {"standard_conforming_strings", "on"},
    {"DateStyle", "ISO"},
    {"TimeZone", "UTC"},
    {"IntervalStyle", "postgres"},
    {"extra_float_digits", "1"},
    {"bytea_output", "hex"},
    {"session_replication_role", "origin"},
    {"log_statement", "none"},
    {"log_min_duration_statement", "-1"},
    {"log_min_duration_sample", "-1"},
    {"pg_stat_statements.track", "none"},
    {"auto_explain.log_min_duration", "-1"},
};

void on_exit(int, Datum) {
    if (stages != nullptr) guarded_or(0, [] { return stages->stop_now(), 0; });
    publish_gone();
}

// One that could not start (its database is missing: InitPostgres ends it) waits before it tries
// again and logs again, up to a minute; a reload ends the wait.
void wait_after_failed_start() {
    while (const int delay_ms = failed_start_delay_ms()) {
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, delay_ms,
                  PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        if (!ConfigReloadPending) continue;
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
        return;
    }
}

void connect() {
    char problem[160];
    snprintf(problem, sizeof problem, "the hub worker could not connect to database \"%s\"",
             settings().hub_database);
    publish_starting();
    publish_problem(problem, "See the server's log, and pganalytics.hub_database.");
    BackgroundWorkerInitializeConnection(settings().hub_database, nullptr, 0);
}

void require_utf8() {
    if (GetDatabaseEncoding() == PG_UTF8) return;
    const char* problem = "the hub's database must have encoding UTF8";
    const char* hint =
        "Create a database with ENCODING 'UTF8' and name it in pganalytics.hub_database.";
    publish_problem(problem, hint);
    ereport(FATAL,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("pganalytics: %s", problem),
             errdetail("Database \"%s\" has encoding %s.", settings().hub_database,
                       GetDatabaseEncodingName()),
             errhint("%s", hint)));
}

void set_session() {
    FlatError error;
    const std::span<const SessionSetting> session(kSession);
    if (!try_postgres([&] { set_session_settings(session, true); }, error)) {
        recover_from_error();
        log_limited(WARNING, "hub session", "a setting could not be made", error.message);
    }
}

int step(const Wakeup& wakeup) { return stages->step(wakeup); }

}  // namespace

void run_hub() {
    start_worker_signals();
    before_shmem_exit(on_exit, 0);
    wait_after_failed_start();
    connect();
    require_utf8();
    publish_connected();
    set_session();
    report_worker("pganalytics hub");
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    guarded([&] { stages = std::make_unique<HubStages>(poll, program_path()).release(); });
    run_worker({.name = "pganalytics hub", .wait_fd = poll, .step = step});
}

}  // namespace pganalytics::pg

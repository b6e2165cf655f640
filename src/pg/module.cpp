// What the library shows to the server: the magic block, _PG_init and every exported symbol, all in
// this file and all of the same form: guarded (lint entries). The work is elsewhere.
#include "pganalytics/pg/collector.hpp"
#include "pganalytics/pg/functions.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/hub_functions.hpp"
#include "pganalytics/pg/hub_worker.hpp"
#include "pganalytics/pg/postgres.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/visitor.hpp"

namespace pganalytics::pg {

namespace {

constexpr int kRestartSeconds = 5;

struct WorkerEntry {
    const char* name;
    const char* function;
    BgWorkerStartTime start;
};

void register_worker(const WorkerEntry& entry) {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = entry.start;
    worker.bgw_restart_time = kRestartSeconds;
    copy_text(worker.bgw_library_name, "pganalytics");
    copy_text(worker.bgw_function_name, entry.function);
    copy_text(worker.bgw_name, entry.name);
    copy_text(worker.bgw_type, entry.name);
    RegisterBackgroundWorker(&worker);
}

void register_workers() {
    register_worker(
        {"pganalytics collector", "pganalytics_collector_main", BgWorkerStart_ConsistentState});
    if (settings().hub)
        register_worker(
            {"pganalytics hub", "pganalytics_hub_main", BgWorkerStart_RecoveryFinished});
}

void initialise() {
    const bool preloading = process_shared_preload_libraries_in_progress;
    define_settings(preloading);
    // pg_upgrade wants a server that does nothing by itself.
    if (!preloading || IsBinaryUpgrade) return;
    install_shared_state();
    register_workers();
}

}  // namespace

}  // namespace pganalytics::pg

// An SQL function of this name, which is `implementation`.
#define PGANALYTICS_SQL_FUNCTION(name, implementation)                                            \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                     \
    PG_FUNCTION_INFO_V1(name);                                                                    \
    Datum name(PG_FUNCTION_ARGS) {                                                                \
        return pganalytics::pg::guarded([&] { return pganalytics::pg::implementation(fcinfo); }); \
    }

// What else the server calls by its name: `body`, which may use the parameters.
#define PGANALYTICS_ENTRY(name, parameters, body)                 \
    PGDLLEXPORT void name parameters;                             \
    void name parameters {                                        \
        pganalytics::pg::guarded([&] { pganalytics::pg::body; }); \
    }

extern "C" {

PG_MODULE_MAGIC;

PGANALYTICS_ENTRY(_PG_init, (), initialise())
PGANALYTICS_ENTRY(pganalytics_collector_main, (Datum), run_collector())
PGANALYTICS_ENTRY(pganalytics_visitor_main, (Datum segment), run_visitor(segment))
PGANALYTICS_ENTRY(pganalytics_hub_main, (Datum), run_hub())

PGANALYTICS_SQL_FUNCTION(pganalytics_version, sql_version)
PGANALYTICS_SQL_FUNCTION(pganalytics_status, sql_status)
PGANALYTICS_SQL_FUNCTION(pganalytics_catalog, sql_catalog)
PGANALYTICS_SQL_FUNCTION(pganalytics_settings, sql_settings)
PGANALYTICS_SQL_FUNCTION(pganalytics_collect_now, sql_collect_now)
PGANALYTICS_SQL_FUNCTION(pganalytics_push_now, sql_push_now)
PGANALYTICS_SQL_FUNCTION(pganalytics_preview, sql_preview)
PGANALYTICS_SQL_FUNCTION(pganalytics_reload, sql_reload)
PGANALYTICS_SQL_FUNCTION(pganalytics_register, sql_register)
PGANALYTICS_SQL_FUNCTION(pganalytics_unregister, sql_unregister)
PGANALYTICS_SQL_FUNCTION(pganalytics_create_token, sql_create_token)
PGANALYTICS_SQL_FUNCTION(pganalytics_add_rowset, sql_add_rowset)
PGANALYTICS_SQL_FUNCTION(pganalytics_drop_rowset, sql_drop_rowset)
PGANALYTICS_SQL_FUNCTION(pganalytics_only_superusers, sql_only_superusers)
PGANALYTICS_SQL_FUNCTION(pganalytics_accept_rowset, sql_accept_rowset)
}

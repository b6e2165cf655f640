// A visitor's session settings (see the header). Runs in visitors.
#include "pganalytics/pg/visitor_session.hpp"

#include <cstdio>

#include "pganalytics/pg/postgres.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

// What would end the session before it can settle. Set before connecting: what a database or a role
// brings along has a lower rank than what the session has set already.
constexpr SessionSetting kBeforeConnecting[] = {
    {"exit_on_error", "off"},
    {"statement_timeout", "0"},  // armed by hand
    {"transaction_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
};

// Some do not exist on every major; those are passed over.
constexpr SessionSetting kForSession[] = {
    {"application_name", "pganalytics visitor"},
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "on"},
    {"default_transaction_deferrable", "off"},
    {"client_encoding", "UTF8"},
};

constexpr SessionSetting kForQueries[] = {
    {"search_path", "pg_catalog"},
    {"row_security", "off"},
    // plans
    {"jit", "off"},
    {"max_parallel_workers_per_gather", "0"},
    {"force_parallel_mode", "off"},
    {"debug_parallel_query", "off"},
    {"work_mem", "4MB"},
    {"hash_mem_multiplier", "1"},
    {"temp_tablespaces", ""},
    {"enable_seqscan", "on"},
    {"enable_indexscan", "on"},
    {"enable_indexonlyscan", "on"},
    {"enable_bitmapscan", "on"},
    {"enable_sort", "on"},
    {"enable_hashagg", "on"},
    {"enable_hashjoin", "on"},
    {"enable_mergejoin", "on"},
    {"enable_nestloop", "on"},
    {"from_collapse_limit", "8"},
    {"join_collapse_limit", "8"},
    // forms
    {"DateStyle", "ISO"},
    {"TimeZone", "UTC"},
    {"IntervalStyle", "postgres"},
    {"extra_float_digits", "1"},
    {"bytea_output", "hex"},
    {"array_nulls", "on"},
    {"quote_all_identifiers", "off"},
    {"standard_conforming_strings", "on"},
    {"transform_null_equals", "off"},
    // statistics are read as they are; a copy of them would cost memory and serve nobody
    {"stats_fetch_consistency", "none"},
};

// Own queries stay out of the log and of the figures they measure.
constexpr SessionSetting kForSuperuser[] = {
    {"lc_messages", "C"},
    {"session_replication_role", "origin"},
    {"track_activities", "on"},
    {"log_statement", "none"},
    {"log_duration", "off"},
    {"log_min_duration_statement", "-1"},
    {"log_min_duration_sample", "-1"},
    {"log_transaction_sample_rate", "0"},
    {"log_parser_stats", "off"},
    {"log_planner_stats", "off"},
    {"log_executor_stats", "off"},
    {"log_statement_stats", "off"},
    {"log_temp_files", "-1"},
    {"debug_print_parse", "off"},
    {"debug_print_rewritten", "off"},
    {"debug_print_plan", "off"},
    {"pg_stat_statements.track", "none"},
    {"auto_explain.log_min_duration", "-1"},
};

}  // namespace

void prepare_session(int lock_timeout_ms) {
    set_session_settings(kBeforeConnecting, false, PGC_S_OVERRIDE);
    set_lock_timeout(lock_timeout_ms, PGC_S_OVERRIDE);
}

void settle_session() {
    // As the session's user, whatever role the database gave it.
    SetConfigOption("role", "none", PGC_USERSET, PGC_S_SESSION);
    set_session_settings(kForSession, false);
    set_session_settings(kForQueries, false);
    if (superuser()) set_session_settings(kForSuperuser, true);
}

void settle_trial() {
    for (const SessionSetting& setting : kForQueries) {
        if (GetConfigOption(setting.name, true, false) == nullptr) continue;
        set_config_option(setting.name, setting.value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                          true, ERROR, false);
    }
}

}  // namespace pganalytics::pg

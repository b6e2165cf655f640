// The settings, as the server holds them. Defined in _PG_init; read by the workers, which look
// again after each reload (Wakeup::reloaded). None of them is a secret.
#pragma once

#include <string>

namespace pganalytics::pg {

enum QueryText : int { kQueryTextNone = 0, kQueryTextNormalized = 1 };

// Owned by PostgreSQL; texts are never null once define_settings() has run, and change only when
// the process reads the configuration again.
struct Settings {
    char* ca_file;
    char* cert_file;
    int collect_interval;      // milliseconds
    int config_pull_interval;  // seconds
    char* database;
    char* databases;
    bool enabled;
    char* exclude_databases;
    int full_interval;  // seconds
    bool hub;
    bool hub_accept_zlib;
    char* hub_ca_file;
    char* hub_ca_key_file;
    char* hub_cert_file;
    int hub_certificate_life;  // seconds
    int hub_console_port;
    char* hub_database;
    bool hub_issue_keys;
    char* hub_key_file;
    char* hub_listen_addresses;
    char* hub_master_key_file;
    int hub_max_body;  // kilobytes
    int hub_max_connections;
    char* hub_names;
    int hub_port;
    int hub_retention;      // seconds
    int hub_storage_quota;  // megabytes a collector; 0: none
    char* hub_url;
    char* key_file;
    int lock_timeout;   // milliseconds
    int log_events;     // least level, as in elog.h; above PANIC: off
    int log_ring_size;  // kilobytes
    int max_rows;
    int memory_limit;  // megabytes
    char* plugins;
    int query_text;  // QueryText
    bool remote_config;
    char* role;
    int sample_interval;    // milliseconds; 0: off
    int spool_limit;        // megabytes
    char* state_directory;  // empty: state_directory() tells
    int statement_timeout;  // milliseconds
    int visit_timeout;      // milliseconds
};

const Settings& settings();

// Those that need a restart are defined only where `preloading`.
void define_settings(bool preloading);

// Where identity, spool and the hub's keys live: the setting, else <data_directory>.pganalytics.
std::string state_directory();

}  // namespace pganalytics::pg

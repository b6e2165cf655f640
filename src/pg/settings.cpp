// The settings (see the header). Runs in the postmaster and in every process of the server: check
// hooks look at the form of a text and nothing else.
#include "pganalytics/pg/settings.hpp"

#include "pganalytics/core/name_patterns.hpp"
#include "pganalytics/core/setting_forms.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

namespace {

char kEmpty[] = "";
char kStar[] = "*";
char kPostgres[] = "postgres";
char kLocalhost[] = "localhost";

// Their defaults, also for a session that loads the library without it being preloaded.
Settings values = {
    .ca_file = kEmpty,
    .cert_file = kEmpty,
    .collect_interval = 60000,
    .config_pull_interval = 300,
    .database = kPostgres,
    .databases = kStar,
    .enabled = true,
    .exclude_databases = kEmpty,
    .full_interval = 3600,
    .hub = false,
    .hub_accept_zlib = false,
    .hub_ca_file = kEmpty,
    .hub_ca_key_file = kEmpty,
    .hub_cert_file = kEmpty,
    .hub_certificate_life = 30 * 86400,
    .hub_console_port = 8444,
    .hub_database = kPostgres,
    .hub_issue_keys = false,
    .hub_key_file = kEmpty,
    .hub_listen_addresses = kLocalhost,
    .hub_master_key_file = kEmpty,
    .hub_max_body = 4096,
    .hub_max_connections = 512,
    .hub_names = kEmpty,
    .hub_port = 8443,
    .hub_retention = 30 * 86400,
    .hub_storage_quota = 0,
    .hub_url = kEmpty,
    .key_file = kEmpty,
    .lock_timeout = 100,
    .log_events = LOG,
    .log_ring_size = 1024,
    .max_rows = 200000,
    .memory_limit = 96,
    .plugins = kStar,
    .query_text = kQueryTextNormalized,
    .remote_config = true,
    .role = kEmpty,
    .sample_interval = 0,
    .spool_limit = 256,
    .state_directory = kEmpty,
    .statement_timeout = 5000,
    .visit_timeout = 2000,
};

const config_enum_entry kQueryTextOptions[] = {
    {"none", kQueryTextNone, false},
    {"normalized", kQueryTextNormalized, false},
    {nullptr, 0, false},
};

// In the order of severity that log_min_messages has, except that an error is below a LOG there
// too.
const config_enum_entry kLogEventOptions[] = {
    {"debug", DEBUG5, false},    {"info", INFO, false},   {"notice", NOTICE, false},
    {"warning", WARNING, false}, {"error", ERROR, false}, {"log", LOG, false},
    {"fatal", FATAL, false},     {"panic", PANIC, false}, {"off", PANIC + 1, false},
    {nullptr, 0, false},
};

// --- hooks

// What a check hook answers for a text that `check` refuses. No C++ value lives when PostgreSQL is
// called.
bool refuse(const FlatError& error) {
    GUC_check_errdetail("%s", error.message);
    return false;
}

template <class Check>
bool has_form(const char* text, Check&& check) {
    FlatError error;
    const bool good = [&]() noexcept {
        try {
            const auto result = check(std::string_view(text));
            if (!result) copy_text(error.message, result.error().message);
            return static_cast<bool>(result);
        } catch (...) {
            detail::describe_exception(&error);
            return false;
        }
    }();
    return good || refuse(error);
}

bool check_url(char** text, void**, GucSource) {
    return (*text)[0] == '\0' || has_form(*text, check_https_url);
}

bool check_path(char** text, void**, GucSource) {
    return (*text)[0] == '\0' || has_form(*text, check_absolute_path);
}

bool check_names(char** text, void**, GucSource) { return has_form(*text, parse_name_patterns); }

bool check_selection(char** text, void**, GucSource) { return has_form(*text, parse_selection); }

bool check_addresses(char** text, void**, GucSource) { return has_form(*text, check_address_list); }

bool check_addresses_or_none(char** text, void**, GucSource) {
    return (*text)[0] == '\0' || has_form(*text, check_address_list);
}

// The state directory would otherwise come along with every base backup.
bool check_state_directory(char** text, void** extra, GucSource source) {
    if (!check_path(text, extra, source)) return false;
    const size_t length = DataDir != nullptr ? std::strlen(DataDir) : 0;
    if (length == 0 || std::strncmp(*text, DataDir, length) != 0 ||
        ((*text)[length] != '/' && (*text)[length] != '\0')) {
        return true;
    }
    GUC_check_errdetail("The state directory must not be inside the data directory.");
    return false;
}

bool check_database(char** text, void**, GucSource) {
    if ((*text)[0] != '\0' && std::strlen(*text) < NAMEDATALEN) return true;
    GUC_check_errdetail("A database's name has 1 to %d bytes.", NAMEDATALEN - 1);
    return false;
}

bool check_role(char** text, void**, GucSource) {
    if (std::strlen(*text) < NAMEDATALEN) return true;
    GUC_check_errdetail("A role's name has at most %d bytes.", NAMEDATALEN - 1);
    return false;
}

bool check_sample_interval(int* value, void**, GucSource) {
    if (*value == 0 || *value >= 100) return true;
    GUC_check_errdetail("The interval is 0 (off) or 100 ms and more.");
    return false;
}

// --- the table

enum class Type : uint8_t { kBool, kInt, kText, kEnum };

struct Definition {
    const char* name;
    const char* help;
    Type type;
    GucContext context = PGC_SIGHUP;
    void* variable = nullptr;
    int least = 0;
    int most = 0;
    int flags = 0;
    GucStringCheckHook check_text = nullptr;
    GucIntCheckHook check_int = nullptr;
    const config_enum_entry* options = nullptr;
};

constexpr Definition switch_of(const char* name, bool* variable, const char* help,
                               GucContext context = PGC_SIGHUP) {
    return {
        .name = name, .help = help, .type = Type::kBool, .context = context, .variable = variable};
}

constexpr Definition number_of(const char* name, int* variable, int least, int most, int flags,
                               const char* help, GucContext context = PGC_SIGHUP,
                               GucIntCheckHook check = nullptr) {
    return {.name = name,
            .help = help,
            .type = Type::kInt,
            .context = context,
            .variable = variable,
            .least = least,
            .most = most,
            .flags = flags,
            .check_int = check};
}

constexpr Definition text_of(const char* name, char** variable, GucStringCheckHook check,
                             const char* help, GucContext context = PGC_SIGHUP, int flags = 0) {
    return {.name = name,
            .help = help,
            .type = Type::kText,
            .context = context,
            .variable = variable,
            .flags = flags,
            .check_text = check};
}

constexpr Definition choice_of(const char* name, int* variable, const config_enum_entry* options,
                               const char* help) {
    return {
        .name = name, .help = help, .type = Type::kEnum, .variable = variable, .options = options};
}

constexpr int kSecond = 1000;
constexpr int kMinute = 60;
constexpr int kDay = 86400;

constexpr Definition kDefinitions[] = {
    text_of("pganalytics.ca_file", &values.ca_file, check_path,
            "File with the certificate authority that the hub's certificate must come from."),
    text_of("pganalytics.cert_file", &values.cert_file, check_path,
            "File with the collector's certificate."),
    number_of("pganalytics.collect_interval", &values.collect_interval, kSecond, 3600 * kSecond,
              GUC_UNIT_MS, "Time from one collection cycle to the next."),
    number_of("pganalytics.config_pull_interval", &values.config_pull_interval, 10, kDay,
              GUC_UNIT_S,
              "No effect in this version: time between two looks at the hub's configuration."),
    text_of("pganalytics.database", &values.database, check_database,
            "Database from which what belongs to the whole server is read."),
    text_of("pganalytics.databases", &values.databases, check_names,
            "Databases to read, with * and ? as wildcards.", PGC_SIGHUP, GUC_LIST_INPUT),
    switch_of("pganalytics.enabled", &values.enabled, "Collects and sends."),
    text_of("pganalytics.exclude_databases", &values.exclude_databases, check_names,
            "Databases not to read, with * and ? as wildcards.", PGC_SIGHUP, GUC_LIST_INPUT),
    number_of("pganalytics.full_interval", &values.full_interval, kMinute, kDay, GUC_UNIT_S,
              "Time after which every row is sent again, changed or not."),
    switch_of("pganalytics.hub", &values.hub, "Makes this server a hub.", PGC_POSTMASTER),
    switch_of("pganalytics.hub_accept_zlib", &values.hub_accept_zlib,
              "Accepts bodies in the zlib format from older collectors."),
    text_of("pganalytics.hub_ca_file", &values.hub_ca_file, check_path,
            "File with the hub's certificate authority."),
    text_of("pganalytics.hub_ca_key_file", &values.hub_ca_key_file, check_path,
            "File with the private key of the hub's certificate authority."),
    text_of("pganalytics.hub_cert_file", &values.hub_cert_file, check_path,
            "File with the hub's certificate."),
    number_of("pganalytics.hub_certificate_life", &values.hub_certificate_life, 10, 90 * kDay,
              GUC_UNIT_S, "Life of certificates the hub issues; renewed after two thirds of it."),
    number_of("pganalytics.hub_console_port", &values.hub_console_port, 0, 65535, 0,
              "Port for people, health and enrolment; 0 puts all on one port."),
    text_of("pganalytics.hub_database", &values.hub_database, check_database,
            "Database in which the hub keeps what it receives.", PGC_POSTMASTER),
    switch_of("pganalytics.hub_issue_keys", &values.hub_issue_keys,
              "Lets the hub make keys for collectors that send no certificate request."),
    text_of("pganalytics.hub_key_file", &values.hub_key_file, check_path,
            "File with the hub's private key."),
    text_of("pganalytics.hub_listen_addresses", &values.hub_listen_addresses, check_addresses,
            "Host names and addresses the hub listens on.", PGC_SIGHUP, GUC_LIST_INPUT),
    text_of("pganalytics.hub_master_key_file", &values.hub_master_key_file, check_path,
            "File with the key from which the keys of collectors' tokens are derived."),
    number_of("pganalytics.hub_max_body", &values.hub_max_body, 64, 65536, GUC_UNIT_KB,
              "Largest body the hub accepts, as it comes over the network."),
    number_of("pganalytics.hub_max_connections", &values.hub_max_connections, 8, 10000, 0,
              "Most connections open to the hub at a time."),
    text_of("pganalytics.hub_names", &values.hub_names, check_addresses_or_none,
            "Names and addresses of the hub in its certificate; empty for the host's own.",
            PGC_SIGHUP, GUC_LIST_INPUT),
    number_of("pganalytics.hub_port", &values.hub_port, 1, 65535, 0, "Port for collectors."),
    number_of("pganalytics.hub_retention", &values.hub_retention, kDay, 3650 * kDay, GUC_UNIT_S,
              "Time the hub keeps what it receives."),
    number_of("pganalytics.hub_storage_quota", &values.hub_storage_quota, 0, 1 << 30, GUC_UNIT_MB,
              "Most storage for the rows of one collector; 0 for no limit."),
    text_of("pganalytics.hub_url", &values.hub_url, check_url,
            "Address of the hub; empty for the one enrolled with, or the own one."),
    text_of("pganalytics.key_file", &values.key_file, check_path,
            "File with the collector's private key."),
    number_of("pganalytics.lock_timeout", &values.lock_timeout, 10, kSecond, GUC_UNIT_MS,
              "Longest wait of the collector for a lock."),
    choice_of("pganalytics.log_events", &values.log_events, kLogEventOptions,
              "No effect in this version: least level of log events that are collected."),
    number_of("pganalytics.log_ring_size", &values.log_ring_size, 0, 16384, GUC_UNIT_KB,
              "No effect in this version: shared memory for log events not yet collected.",
              PGC_POSTMASTER),
    number_of("pganalytics.max_rows", &values.max_rows, 100, 1000000, 0,
              "Most rows kept of one set of figures in one database: the busiest."),
    number_of("pganalytics.memory_limit", &values.memory_limit, 32, 4096, GUC_UNIT_MB,
              "Memory of the program that sends."),
    text_of("pganalytics.plugins", &values.plugins, check_selection,
            "Sources of figures to collect: *, name, -name.", PGC_SIGHUP, GUC_LIST_INPUT),
    choice_of("pganalytics.query_text", &values.query_text, kQueryTextOptions,
              "Form in which texts of statements leave the server."),
    switch_of("pganalytics.remote_config", &values.remote_config,
              "No effect in this version: lets the hub set what its configuration may set."),
    text_of("pganalytics.role", &values.role, check_role,
            "Role that reads; empty for the bootstrap superuser.", PGC_POSTMASTER),
    number_of("pganalytics.sample_interval", &values.sample_interval, 0, 60 * kSecond, GUC_UNIT_MS,
              "No effect in this version: time between two samples of sessions; 0 for none.",
              PGC_SIGHUP, check_sample_interval),
    number_of("pganalytics.spool_limit", &values.spool_limit, 16, 1 << 20, GUC_UNIT_MB,
              "Most disk that is used for what a hub that can't be reached has not got yet."),
    text_of("pganalytics.state_directory", &values.state_directory, check_state_directory,
            "Directory of identity and state; empty for <data_directory>.pganalytics.",
            PGC_POSTMASTER),
    number_of("pganalytics.statement_timeout", &values.statement_timeout, 100, 60 * kSecond,
              GUC_UNIT_MS, "Longest time of one read."),
    number_of("pganalytics.visit_timeout", &values.visit_timeout, 100, 4 * kSecond, GUC_UNIT_MS,
              "Longest stay in one database."),
};
constexpr size_t kCount = sizeof kDefinitions / sizeof kDefinitions[0];

constexpr bool is_sorted_by_name() {
    for (size_t i = 1; i < kCount; ++i) {
        if (!(std::string_view(kDefinitions[i - 1].name) <
              std::string_view(kDefinitions[i].name))) {
            return false;
        }
    }
    return true;
}
static_assert(is_sorted_by_name());

void define(const Definition& d) {
    switch (d.type) {
        case Type::kBool: {
            auto* variable = static_cast<bool*>(d.variable);
            DefineCustomBoolVariable(d.name, d.help, nullptr, variable, *variable, d.context,
                                     d.flags, nullptr, nullptr, nullptr);
            break;
        }
        case Type::kInt: {
            auto* variable = static_cast<int*>(d.variable);
            DefineCustomIntVariable(d.name, d.help, nullptr, variable, *variable, d.least, d.most,
                                    d.context, d.flags, d.check_int, nullptr, nullptr);
            break;
        }
        case Type::kText: {
            auto* variable = static_cast<char**>(d.variable);
            DefineCustomStringVariable(d.name, d.help, nullptr, variable, *variable, d.context,
                                       d.flags, d.check_text, nullptr, nullptr);
            break;
        }
        case Type::kEnum: {
            auto* variable = static_cast<int*>(d.variable);
            DefineCustomEnumVariable(d.name, d.help, nullptr, variable, *variable, d.options,
                                     d.context, d.flags, nullptr, nullptr, nullptr);
            break;
        }
    }
}

}  // namespace

const Settings& settings() { return values; }

void define_settings(bool preloading) {
    for (const Definition& definition : kDefinitions) {
        if (definition.context != PGC_POSTMASTER || preloading) define(definition);
    }
    reserve_setting_prefix("pganalytics");
}

std::string state_directory() {
    if (values.state_directory[0] != '\0') return values.state_directory;
    return std::string(DataDir) + ".pganalytics";
}

}  // namespace pganalytics::pg

// Kinds of processes by their titles (see the header; PostgreSQL:
// src/backend/utils/misc/ps_status.c and the callers of init_ps_display()). Runs in the program.
#include "pganalytics/host/backend_title.hpp"

#include <algorithm>

namespace pganalytics::host {

namespace {

constexpr std::string_view kPrefix = "postgres: ";

// Titles that are, or begin with, the kind itself: some say behind it what they do.
constexpr std::string_view kKinds[] = {
    "archiver",
    "autovacuum launcher",
    "autovacuum worker",
    "background writer",
    "checkpointer",
    "io worker",
    "logger",
    "parallel worker",
    "slotsync worker",
    "startup",
    "stats collector",
    "walreceiver",
    "walsender",
    "walsummarizer",
    "walwriter",
    "pganalytics collector",
    "pganalytics hub",
    "pganalytics visitor",
    "logical replication apply worker",
    "logical replication launcher",
    "logical replication parallel worker",
    "logical replication tablesync worker",
    "logical replication worker",
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "user database [local] idle", "user database 10.0.0.1(5432) idle": behind names that may have
// blanks comes the address.
bool has_client_address(std::string_view title) {
    if (title.find(" [local]") != std::string_view::npos) return true;
    for (size_t at = title.find('('); at != std::string_view::npos; at = title.find('(', at + 1)) {
        const std::string_view rest = title.substr(at + 1);
        const auto end = std::find_if_not(rest.begin(), rest.end(), is_digit);
        if (end != rest.begin() && end != rest.end() && *end == ')') return true;
    }
    return false;
}

std::string_view kind_of(std::string_view title) {
    for (const std::string_view kind : kKinds) {
        if (title == kind || (title.starts_with(kind) && title[kind.size()] == ' ')) return kind;
    }
    return {};
}

}  // namespace

std::string backend_type(std::string_view title) {
    while (!title.empty() && (title.back() == '\0' || title.back() == ' ')) title.remove_suffix(1);
    if (!title.starts_with(kPrefix)) return {};
    title.remove_prefix(kPrefix.size());
    std::string_view kind = kind_of(title);
    // cluster_name, where it is set, comes first: "15/main: ".
    const size_t colon = title.find(": ");
    if (kind.empty() && colon != std::string_view::npos) kind = kind_of(title.substr(colon + 2));
    if (!kind.empty()) return std::string(kind);
    return has_client_address(title) ? "client backend" : "background worker";
}

}  // namespace pganalytics::host

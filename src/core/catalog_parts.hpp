// Shorthands for the declarations in catalog_<plugin>.cpp, and what each of those files offers.
#pragma once

#include <span>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/change_marks.hpp"

namespace pganalytics::parts {

inline constexpr Versions kEver = {};
constexpr Versions since(int major) { return {major, 999}; }
constexpr Versions until(int major) { return {0, major}; }
constexpr Versions between(int first, int last) { return {first, last}; }

constexpr Column key(std::string_view name, ColumnType type, std::string_view sql,
                     std::string_view help) {
    return {name, sql, type, Kind::kKey, "", help, kEver};
}

constexpr Column label(std::string_view name, ColumnType type, std::string_view sql,
                       std::string_view help, Versions versions = kEver) {
    return {name, sql, type, Kind::kLabel, "", help, versions};
}

constexpr Column counter(std::string_view name, std::string_view unit, std::string_view sql,
                         std::string_view help, Versions versions = kEver) {
    return {name, sql, ColumnType::kInt64, Kind::kCounter, unit, help, versions};
}

// A sum of measured times: milliseconds with a fraction, as the server keeps them.
constexpr Column time_counter(std::string_view name, std::string_view sql, std::string_view help,
                              Versions versions = kEver) {
    return {name, sql, ColumnType::kFloat64, Kind::kCounter, "milliseconds", help, versions};
}

constexpr Column gauge(std::string_view name, ColumnType type, std::string_view unit,
                       std::string_view sql, std::string_view help, Versions versions = kEver) {
    return {name, sql, type, Kind::kGauge, unit, help, versions};
}

// A moment: when something happened last, or since when counters count.
constexpr Column moment(std::string_view name, std::string_view sql, std::string_view help,
                        Versions versions = kEver) {
    return {name, sql, ColumnType::kTimestamp, Kind::kGauge, "", help, versions};
}

// SQL text of somebody else's.
constexpr Column statement(std::string_view name, std::string_view sql, std::string_view help,
                           Versions versions = kEver) {
    return {name, sql, ColumnType::kText, Kind::kGauge, "", help, versions, TextForm::kStatement};
}

constexpr Rowset shown_by(Presence presence, Rowset rowset) {
    rowset.presence = presence;
    return rowset;
}

// By definitions alone where no other mark is named. On majors after `until` it has what no mark
// tells.
constexpr Rowset changing_with_definitions(Rowset rowset, unsigned others = 0, int until = 999) {
    rowset.changes_with = static_cast<uint8_t>(kWithDefinitions | others);
    rowset.marked_until = until;
    return rowset;
}

// Of the hub's tables each day is a partition.
#define PGANALYTICS_NO_DAY_OF_THE_HUB(relation) \
    "NOT (COALESCE(" relation                   \
    ".relispartition, false)"                   \
    " AND n.nspname OPERATOR(pg_catalog.=) 'pganalytics'::pg_catalog.name)"

// Of all that defines an object, as the text of a row.
constexpr Column digest(std::string_view sql, Versions versions = kEver) {
    return {"digest",
            sql,
            ColumnType::kText,
            Kind::kLabel,
            "",
            "another one when any part of its definition is another; it tells nothing else",
            versions,
            TextForm::kDigest};
}

// The OID that stands first in each row of a database; evaluated once a query.
inline constexpr std::string_view kThisDatabase =
    "(SELECT d.oid FROM pg_catalog.pg_database d"
    " WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())";

std::span<const Rowset> pg_activity();
std::span<const Rowset> pg_activity_progress();
std::span<const Rowset> pg_locks();
std::span<const Rowset> pg_query_stats();
std::span<const Rowset> pg_settings();
std::span<const Rowset> pg_extensions();
std::span<const Rowset> pg_roles();
std::span<const Rowset> pg_bloat();
std::span<const Rowset> pg_schema();
std::span<const Rowset> pg_schema_details();
std::span<const Rowset> pg_stats_more();
std::span<const Rowset> pg_stats_autovacuum();
std::span<const Rowset> pg_stats_files();
std::span<const Rowset> pg_stats();
std::span<const Rowset> pg_stats_server();
std::span<const Rowset> pg_replication();
std::span<const Rowset> pg_replication_logical();
std::span<const Rowset> pg_replication_recovery();
std::span<const Rowset> sysstat();
std::span<const Rowset> disk_usage();
std::span<const Rowset> pg_log();
std::span<const Rowset> pganalytics_own();
std::span<const Rowset> own();

}  // namespace pganalytics::parts

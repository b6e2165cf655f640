// Shorthands for the declarations in catalog_<plugin>.cpp, and what each of those files offers.
#pragma once

#include <span>

#include "pganalytics/core/catalog.hpp"

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

std::span<const Rowset> pg_stats();
std::span<const Rowset> pg_stats_server();
std::span<const Rowset> pg_replication();
std::span<const Rowset> sysstat();
std::span<const Rowset> disk_usage();
std::span<const Rowset> pg_log();
std::span<const Rowset> pganalytics_own();

}  // namespace pganalytics::parts

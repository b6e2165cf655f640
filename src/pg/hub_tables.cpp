// The tables of rowsets (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_tables.hpp"

#include "pganalytics/core/copy_rows.hpp"
#include "pganalytics/core/hub_schema.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/log.hpp"

namespace pganalytics::pg {

namespace {

// A table of one of our names that is another's is as good as none; COPY refuses it in its turn.
Statement read_tables = {
    "SELECT c.oid::pg_catalog.int8, c.relname::pg_catalog.text, a.attname::pg_catalog.text"
    "  FROM pg_catalog.pg_class c"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    "   AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE c.relnamespace = $1 AND c.relkind = 'p' AND c.relowner = $2"
    " ORDER BY c.oid, a.attnum"};

#define PARTITION_BOUND(place)                                                \
    "(pg_catalog.regexp_match(pg_catalog.pg_get_expr(p.relpartbound, p.oid)," \
    " 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)'))[" place "]::pg_catalog.timestamptz"

Statement read_partitions = {
    "SELECT i.inhparent::pg_catalog.int8, " PARTITION_BOUND("1") ", " PARTITION_BOUND("2")
    "  FROM pg_catalog.pg_class c"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid"
    "  JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid"
    " WHERE c.relnamespace = $1 AND c.relkind = 'p' AND c.relowner = $2"};

Statement record_table = {
    "INSERT INTO pganalytics.rowsets AS r"
    "   (plugin, rowset, table_name, columns, version, created_at)"
    " VALUES ($1, $2, $3, pg_catalog.string_to_array($4, ','), $5, pg_catalog.now())"
    " ON CONFLICT (plugin, rowset) DO UPDATE SET columns = excluded.columns,"
    "   version = excluded.version, changed_at = pg_catalog.now()"};

void record(const Rowset& rowset, std::string_view table, std::string_view columns,
            const char* event) {
    Arguments arguments;
    arguments.text(rowset.plugin);
    arguments.text(rowset.name);
    arguments.text(table);
    arguments.text(columns);
    arguments.text(kVersion);
    run_statement(record_table, arguments);
    write_audit({.event = event, .first = "table", .first_value = table});
}

std::string joined(std::span<const std::string> names) {
    std::string text;
    for (const std::string& name : names) {
        if (!text.empty()) text += ',';
        text += name;
    }
    return text;
}

std::vector<std::string> column_names(const Rowset& rowset) {
    std::vector<std::string> names;
    for (const HubColumn& column : hub_columns(rowset)) names.emplace_back(column.name);
    return names;
}

bool contains(std::span<const std::string> names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

const Rowset& rowset_at(size_t number) { return catalog()[number]; }

void add_day(std::vector<int32_t>& days, int32_t day) {
    const auto place = std::lower_bound(days.begin(), days.end(), day);
    if (place == days.end() || *place != day) days.insert(place, day);
}

constexpr int64_t kDayUs = int64_t{86400} * 1000000;

}  // namespace

bool HubTables::load(FlatError& error) noexcept {
    return guarded_or(false, [&] {
        std::vector<RowsetTable> tables(catalog().size());
        if (!read_columns(tables, error) || !read_days(tables, error)) return false;
        tables_ = std::move(tables);
        return true;
    });
}

bool HubTables::read_columns(std::vector<RowsetTable>& tables, FlatError& error) {
    // Every column as (table, its number in the catalog), kept apart from PostgreSQL's memory.
    struct Found {
        Oid oid;
        std::string table;
        std::string column;
    };
    std::vector<Found> found;
    const bool done = run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            Arguments arguments;
            arguments.oid(place.schema);
            arguments.oid(place.owner);
            const uint64_t rows = run_statement(read_tables, arguments);
            for (uint64_t row = 0; row < rows; ++row) {
                const auto oid = static_cast<Oid>(field_integer(row, 0));
                const std::string_view table = field_text(row, 1);
                const std::string_view column = field_text(row, 2);
                found.push_back({oid, std::string(table), std::string(column)});
            }
        },
        error);
    if (!done) return false;
    for (size_t number = 0; number < tables.size(); ++number) {
        const std::string name = hub_table(rowset_at(number));
        const std::vector<std::string> known = column_names(rowset_at(number));
        for (const Found& column : found) {
            if (column.table != name) continue;
            tables[number].oid = column.oid;
            if (contains(known, column.column)) tables[number].columns.push_back(column.column);
        }
    }
    return true;
}

bool HubTables::read_days(std::vector<RowsetTable>& tables, FlatError& error) {
    struct Found {
        Oid parent;
        int64_t from;
        int64_t to;
    };
    std::vector<Found> found;
    const bool done = run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            Arguments arguments;
            arguments.oid(place.schema);
            arguments.oid(place.owner);
            const uint64_t rows = run_statement(read_partitions, arguments);
            for (uint64_t row = 0; row < rows; ++row) {
                if (field_is_null(row, 1) || field_is_null(row, 2)) continue;
                found.push_back({static_cast<Oid>(field_integer(row, 0)), field_time(row, 1),
                                 field_time(row, 2)});
            }
        },
        error);
    if (!done) return false;
    for (const Found& partition : found) {
        for (RowsetTable& table : tables) {
            const bool sane = partition.to - partition.from <= 400 * kDayUs;
            if (table.oid != partition.parent || !sane) continue;
            // Somebody may have joined days into a longer partition.
            for (int64_t at = partition.from; at + kDayUs <= partition.to; at += kDayUs)
                add_day(table.days, day_of(at));
        }
    }
    return true;
}

std::vector<ServeTarget> HubTables::targets() const {
    std::vector<ServeTarget> targets;
    for (size_t number = 0; number < tables_.size(); ++number) {
        const RowsetTable& table = tables_[number];
        targets.push_back({static_cast<uint16_t>(number), OidIsValid(table.oid)
                                                              ? table.columns
                                                              : column_names(rowset_at(number))});
    }
    return targets;
}

bool HubTables::make_table(const Rowset& rowset, FlatError& error) {
    RowsetTable& table = tables_[rowset_number(rowset)];
    const std::string name = hub_table(rowset);
    const std::string sql = create_table_sql(rowset);
    const std::vector<std::string> names = column_names(rowset);
    const std::string columns = joined(names);
    Oid oid = InvalidOid;
    const bool done = run_in_hub(
        kDdlLimits,
        [&](const HubPlace& place) {
            run_sql(sql.c_str());
            oid = get_relname_relid(name.c_str(), place.schema);
            record(rowset, name, columns, "table made");
        },
        error);
    if (!done) return false;
    table.oid = oid;
    table.columns = names;
    return true;
}

// `taken`: nothing was made, because another relation has the name.
bool HubTables::try_partition(const Rowset& rowset, int32_t day, int number, bool& taken,
                              FlatError& error) {
    const std::string name = partition_name(rowset, day, number);
    const std::string sql = create_partition_sql(rowset, day, number);
    return run_in_hub(
        kDdlLimits,
        [&](const HubPlace& place) {
            taken = OidIsValid(get_relname_relid(name.c_str(), place.schema));
            if (!taken) run_sql(sql.c_str());
        },
        error);
}

bool HubTables::make_partition(const Rowset& rowset, int32_t day, FlatError& error) {
    bool taken = true;
    for (int number = 1; taken && number <= kPartitionNames; ++number) {
        if (!try_partition(rowset, day, number, taken, error)) return false;
    }
    if (taken) {
        error.code = ERRCODE_DUPLICATE_TABLE;
        copy_text(error.message, "all names for a partition are taken");
        return false;
    }
    add_day(tables_[rowset_number(rowset)].days, day);
    return true;
}

bool HubTables::prepare(uint16_t number, std::span<const int32_t> days, FlatError& error) {
    const Rowset& rowset = rowset_at(number);
    RowsetTable& table = tables_[number];
    if (!OidIsValid(table.oid) && !make_table(rowset, error)) return false;
    for (const int32_t day : days) {
        const bool there = std::binary_search(table.days.begin(), table.days.end(), day);
        if (!there && !make_partition(rowset, day, error)) return false;
    }
    return true;
}

bool HubTables::prepare_days(std::span<const int32_t> days, FlatError& error) {
    bool good = true;
    for (size_t number = 0; number < tables_.size(); ++number) {
        // One that is locked keeps no other waiting.
        if (OidIsValid(tables_[number].oid))
            good = prepare(static_cast<uint16_t>(number), days, error) && good;
    }
    return good;
}

bool HubTables::add_columns(bool& changed, FlatError& error) {
    for (size_t number = 0; number < tables_.size(); ++number) {
        RowsetTable& table = tables_[number];
        if (!OidIsValid(table.oid)) continue;
        const Rowset& rowset = rowset_at(number);
        const std::string name = hub_table(rowset);
        std::vector<std::string> columns = table.columns;
        std::string sql;
        for (const HubColumn& column : hub_columns(rowset)) {
            if (contains(columns, column.name)) continue;
            sql += add_column_sql(rowset, column) + ";\n";
            columns.emplace_back(column.name);
        }
        if (sql.empty()) continue;
        const std::string text = joined(columns);
        const bool done = run_in_hub(
            kDdlLimits,
            [&](const HubPlace&) {
                run_sql(sql.c_str());
                record(rowset, name, text, "table extended");
            },
            error);
        if (!done) return false;
        table.columns = std::move(columns);
        changed = true;
    }
    return true;
}

}  // namespace pganalytics::pg

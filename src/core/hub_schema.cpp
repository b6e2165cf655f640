// The hub's tables as SQL text (see the header). Runs in the hub worker.
#include "pganalytics/core/hub_schema.hpp"

#include <chrono>
#include <cstdio>

namespace pganalytics {

namespace {

std::string quoted(std::string_view text, char quote) {
    std::string out(1, quote);
    for (const char c : text) {
        if (c == quote) out.push_back(quote);
        out.push_back(c);
    }
    out.push_back(quote);
    return out;
}

std::chrono::year_month_day date_of(int32_t day) {
    return std::chrono::sys_days(std::chrono::days(day));
}

std::string column_sql(const HubColumn& column) {
    std::string sql = quote_identifier(column.name);
    sql += ' ';
    sql += sql_type(column.type);
    return sql;
}

std::string index_columns(const Rowset& rowset) {
    std::string columns = "collector_id";
    if (is_of_database(rowset)) columns += ", datid";
    if (rowset.scope == Scope::kHub) {
        for (const Column* column : all_columns(rowset)) {
            if (column->kind != Kind::kKey || column->type == ColumnType::kJson) continue;
            columns += ", " + quote_identifier(column->name);
        }
    }
    return columns + ", \"time\"";
}

}  // namespace

std::vector<HubColumn> hub_columns(const Rowset& rowset) {
    std::vector<HubColumn> columns = {{"time", ColumnType::kTimestamp},
                                      {"collector_id", ColumnType::kUuid}};
    for (const Column* column : all_columns(rowset)) {
        columns.push_back({column->name, column->type});
        if (is_of_database(rowset) && column->name == "datid")
            columns.push_back({"datname", ColumnType::kText});
    }
    return columns;
}

std::string quote_identifier(std::string_view name) { return quoted(name, '"'); }

std::string quote_literal(std::string_view text) { return quoted(text, '\''); }

std::string qualified_table(std::string_view table) {
    return "pganalytics." + quote_identifier(table);
}

std::string create_table_sql(const Rowset& rowset) {
    const std::string table = qualified_table(hub_table(rowset));
    std::string sql = "CREATE TABLE " + table + " (";
    size_t place = 0;
    for (const HubColumn& column : hub_columns(rowset)) {
        if (place > 0) sql += ", ";
        sql += column_sql(column);
        // time and collector_id
        if (place++ < 2) sql += " NOT NULL";
    }
    sql += ") PARTITION BY RANGE (\"time\");\n";
    sql += "COMMENT ON TABLE " + table + " IS " + quote_literal(rowset.help) + ";\n";
    sql += "CREATE INDEX ON " + table + " (" + index_columns(rowset) + ");\n";
    sql += "GRANT SELECT ON " + table + " TO pg_monitor";
    return sql;
}

std::string add_column_sql(const Rowset& rowset, const HubColumn& column) {
    return "ALTER TABLE " + qualified_table(hub_table(rowset)) + " ADD COLUMN " +
           column_sql(column);
}

std::string partition_name(const Rowset& rowset, int32_t day, int number) {
    const std::chrono::year_month_day date = date_of(day);
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, "_%04d%02u%02u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    std::string name = hub_table(rowset) + suffix;
    if (number > 1) name += "_" + std::to_string(number);
    return name;
}

std::string day_text(int32_t day) {
    const std::chrono::year_month_day date = date_of(day);
    char text[48];
    std::snprintf(text, sizeof text, "%04d-%02u-%02u 00:00:00+00", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    return text;
}

std::string create_partition_sql(const Rowset& rowset, int32_t day, int number) {
    const std::string parent = qualified_table(hub_table(rowset));
    const std::string partition = qualified_table(partition_name(rowset, day, number));
    return "CREATE TABLE " + partition + " (LIKE " + parent + " INCLUDING ALL);\n" +
           "ALTER TABLE " + parent + " ATTACH PARTITION " + partition + " FOR VALUES FROM (" +
           quote_literal(day_text(day)) + ") TO (" + quote_literal(day_text(day + 1)) + ")";
}

}  // namespace pganalytics

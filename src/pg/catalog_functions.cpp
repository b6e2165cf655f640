// pganalytics_catalog() and pganalytics_settings(). Run in sessions.
#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/functions.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/result_rows.hpp"

namespace pganalytics::pg {

namespace {

constexpr int kCatalogColumns = 12;
constexpr int kFirstVersion = 8;
constexpr int kLastVersion = 9;
constexpr int kHubTable = 10;
constexpr int kEver = 999;

Datum text_datum(std::string_view text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

// A column that differs between majors is declared several times.
Versions versions_of(const Rowset& rowset, const Column& column) {
    Versions all = column.versions;
    for (const Column& other : rowset.columns) {
        if (other.name != column.name) continue;
        all.first = std::min(all.first, other.versions.first);
        all.last = std::max(all.last, other.versions.last);
    }
    return all;
}

bool is_first_of_its_name(const Rowset& rowset, const Column& column) {
    for (const Column& other : rowset.columns) {
        if (other.name == column.name) return &other == &column;
    }
    return true;
}

void put_column(ResultRows* result, const Rowset& rowset, const Column& column, Datum table) {
    Datum values[kCatalogColumns] = {};
    bool nulls[kCatalogColumns] = {};
    const Versions versions = versions_of(rowset, column);
    auto* period = static_cast<Interval*>(palloc0(sizeof(Interval)));
    period->time = int64_t{rowset.period_seconds} * USECS_PER_SEC;
    int i = 0;
    values[i++] = text_datum(rowset.plugin);
    values[i++] = text_datum(rowset.name);
    values[i++] = text_datum(column.name);
    values[i++] = text_datum(sql_type(column.type));
    values[i++] = text_datum(kind_name(column.kind).data());
    nulls[i] = column.unit.empty();
    values[i++] = text_datum(column.unit);
    values[i++] = text_datum(scope_name(rowset.scope).data());
    values[i++] = PointerGetDatum(period);
    values[kFirstVersion] = Int32GetDatum(versions.first);
    nulls[kFirstVersion] = versions.first == 0;
    values[kLastVersion] = Int32GetDatum(versions.last);
    nulls[kLastVersion] = versions.last >= kEver;
    values[kHubTable] = table;
    values[kHubTable + 1] = text_datum(column.help);
    tuplestore_putvalues(result->store, result->description, values, nulls);
}

struct TableName {
    char text[NAMEDATALEN * 2];
};

constexpr const char* kSettingsQuery =
    "SELECT s.name, pg_catalog.current_setting(s.name),"
    " CASE WHEN s.source OPERATOR(pg_catalog.=) 'default' THEN 'default' ELSE 'local' END"
    " FROM pg_catalog.pg_settings s"
    " WHERE pg_catalog.starts_with(s.name, 'pganalytics.') ORDER BY s.name COLLATE \"C\"";

}  // namespace

Datum sql_catalog(FunctionCallInfo call) {
    ResultRows result = begin_result(call);
    for (const Rowset& rowset : catalog()) {
        TableName name = {};
        guarded([&] { copy_text(name.text, "pganalytics." + hub_table(rowset)); });
        const Datum table = text_datum(name.text);
        for (const Column& column : rowset.columns) {
            if (is_first_of_its_name(rowset, column)) put_column(&result, rowset, column, table);
        }
    }
    return Datum{0};
}

Datum sql_settings(FunctionCallInfo call) {
    ResultRows result = begin_result(call);
    SPI_connect();
    if (SPI_execute(kSettingsQuery, true, 0) != SPI_OK_SELECT) {
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("settings could not be read")));
    }
    for (uint64 i = 0; i < SPI_processed; ++i) {
        const HeapTuple row = SPI_tuptable->vals[i];
        const TupleDesc description = SPI_tuptable->tupdesc;
        const char* local = SPI_getvalue(row, description, 2);
        const char* values[] = {SPI_getvalue(row, description, 1), local,  nullptr, local,
                                SPI_getvalue(row, description, 3), nullptr};
        put_text_row(&result, values);
    }
    SPI_finish();
    return Datum{0};
}

}  // namespace pganalytics::pg

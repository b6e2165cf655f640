// Statements without a query (see the header). Between PostgreSQL calls: plain data only. Runs in
// visitors.
#include "pganalytics/pg/statement_scan.hpp"

#include <cmath>

#include "pganalytics/core/row_format.hpp"
#include "pganalytics/pg/set_function.hpp"

extern "C" {
#include "executor/tuptable.h"
#include "utils/numeric.h"
}

namespace pganalytics::pg {

namespace {

// As in the catalog's SELECT: more than these are ranked, and before 1.9 a key may come twice.
constexpr uint64_t kMostStatements = 5000;
constexpr int kFirstVersion = 109;

enum class From : uint8_t { kNothing, kValue, kToNanoseconds, kNumeric, kDatabase, kRole };

struct Field {
    From from;
    int place;  // among the function's columns
};

// Of databases and roles. Few of them have most of the statements.
struct NameCache {
    struct Entry {
        Oid oid;
        bool there;
        NameData name;
    };
    static constexpr Oid kEntries = 64;
    Entry entries[kEntries];
};

struct Scan {
    Field fields[kMaxColumns];
    int dbid;
    int userid;
    NameCache databases;
    NameCache roles;
    Datum most;  // int8, as numeric
};

int find_column(TupleDesc columns, std::string_view name) {
    for (int i = 0; i < columns->natts; ++i) {
        if (name == NameStr(TupleDescAttr(columns, i)->attname)) return i;
    }
    return -1;
}

Oid type_of(ColumnType type) {
    switch (type) {
        case ColumnType::kBool:
            return BOOLOID;
        case ColumnType::kInt64:
            return INT8OID;
        case ColumnType::kFloat64:
            return FLOAT8OID;
        case ColumnType::kTimestamp:
            return TIMESTAMPTZOID;
        case ColumnType::kOid:
            return OIDOID;
        case ColumnType::kText:
            return NAMEOID;
        default:
            return InvalidOid;
    }
}

// Two had another name before 1.11.
std::string_view older_name(std::string_view name) {
    if (name == "shared_blk_read_time") return "blk_read_time";
    if (name == "shared_blk_write_time") return "blk_write_time";
    return name;
}

bool plan_field(const Column& column, TupleDesc columns, Field* field) {
    *field = {From::kNothing, -1};
    if (column.name == "datname") {
        field->from = From::kDatabase;
        return true;
    }
    if (column.name == "rolname") {
        field->from = From::kRole;
        return true;
    }
    int place = find_column(columns, column.name);
    if (place < 0) place = find_column(columns, older_name(column.name));
    if (place < 0) return true;
    const Oid type = TupleDescAttr(columns, place)->atttypid;
    const bool numeric = type == NUMERICOID && column.type == ColumnType::kInt64;
    const bool rounded = type == FLOAT8OID && column.name.starts_with("stddev_");
    *field = {numeric ? From::kNumeric : rounded ? From::kToNanoseconds : From::kValue, place};
    return numeric || (type == type_of(column.type) && column.type != ColumnType::kText);
}

bool plan_scan(std::span<const Column* const> wanted, TupleDesc columns, Scan* scan) {
    scan->dbid = find_column(columns, "dbid");
    scan->userid = find_column(columns, "userid");
    if (scan->dbid < 0 || scan->userid < 0 || wanted.size() > kMaxColumns) return false;
    for (size_t i = 0; i < wanted.size(); ++i) {
        if (!plan_field(*wanted[i], columns, &scan->fields[i])) return false;
    }
    scan->most = DirectFunctionCall1(int8_numeric, Int64GetDatum(INT64_MAX));
    return true;
}

TupleDesc describe(std::span<const Column* const> columns) {
    TupleDesc const description = CreateTemplateTupleDesc(static_cast<int>(columns.size()));
    for (size_t i = 0; i < columns.size(); ++i)
        TupleDescInitEntry(description, static_cast<AttrNumber>(i + 1), "column",
                           type_of(columns[i]->type), -1, 0);
    return description;
}

// False: there is none of that OID any more.
template <class LookUp>
bool cached_name(NameCache* cache, const TupleTableSlot* row, int place, LookUp&& look_up,
                 Datum* value) {
    if (row->tts_isnull[place]) return false;
    const Oid oid = DatumGetObjectId(row->tts_values[place]);
    NameCache::Entry& entry = cache->entries[oid % NameCache::kEntries];
    if (entry.oid != oid || !OidIsValid(oid)) {
        const char* const name = look_up(oid);
        entry.oid = oid;
        entry.there = name != nullptr;
        if (name != nullptr) namestrcpy(&entry.name, name);
    }
    *value = NameGetDatum(&entry.name);
    return entry.there;
}

// As LEAST(value, most)::int8.
Datum to_int8(const Scan& scan, Datum value) {
    const bool too_large = DatumGetBool(DirectFunctionCall2(numeric_gt, value, scan.most));
    return too_large ? Int64GetDatum(INT64_MAX) : DirectFunctionCall1(numeric_int8, value);
}

// False: null.
bool read_field(Scan* scan, const Field& field, const TupleTableSlot* row, Datum* value) {
    switch (field.from) {
        case From::kNothing:
            return false;
        case From::kValue:
            *value = row->tts_values[field.place];
            return !row->tts_isnull[field.place];
        case From::kToNanoseconds:
            *value =
                Float8GetDatum(std::rint(DatumGetFloat8(row->tts_values[field.place]) * 1e6) / 1e6);
            return !row->tts_isnull[field.place];
        case From::kNumeric:
            if (row->tts_isnull[field.place]) return false;
            *value = to_int8(*scan, row->tts_values[field.place]);
            return true;
        case From::kDatabase:
            return cached_name(&scan->databases, row, scan->dbid, get_database_name, value);
        case From::kRole:
            return cached_name(
                &scan->roles, row, scan->userid,
                [](Oid oid) { return GetUserNameFromId(oid, true); }, value);
    }
    return false;
}

bool may(PGFunction has_privilege, Oid object, const char* privilege) {
    return DatumGetBool(DirectFunctionCall2(has_privilege, ObjectIdGetDatum(object),
                                            CStringGetTextDatum(privilege)));
}

}  // namespace

bool can_scan_statements(const Rowset& rowset, const FoundExtension& found, int version,
                         uint64_t max_rows) {
    if (rowset.name != "statements" || version < kFirstVersion || !OidIsValid(found.function))
        return false;
    const char* const kept = GetConfigOption("pg_stat_statements.max", true, false);
    const uint64_t most = std::min(kMostStatements, std::max<uint64_t>(max_rows, 1) - 1);
    if (kept == nullptr || std::strtoull(kept, nullptr, 10) > most) return false;
    return has_privs_of_role(GetUserId(), get_role_oid("pg_read_all_stats", false)) &&
           may(has_function_privilege_id, found.function, "EXECUTE") &&
           may(has_schema_privilege_id, found.namespace_oid, "USAGE");
}

bool scan_statements(const FoundExtension& found, std::span<const Column* const> columns,
                     DestReceiver* receiver) {
    const Datum without_texts[] = {BoolGetDatum(false)};
    const SetResult result = call_set_function(found.function, without_texts);
    auto* scan = static_cast<Scan*>(palloc0(sizeof(Scan)));
    if (result.rows == nullptr) return false;
    if (result.columns == nullptr || !plan_scan(columns, result.columns, scan)) {
        tuplestore_end(result.rows);
        return false;
    }
    TupleDesc const description = describe(columns);
    receiver->rStartup(receiver, CMD_SELECT, description);
    TupleTableSlot* const row = MakeSingleTupleTableSlot(result.columns, &TTSOpsMinimalTuple);
    TupleTableSlot* const out = MakeSingleTupleTableSlot(description, &TTSOpsVirtual);
    bool wanted = true;
    while (wanted && tuplestore_gettupleslot(result.rows, true, false, row)) {
        CHECK_FOR_INTERRUPTS();
        slot_getallattrs(row);
        ExecClearTuple(out);
        for (int i = 0; i < description->natts; ++i)
            out->tts_isnull[i] = !read_field(scan, scan->fields[i], row, &out->tts_values[i]);
        ExecStoreVirtualTuple(out);
        wanted = receiver->receiveSlot(out, receiver);
    }
    ExecDropSingleTupleTableSlot(out);
    ExecDropSingleTupleTableSlot(row);
    tuplestore_end(result.rows);
    return true;
}

}  // namespace pganalytics::pg

// Statements of the hub (see the header). Runs in the hub worker and in the hub's SQL functions.
#include "pganalytics/pg/hub_sql.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kEpochShift =
    static_cast<int64_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

Datum field(uint64_t row, int column, bool* is_null) {
    if (SPI_tuptable == nullptr || row >= SPI_processed)
        elog(ERROR, "pganalytics: no row %llu", static_cast<unsigned long long>(row));
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, is_null);
}

std::string_view variable(uint64_t row, int column) {
    bool is_null = false;
    const Datum value = field(row, column, &is_null);
    if (is_null) return {};
    const varlena* data = PG_DETOAST_DATUM_PACKED(value);
    return {VARDATA_ANY(data), static_cast<size_t>(VARSIZE_ANY_EXHDR(data))};
}

[[noreturn]] void fail(const Statement& statement, int code) {
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg("%s in \"%.60s\"", SPI_result_code_string(code), statement.text)));
    pg_unreachable();
}

}  // namespace

int64_t to_unix_us(TimestampTz time) { return time + kEpochShift; }

TimestampTz from_unix_us(int64_t time) {
    // Beyond the type's range on either side: its end.
    const int64_t shifted = time < MIN_TIMESTAMP + kEpochShift ? MIN_TIMESTAMP : time - kEpochShift;
    return std::min<int64_t>(shifted, END_TIMESTAMP - 1);
}

void Arguments::add(Oid type, Datum value, bool is_null) {
    if (count_ >= kLimit) elog(ERROR, "pganalytics: too many arguments");
    types_[count_] = type;
    values_[count_] = value;
    nulls_[count_] = is_null ? 'n' : ' ';
    ++count_;
}

void Arguments::text(std::string_view value) {
    const int size = static_cast<int>(std::min<size_t>(value.size(), MaxAllocSize / 2));
    pg_verify_mbstr(PG_UTF8, value.data(), size, false);
    add(TEXTOID, PointerGetDatum(cstring_to_text_with_len(value.data(), size)));
}

void Arguments::bytes(std::string_view value) {
    const size_t size = std::min<size_t>(value.size(), MaxAllocSize / 2);
    auto* copy = static_cast<bytea*>(palloc(size + VARHDRSZ));
    SET_VARSIZE(copy, size + VARHDRSZ);
    memcpy(VARDATA(copy), value.data(), size);
    add(BYTEAOID, PointerGetDatum(copy));
}

void Arguments::bytes(const Sha256& value) {
    bytes(std::string_view(reinterpret_cast<const char*>(value.data()), value.size()));
}

void Arguments::uuid(const Uuid& value) {
    auto* copy = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
    memcpy(copy->data, value.data(), UUID_LEN);
    add(UUIDOID, UUIDPGetDatum(copy));
}

void Arguments::integer(int64_t value) { add(INT8OID, Int64GetDatum(value)); }
void Arguments::integer4(int32_t value) { add(INT4OID, Int32GetDatum(value)); }
void Arguments::boolean(bool value) { add(BOOLOID, BoolGetDatum(value)); }
void Arguments::real(double value) { add(FLOAT8OID, Float8GetDatum(value)); }
void Arguments::oid(Oid value) { add(OIDOID, ObjectIdGetDatum(value)); }
void Arguments::null(Oid type) { add(type, 0, true); }
void Arguments::datum(Oid type, Datum value) { add(type, value); }

void Arguments::time(int64_t unix_us) {
    add(TIMESTAMPTZOID, TimestampTzGetDatum(from_unix_us(unix_us)));
}

uint64_t run_statement(Statement& statement, Arguments& arguments) {
    if (statement.plan == nullptr) {
        SPIPlanPtr plan = SPI_prepare(statement.text, arguments.count(), arguments.types());
        if (plan == nullptr) fail(statement, SPI_result);
        const int kept = SPI_keepplan(plan);
        if (kept != 0) fail(statement, kept);
        statement.plan = plan;
    }
    const int code =
        SPI_execute_plan(statement.plan, arguments.values(), arguments.nulls(), false, 0);
    if (code < 0) fail(statement, code);
    return SPI_processed;
}

uint64_t run_statement(Statement& statement) {
    Arguments none;
    return run_statement(statement, none);
}

void run_sql(const char* sql) {
    const int code = SPI_execute(sql, false, 0);
    if (code < 0)
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                        errmsg("%s in a statement of the hub", SPI_result_code_string(code))));
}

bool field_is_null(uint64_t row, int column) {
    bool is_null = false;
    field(row, column, &is_null);
    return is_null;
}

std::string_view field_text(uint64_t row, int column) { return variable(row, column); }

std::string_view field_bytes(uint64_t row, int column) { return variable(row, column); }

Uuid field_uuid(uint64_t row, int column) {
    bool is_null = false;
    const Datum value = field(row, column, &is_null);
    Uuid uuid{};
    if (!is_null) memcpy(uuid.data(), DatumGetUUIDP(value)->data, UUID_LEN);
    return uuid;
}

Sha256 field_sha256(uint64_t row, int column) {
    const std::string_view bytes = variable(row, column);
    Sha256 digest{};
    if (bytes.size() == digest.size()) memcpy(digest.data(), bytes.data(), digest.size());
    return digest;
}

int64_t field_integer(uint64_t row, int column) {
    bool is_null = false;
    const Datum value = field(row, column, &is_null);
    if (is_null) return 0;
    return SPI_gettypeid(SPI_tuptable->tupdesc, column + 1) == INT4OID
               ? int64_t{DatumGetInt32(value)}
               : DatumGetInt64(value);
}

bool field_boolean(uint64_t row, int column) {
    bool is_null = false;
    const Datum value = field(row, column, &is_null);
    return !is_null && DatumGetBool(value);
}

int64_t field_time(uint64_t row, int column) {
    bool is_null = false;
    const Datum value = field(row, column, &is_null);
    return is_null ? 0 : to_unix_us(DatumGetTimestampTz(value));
}

}  // namespace pganalytics::pg

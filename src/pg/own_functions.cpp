// pganalytics_add_rowset() and pganalytics_drop_rowset(): a definition is checked by running it
// once, as a visitor would, in a subtransaction that is always rolled back. Superusers only,
// whatever was granted. Runs in sessions.
#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/functions.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/own_reading.hpp"
#include "pganalytics/pg/own_trust.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/visitor_session.hpp"

extern "C" {
#include "utils/json.h"
#include "utils/plancache.h"
}

namespace pganalytics::pg {

namespace {

// What is being defined: C++ values, so it is not on the stack between PostgreSQL calls. One at a
// time; an ERROR leaves it to the next.
struct Draft : OwnDefinition {
    std::string query;
};
Draft* draft = nullptr;
bool trying = false;  // the draft's query runs

constexpr const char* kNoDigest =
    "0000000000000000000000000000000000000000000000000000000000000000";

Statement count_names = {
    "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE o.name OPERATOR(pg_catalog.=) "
    "$1) FROM ONLY pganalytics.own_rowset o"};
Statement list_columns = {
    "SELECT e.key, CASE WHEN pg_catalog.jsonb_typeof(e.value) OPERATOR(pg_catalog.=) 'string'"
    " THEN e.value OPERATOR(pg_catalog.#>>) '{}' ELSE e.value OPERATOR(pg_catalog.->>) 'kind' END,"
    " e.value OPERATOR(pg_catalog.->>) 'unit' FROM pg_catalog.jsonb_each($1) e"};
Statement insert_definition = {
    "INSERT INTO pganalytics.own_rowset AS o (name, sql, period, scope, columns, definer,"
    " defined_at) VALUES ($1, $2, $3, $4, $5::pg_catalog.jsonb, $6, pg_catalog.clock_timestamp())"
    " RETURNING " PGANALYTICS_OWN_DIGEST};
Statement delete_definition = {
    "DELETE FROM ONLY pganalytics.own_rowset o WHERE o.name OPERATOR(pg_catalog.=) $1"};

const char* c_text(FunctionCallInfo call, int argument) {
    return text_to_cstring(DatumGetTextPP(call->args[argument].value));
}

[[noreturn]] void refuse(const char* message, const char* hint = "") {
    FlatError error;
    error.code = ERRCODE_INVALID_PARAMETER_VALUE;
    copy_text(error.message, message);
    copy_text(error.hint, hint);
    raise(error);
}

// --- where and by whom

const char* main_database() {
    if (OidIsValid(get_database_oid(settings().database, true))) return settings().database;
    SharedState* shared = shared_state();
    if (shared == nullptr) return settings().database;
    static char name[NAMEDATALEN];
    const SpinLock lock(shared->collector.mutex);
    memcpy(name, shared->collector.figures.main_database, sizeof name);
    return name;
}

void require_place(const char* what) {
    if (!superuser())
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be superuser to %s a rowset", what)));
    if (RecoveryInProgress())
        ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                        errmsg("a server in recovery can't %s a rowset", what),
                        errhint("Do it on the primary: the definition comes here with the "
                                "replication.")));
    const char* database = main_database();
    if (strcmp(database, get_database_name(MyDatabaseId)) != 0)
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("rowsets are defined in another database"),
                 errhint("Connect to database \"%s\" (pganalytics.database), which needs the "
                         "extension.",
                         database)));
}

// --- the parts of a definition

int64_t seconds_of(const Interval* period) {
    if (period->month != 0) return 0;
    const int64_t us = period->time + int64_t{period->day} * USECS_PER_DAY;
    return us % USECS_PER_SEC == 0 ? us / USECS_PER_SEC : 0;
}

bool is_cluster(const char* scope) {
    if (strcmp(scope, "cluster") == 0) return true;
    if (strcmp(scope, "database") == 0) return false;
    refuse("scope must be cluster or database",
           "cluster: read in pganalytics.database only; database: in each database.");
}

std::optional<OwnType> type_of(Oid type) {
    switch (getBaseType(type)) {
        case BOOLOID:
            return OwnType::kBool;
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case OIDOID:
            return OwnType::kInt64;
        case FLOAT4OID:
        case FLOAT8OID:
        case NUMERICOID:
            return OwnType::kFloat64;
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case NAMEOID:
        case CHAROID:
            return OwnType::kText;
        case TIMESTAMPTZOID:
            return OwnType::kTimestamp;
        case kLsnType:
            return OwnType::kLsn;
        case UUIDOID:
            return OwnType::kUuid;
        default:
            return std::nullopt;
    }
}

// The kind and unit that `columns` gives the column; an ERROR where it gives none. In the result of
// list_columns.
void add_column(const char* name, Oid type) {
    for (uint64_t row = 0; row < SPI_processed; ++row) {
        if (field_text(row, 0) != name) continue;
        const std::string_view kind = field_text(row, 1);
        const std::string_view unit = field_text(row, 2);
        const auto known_kind = kind_of(kind);
        if (!known_kind)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("column \"%s\" has no kind that is known", name),
                            errhint("Kinds are key, label, counter and gauge.")));
        const auto known_type = type_of(type);
        if (!known_type)
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH),
                     errmsg("column \"%s\" has type %s", name, format_type_be(type)),
                     errhint("Cast it to boolean, bigint, double precision, text, timestamp with "
                             "time zone, pg_lsn or uuid.")));
        guarded([&] {
            draft->columns.push_back({name, *known_kind, *known_type, std::string(unit)});
        });
        return;
    }
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("column \"%s\" of the query is not among the columns given", name)));
}

// The query's columns, with SPI connected.
void find_columns(const char* sql, Datum columns) {
    StringInfoData wrapped;
    initStringInfo(&wrapped);
    appendStringInfo(&wrapped, "SELECT * FROM (\n%s\n) q", sql);
    SPIPlanPtr plan = SPI_prepare(wrapped.data, 0, nullptr);
    if (plan == nullptr) refuse("the query can't be prepared");
    const auto* source =
        static_cast<const CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
    TupleDesc description = source->resultDesc;
    if (description == nullptr) refuse("the query gives no rows");
    Arguments arguments;
    arguments.datum(JSONBOID, columns);
    const uint64_t given = run_statement(list_columns, arguments);
    for (int i = 0; i < description->natts; ++i) {
        const FormData_pg_attribute* attribute = TupleDescAttr(description, i);
        add_column(NameStr(attribute->attname), attribute->atttypid);
    }
    if (given > static_cast<uint64_t>(description->natts))
        refuse("there are columns given that the query has not");
}

// --- the one run

volatile sig_atomic_t timed_out = 0;

void on_timeout() {
    timed_out = 1;
    InterruptPending = true;
    QueryCancelPending = true;
    SetLatch(MyLatch);
}

// A statement_timeout of the session's own may be running: this is another one.
TimeoutId own_timeout() {
    static bool registered = false;
    static TimeoutId id = USER_TIMEOUT;
    if (!registered) id = RegisterTimeout(USER_TIMEOUT, on_timeout);
    registered = true;
    return id;
}

// No ERROR leaves try_postgres(), so nothing of this stays with the session.
template <class Function>
bool try_with_trusted_code(Function&& work, FlatError& error) {
    const SuperusersCodeOnly trust;
    trying = true;
    const bool good = try_postgres(work, error);
    trying = false;
    return good;
}

// In a read-only subtransaction that is rolled back whatever comes. (Locks that belong to the
// session, as advisory ones can, stay.)
template <class Function>
bool try_for_once(Function&& work, int timeout_ms, FlatError& error) {
    const MemoryContext context = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    const TimeoutId timeout = own_timeout();
    timed_out = 0;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(context);
    XactReadOnly = true;
    settle_trial();
    enable_timeout_after(timeout, timeout_ms);
    const bool good = try_with_trusted_code(work, error);
    disable_timeout(timeout, false);
    if (timed_out != 0) QueryCancelPending = false;
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    if (!good && timed_out != 0) {
        copy_text(error.message, "the query takes too long");
        copy_text(error.hint,
                  "It has pganalytics.statement_timeout, or half of pganalytics.visit_timeout.");
    }
    return good;
}

struct OwnTry {
    const char* sql;
    Datum columns;
    OwnQuery query;
    RowEncoder* encoder;
    char problem[256];
};

// Columns first, for the query is made of them.
void try_definition(OwnTry* attempt) {
    require_one_select(attempt->sql);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    find_columns(attempt->sql, attempt->columns);
    SPI_finish();
    const char* query = nullptr;
    guarded([&] {
        if (const char* problem = own_definition_problem(*draft)) {
            copy_text(attempt->problem, problem);
            return;
        }
        draft->query = own_query(*draft, MyDatabaseId);
        query = draft->query.c_str();
        for (const OwnColumn& column : draft->columns)
            attempt->query.has_key = attempt->query.has_key || column.kind == Kind::kKey;
    });
    if (query == nullptr) return;
    attempt->query.sql = attempt->sql;
    attempt->query.query = query;
    attempt->query.max_rows =
        std::min<uint64_t>(static_cast<uint64_t>(settings().max_rows), kMostOwnRows);
    run_own_query(attempt->query, attempt->encoder);
}

void check_definition(const char* sql, Datum columns) {
    OwnTry attempt = {};
    attempt.sql = sql;
    attempt.columns = columns;
    attempt.encoder = make_row_encoder(CurrentMemoryContext, true);
    // As whom it will be read.
    if (settings().role[0] != '\0') attempt.query.definer = settings().role;
    FlatError error;
    const int limit_ms = std::min(settings().statement_timeout, settings().visit_timeout / 2);
    const bool good = try_for_once([&] { try_definition(&attempt); }, limit_ms, error);
    if (!good) raise(error);
    if (attempt.problem[0] != '\0') refuse(pstrdup(attempt.problem));
    if (const char* problem = own_result_problem(attempt.query, *attempt.encoder))
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("the query gives too much: %s", problem)));
    end_rows(attempt.encoder);
    if (const char* problem = guarded([&] { return own_keys_problem(*attempt.encoder); }))
        ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
                        errmsg("the query's keys do not do: %s", problem)));
}

// The columns as they are kept, in the database's encoding.
const char* columns_text() {
    StringInfoData out;
    initStringInfo(&out);
    for (const OwnColumn& column : draft->columns) {
        appendStringInfoString(&out, out.len == 0 ? "[{\"name\":" : ",{\"name\":");
        escape_json(&out, column.name.c_str());
        appendStringInfo(&out, ",\"kind\":\"%s\",\"type\":\"%s\",\"unit\":",
                         kind_name(column.kind).data(), own_type_name(column.type).data());
        escape_json(&out, column.unit.c_str());
        appendStringInfoChar(&out, '}');
    }
    appendStringInfoChar(&out, ']');
    return out.data;
}

}  // namespace

Datum sql_add_rowset(FunctionCallInfo call) {
    require_place("define");
    if (trying)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
                        errmsg("a rowset's query can't define another rowset")));
    const char* name = c_text(call, 0);
    const char* sql = c_text(call, 1);
    Interval* period = DatumGetIntervalP(call->args[2].value);
    const char* scope = c_text(call, 3);
    const Datum columns = call->args[4].value;
    const char* definer = GetUserNameFromId(GetUserId(), false);
    const bool cluster = is_cluster(scope);
    guarded([&] {
        delete draft;
        draft = nullptr;
        draft = std::make_unique<Draft>().release();
        draft->name = name;
        draft->digest = kNoDigest;
        draft->sql = sql;
        draft->definer = definer;
        draft->cluster = cluster;
        draft->period_s = seconds_of(period);
    });
    if (!is_own_name(name))
        refuse(
            "the name must be of lower case letters, digits and underscores, "
            "at most 40, and not begin with a digit");
    if (strlen(sql) > kMostOwnSqlBytes) refuse("the query is longer than 16 kB");
    check_definition(sql, columns);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    run_sql("LOCK TABLE ONLY pganalytics.own_rowset IN SHARE ROW EXCLUSIVE MODE");
    Arguments known;
    known.datum(TEXTOID, call->args[0].value);
    run_statement(count_names, known);
    if (field_integer(0, 1) > 0)
        ereport(ERROR,
                (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("rowset \"%s\" exists already", name),
                 errhint("Drop it first, with pganalytics_drop_rowset().")));
    if (field_integer(0, 0) >= static_cast<int64_t>(kMostOwnRowsets))
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("there are %d rowsets already", static_cast<int>(kMostOwnRowsets))));
    Arguments row;
    row.datum(TEXTOID, call->args[0].value);
    row.datum(TEXTOID, call->args[1].value);
    row.datum(INTERVALOID, IntervalPGetDatum(period));
    row.datum(TEXTOID, call->args[3].value);
    row.datum(TEXTOID, PointerGetDatum(cstring_to_text(columns_text())));
    row.datum(TEXTOID, PointerGetDatum(cstring_to_text(definer)));
    note_own_call();
    if (run_statement(insert_definition, row) != 1) elog(ERROR, "pganalytics: nothing was defined");
    const std::string_view digest = field_text(0, 0);
    auto* answer = static_cast<text*>(SPI_palloc(digest.size() + VARHDRSZ));
    SET_VARSIZE(answer, digest.size() + VARHDRSZ);
    memcpy(VARDATA(answer), digest.data(), digest.size());
    if (SPI_finish() != SPI_OK_FINISH) elog(ERROR, "pganalytics: SPI_finish failed");
    return PointerGetDatum(answer);
}

Datum sql_drop_rowset(FunctionCallInfo call) {
    require_place("drop");
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    Arguments name;
    name.datum(TEXTOID, call->args[0].value);
    note_own_call();
    const bool dropped = run_statement(delete_definition, name) > 0;
    if (SPI_finish() != SPI_OK_FINISH) elog(ERROR, "pganalytics: SPI_finish failed");
    return BoolGetDatum(dropped);
}

}  // namespace pganalytics::pg

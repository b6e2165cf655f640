// The hub's SQL functions (see the header). Runs in sessions; plain data only.
#include "pganalytics/pg/hub_functions.hpp"

#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/hub_tokens.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/worker.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace pganalytics::pg {

namespace {

constexpr int64_t kWaitUs = 10 * int64_t{1000000};
constexpr long kLookEveryMs = 100;
Statement accept_rowset = {"SELECT pganalytics.accept_rowset($1, $2, $3)"};
constexpr int64_t kLongestUs = 30 * int64_t{86400} * 1000000;

struct HubNow {
    bool runs;
    bool ready;
    char problem[256];
    char hint[256];
    uint8_t ca_fingerprint[32];
};

HubNow look_at_hub() {
    HubNow now;
    const HubShared& shared = shared_state()->hub;
    const SpinLock lock(shared_state()->hub.mutex);
    now.runs = shared.pid != 0;
    now.ready = shared.ready;
    memcpy(now.problem, shared.problem, sizeof now.problem);
    memcpy(now.hint, shared.hint, sizeof now.hint);
    memcpy(now.ca_fingerprint, shared.ca_fingerprint, sizeof now.ca_fingerprint);
    return now;
}

void require_hub_server() {
    if (shared_state() == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("pganalytics is not loaded"),
                        errhint("Add pganalytics to shared_preload_libraries and restart the "
                                "server.")));
    if (!settings().hub)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("this server is not a hub"),
                        errhint("Set pganalytics.hub = on and restart the server, or run this on "
                                "the hub.")));
    const char* database = get_database_name(MyDatabaseId);
    if (database == nullptr || strcmp(database, settings().hub_database) != 0)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("this is not the hub's database"),
                        errhint("Connect to database \"%s\".", settings().hub_database)));
    if (RecoveryInProgress())
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("a server in recovery can't be a hub"),
                        errhint("Run this on the primary.")));
}

HubNow wait_for_hub() {
    const int64_t until = monotonic_us() + kWaitUs;
    while (true) {
        const HubNow now = look_at_hub();
        if (now.ready) return now;
        if (monotonic_us() >= until) {
            const char* problem = now.problem[0] != '\0' ? now.problem
                                  : now.runs             ? "it is starting"
                                                         : "its worker does not run";
            ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                            errmsg("the hub is not ready: %s", problem),
                            now.hint[0] != '\0' ? errhint("%s", now.hint) : 0));
        }
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kLookEveryMs,
                  PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}

TimestampTz expiry(Interval* valid_for) {
    const TimestampTz now = GetCurrentTimestamp();
    const TimestampTz expires = DatumGetTimestampTz(DirectFunctionCall2(
        timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(valid_for)));
    if (expires <= now || expires > now + kLongestUs)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("a token must be valid for more than 0 and at most 30 days")));
    return expires;
}

}  // namespace

Datum sql_create_token(FunctionCallInfo fcinfo) {
    const text* name = PG_GETARG_TEXT_PP(0);
    Interval* valid_for = PG_GETARG_INTERVAL_P(1);
    const std::string_view server(VARDATA_ANY(name), static_cast<size_t>(VARSIZE_ANY_EXHDR(name)));
    if (const char* problem = server_name_problem(server))
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", problem)));
    require_hub_server();
    TokenOrder order;
    order.name = server;
    order.created_by = GetUserNameFromId(GetOuterUserId(), false);
    order.expires_at = expiry(valid_for);
    const HubNow hub = wait_for_hub();
    char* token = make_token_text(hub.ca_fingerprint);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    // Whoever may call this function may make tokens; the table itself is nobody's but the owner's.
    const ActAsOwner owner(require_extension());
    store_token(order, token);
    owner.end();
    if (SPI_finish() != SPI_OK_FINISH) elog(ERROR, "pganalytics: SPI_finish failed");
    return PointerGetDatum(cstring_to_text(token));
}

Datum sql_accept_rowset(FunctionCallInfo fcinfo) {
    const text* server = PG_GETARG_TEXT_PP(0);
    const text* rowset = PG_GETARG_TEXT_PP(1);
    require_hub_server();
    const char* user = GetUserNameFromId(GetOuterUserId(), false);
    if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "pganalytics: SPI_connect failed");
    // Whoever may call this function may make such views; the schema itself is nobody's but the
    // owner's.
    const ActAsOwner owner(require_extension());
    Arguments arguments;
    arguments.datum(TEXTOID, PointerGetDatum(server));
    arguments.datum(TEXTOID, PointerGetDatum(rowset));
    arguments.text(user);
    if (run_statement(accept_rowset, arguments) != 1) elog(ERROR, "pganalytics: no view was made");
    const std::string_view view = field_text(0, 0);
    auto* answer = static_cast<text*>(SPI_palloc(view.size() + VARHDRSZ));
    SET_VARSIZE(answer, view.size() + VARHDRSZ);
    memcpy(VARDATA(answer), view.data(), view.size());
    owner.end();
    if (SPI_finish() != SPI_OK_FINISH) elog(ERROR, "pganalytics: SPI_finish failed");
    return PointerGetDatum(answer);
}

}  // namespace pganalytics::pg

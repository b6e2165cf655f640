// The ledger (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_ledger.hpp"

#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

// Who has nothing whole is asked for it until it comes, and once more after a restore (-infinity),
// whatever came with the push. What is known from the future is from a time when this server's
// clock was ahead: it is forgotten, else nothing newer would count until then.
Statement touch_collector = {
    "UPDATE pganalytics.collectors c SET"
    "   hostname = pg_catalog.\"left\"($2, 255), version = pg_catalog.\"left\"($3, 64),"
    "   system_identifier = pg_catalog.\"left\"($4, 64), in_recovery = coalesce($5, in_recovery),"
    "   last_incarnation = CASE WHEN $9 < before.time THEN last_incarnation"
    "       ELSE coalesce($6, last_incarnation) END, config_version = $7,"
    "   cycle_seconds = CASE WHEN last_cycle IS DISTINCT FROM $8 AND $9 > before.time"
    "           AND $9 < before.time + INTERVAL '2 hours'"
    "       THEN pg_catalog.date_part('epoch', $9 - before.time) ELSE cycle_seconds END,"
    "   last_cycle = CASE WHEN $9 < before.time THEN last_cycle ELSE $8 END,"
    "   last_time = greatest(before.time, $9), last_push_at = greatest(before.push_at, $10),"
    "   last_full_at = CASE WHEN $11 THEN $10"
    "     WHEN last_full_at = '-infinity' THEN NULL ELSE last_full_at END, over_quota_at = NULL"
    "  FROM (SELECT collector_id AS id, last_incarnation AS incarnation,"
    "               last_full_at AS full_at,"
    "               CASE WHEN last_time < $10 + INTERVAL '15 minutes' THEN last_time END AS "
    "\"time\","
    "               CASE WHEN last_push_at < $10 + INTERVAL '15 minutes' THEN last_push_at END"
    "                 AS push_at"
    "          FROM pganalytics.collectors) AS before"
    " WHERE before.id = c.collector_id AND c.collector_id = $1 AND c.enabled"
    " RETURNING c.last_full_at IS NULL OR before.full_at IS NOT DISTINCT FROM '-infinity',"
    "           before.incarnation <> $6, before.incarnation"};

// One after the other they are when nothing of the other run is from well after this one's
// beginning. What counts of both arrived as it was made and is not from the future, so that no
// backlog and no clock set back, or right after a start, looks like a second server; nor does what
// came while this server's clock was ahead, or was let in until an enrolment that ended an alarm
// was in use.
Statement find_two_runs = {
    "SELECT FROM pganalytics.collectors c,"
    "  LATERAL (SELECT l.\"time\" FROM pganalytics.ledger l"
    "            WHERE l.collector_id = $1 AND l.incarnation = $2"
    "              AND l.received_at < l.\"time\" + INTERVAL '2 minutes'"
    "            ORDER BY l.sequence LIMIT 1) mine,"
    "  LATERAL (SELECT l.\"time\", l.received_at, l.future FROM pganalytics.ledger l"
    "            WHERE l.collector_id = $1 AND l.incarnation = $3"
    "            ORDER BY l.sequence DESC LIMIT 1) other"
    " WHERE c.collector_id = $1 AND other.future = 0"
    "   AND other.received_at > CASE WHEN c.generation = 1 THEN c.enrolled_at ELSE"
    "        (SELECT pg_catalog.min(k.first_used_at) + INTERVAL '1 minute'"
    "           FROM pganalytics.certificates k"
    "          WHERE k.collector_id = $1 AND k.generation = c.generation) END"
    "   AND other.\"time\" > mine.\"time\" + INTERVAL '10 minutes'"
    "   AND other.received_at < other.\"time\" + INTERVAL '2 minutes'"
    "   AND other.received_at < pg_catalog.now() + INTERVAL '15 minutes'"};
constexpr int64_t kLiveUs = 120 * int64_t{1000000};

constexpr char kTwoRunsText[] =
    "two servers send as this one: look for a copy of its state directory, then enrol it again";

Statement insert_ledger = {
    "INSERT INTO pganalytics.ledger (collector_id, snapshot_id, incarnation, sequence, digest,"
    "   cycle, part, parts, \"time\", received_at, rows, bytes_received, bytes_json, too_old,"
    "   future, unknown)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
    "   nullif(nullif($16, ''), '{}')::pg_catalog.jsonb)"
    " ON CONFLICT DO NOTHING"};

// With the conflicting one first, should both identities be there.
Statement find_ledger = {
    "SELECT digest, snapshot_id::pg_catalog.text FROM pganalytics.ledger"
    " WHERE collector_id = $1 AND (snapshot_id = $2 OR incarnation = $3 AND sequence = $4)"
    " ORDER BY digest = $5 LIMIT 1"};

Statement read_storage = {
    "SELECT coalesce(pg_catalog.sum(bytes), 0)::pg_catalog.int8 FROM pganalytics.storage"
    " WHERE collector_id = $1"};

Statement add_storage = {
    "INSERT INTO pganalytics.storage AS s (collector_id, day, bytes, rows)"
    " VALUES ($1, ($2 AT TIME ZONE 'UTC')::pg_catalog.date, $3, $4)"
    " ON CONFLICT (collector_id, day) DO UPDATE"
    "   SET bytes = s.bytes + excluded.bytes, rows = s.rows + excluded.rows"};

Statement note_over_quota = {
    "UPDATE pganalytics.collectors SET over_quota_at = pg_catalog.now()"
    " WHERE collector_id = $1"
    "   AND (over_quota_at IS NULL OR over_quota_at < pg_catalog.now() - INTERVAL '1 hour')"};

Statement forget = {
    "UPDATE pganalytics.collectors SET last_full_at = NULL"
    " WHERE collector_id = $1 AND last_full_at IS NOT NULL"};

bool is_set(const Uuid& uuid) { return uuid != Uuid{}; }

void add_uuid(Arguments& arguments, const Uuid& uuid) {
    if (is_set(uuid)) {
        arguments.uuid(uuid);
    } else {
        arguments.null(UUIDOID);
    }
}

int32_t clamp4(uint32_t value) {
    return static_cast<int32_t>(std::min<uint32_t>(value, INT32_MAX));
}

void add_identity(Arguments& arguments, const PushBegin& begin) {
    arguments.uuid(begin.collector_id);
    arguments.uuid(begin.snapshot_id);
    add_uuid(arguments, begin.incarnation);
    if (is_set(begin.incarnation)) {
        arguments.integer(Arguments::clamp(begin.sequence));
    } else {
        arguments.null(INT8OID);
    }
    arguments.bytes(begin.digest);
}

// A view of palloc'd text.
std::string_view uuid_view(const Uuid& uuid) {
    pg_uuid_t value;
    std::copy(uuid.begin(), uuid.end(), value.data);
    return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&value)));
}

bool is_live(const PushBegin& begin) {
    return begin.future == 0 && begin.received_at - begin.time < kLiveUs;
}

// This push came as it was made, and the newest before it was another run's.
void look_for_two_runs(const PushBegin& begin, const Uuid& other) {
    Arguments arguments;
    arguments.uuid(begin.collector_id);
    arguments.uuid(begin.incarnation);
    arguments.uuid(other);
    if (run_statement(find_two_runs, arguments) != 1) return;
    if (!raise_alarm(begin.collector_id, kTwoRunsText)) return;
    write_audit({.event = "two runs of one server",
                 .collector_id = &begin.collector_id,
                 .first = "this",
                 .first_value = uuid_view(begin.incarnation),
                 .second = "other",
                 .second_value = uuid_view(other)});
}

// Rows are read after the cycle began: their time is what the collector is known until.
int64_t last_time(const Push& push) {
    int64_t time = push.begin.time;
    for (const PushedRows& rows : push.rowsets) time = std::max(time, rows.facts.latest);
    return time;
}

bool touch(const Push& push, bool full, bool* want_full) {
    const PushBegin& begin = push.begin;
    Arguments arguments;
    arguments.uuid(begin.collector_id);
    arguments.text(begin.hostname);
    arguments.text(begin.version);
    arguments.text(begin.system_identifier);
    if (begin.in_recovery) {
        arguments.boolean(*begin.in_recovery);
    } else {
        arguments.null(BOOLOID);
    }
    add_uuid(arguments, begin.incarnation);
    arguments.integer(Arguments::clamp(begin.config_version));
    add_uuid(arguments, begin.cycle);
    arguments.time(last_time(push));
    arguments.time(begin.received_at);
    arguments.boolean(full);
    if (run_statement(touch_collector, arguments) != 1) return false;
    *want_full = field_boolean(0, 0);
    const bool another_run = field_boolean(0, 1);
    if (another_run && is_live(begin)) look_for_two_runs(begin, field_uuid(0, 2));
    return true;
}

bool insert(const PushBegin& begin, uint64_t rows) {
    Arguments arguments;
    add_identity(arguments, begin);
    add_uuid(arguments, begin.cycle);
    arguments.integer4(clamp4(begin.part));
    arguments.integer4(clamp4(begin.parts));
    arguments.time(begin.time);
    arguments.time(begin.received_at);
    arguments.integer(Arguments::clamp(rows));
    arguments.integer(Arguments::clamp(begin.bytes_received));
    arguments.integer(Arguments::clamp(begin.bytes_json));
    arguments.integer(Arguments::clamp(begin.too_old));
    arguments.integer(Arguments::clamp(begin.future));
    arguments.text(begin.unknown);
    return run_statement(insert_ledger, arguments) == 1;
}

// "\x…" as a view of palloc'd text.
std::string_view digest_text(const Sha256& digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    auto* text = static_cast<char*>(palloc(2 * digest.size()));
    for (size_t i = 0; i < digest.size(); ++i) {
        text[2 * i] = kDigits[digest[i] >> 4];
        text[2 * i + 1] = kDigits[digest[i] & 15];
    }
    return {text, 2 * digest.size()};
}

// Rows as COPY has them take about what they take in a table, without its indexes.
bool is_over_quota(const Push& push) {
    const int64_t quota = int64_t{settings().hub_storage_quota} << 20;
    if (quota == 0) return false;
    Arguments arguments;
    arguments.uuid(push.begin.collector_id);
    run_statement(read_storage, arguments);
    return Arguments::clamp(push.bytes) > quota - field_integer(0, 0);
}

void count_storage(const Push& push) {
    Arguments arguments;
    arguments.uuid(push.begin.collector_id);
    arguments.time(push.begin.time);
    arguments.integer(Arguments::clamp(push.bytes));
    arguments.integer(Arguments::clamp(push.rows));
    run_statement(add_storage, arguments);
}

void refuse_over_quota(const Push& push) {
    Arguments arguments;
    arguments.uuid(push.begin.collector_id);
    if (run_statement(note_over_quota, arguments) != 1) return;
    write_audit({.event = "storage quota used up",
                 .collector_id = &push.begin.collector_id,
                 .limited = true});
}

// What the ledger has of it, if anything.
std::optional<LedgerAnswer> find_before(const PushBegin& begin) {
    Arguments arguments;
    add_identity(arguments, begin);
    if (run_statement(find_ledger, arguments) != 1) return std::nullopt;
    const Sha256 before = field_sha256(0, 0);
    if (before == begin.digest) return LedgerAnswer::kDuplicate;
    write_audit({.event = "digest conflict",
                 .collector_id = &begin.collector_id,
                 .first = "stored",
                 .first_value = digest_text(before),
                 .second = "refused",
                 .second_value = digest_text(begin.digest),
                 .limited = true});
    return LedgerAnswer::kConflict;
}

}  // namespace

LedgerAnswer enter_ledger(const Push& push, uint64_t rows, bool full, bool* want_full) {
    const PushBegin& begin = push.begin;
    if (is_over_quota(push)) {
        if (const auto before = find_before(begin)) return *before;
        refuse_over_quota(push);
        return LedgerAnswer::kOverQuota;
    }
    if (!insert(begin, rows)) {
        if (const auto before = find_before(begin)) return *before;
        ereport(ERROR,
                (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE), errmsg("ledger changed meanwhile")));
    }
    if (!touch(push, full, want_full))
        ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                        errmsg("its collector is not enrolled or is disabled")));
    count_storage(push);
    return LedgerAnswer::kNew;
}

void refuse_push(const Push& push, std::string_view why) {
    Arguments arguments;
    arguments.uuid(push.begin.collector_id);
    run_statement(forget, arguments);
    write_audit({.event = "push refused",
                 .collector_id = &push.begin.collector_id,
                 .first = "reason",
                 .first_value = why,
                 .limited = true});
}

}  // namespace pganalytics::pg

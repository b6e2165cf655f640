// Fixed tables of the hub (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_registry.hpp"

#include "pganalytics/pg/hub_sql.hpp"

namespace pganalytics::pg {

namespace {

Statement make_hub = {
    "INSERT INTO pganalytics.hub (hub_id, created_at)"
    " VALUES (pg_catalog.gen_random_uuid(), pg_catalog.now()) ON CONFLICT DO NOTHING"};

// Rows may be missing that were acknowledged: of the time since a dump or a base backup was made,
// or what a standby had not received.
Statement settle = {
    "UPDATE pganalytics.hub h SET place = now_at.place"
    "  FROM (SELECT place AS place FROM pganalytics.hub) AS before,"
    "       (SELECT pg_catalog.concat_ws('/', s.system_identifier,"
    "                 pg_catalog.\"left\"(pg_catalog.pg_walfile_name("
    "                   pg_catalog.pg_current_wal_insert_lsn()), 8),"
    "                 'pganalytics.hub'::pg_catalog.regclass::pg_catalog.oid) AS place"
    "          FROM pg_catalog.pg_control_system() s) AS now_at"
    " WHERE h.place IS DISTINCT FROM now_at.place"
    " RETURNING before.place IS NOT NULL"};

Statement ask_all = {"UPDATE pganalytics.collectors SET last_full_at = '-infinity'"};

Statement read_hub = {
    "SELECT h.hub_id::pg_catalog.text, h.ca_fingerprint,"
    "       EXISTS (SELECT FROM pganalytics.collectors),"
    "       EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'),"
    "       (SELECT pg_catalog.max(received_at) FROM pganalytics.ledger)"
    "  FROM pganalytics.hub h"};

Statement set_ca = {
    "UPDATE pganalytics.hub h SET ca_fingerprint = $1"
    "  FROM (SELECT ca_fingerprint AS fingerprint FROM pganalytics.hub) AS before"
    " WHERE h.ca_fingerprint IS DISTINCT FROM $1"
    " RETURNING before.fingerprint IS NOT NULL"};

Statement read_collectors = {
    "SELECT c.collector_id, c.name, c.enabled, c.generation, k.fingerprint, k.generation"
    "  FROM pganalytics.collectors c"
    "  LEFT JOIN pganalytics.certificates k ON k.collector_id = c.collector_id"
    "        AND (k.ended_at IS NULL OR k.ended_at > pg_catalog.now())"
    "        AND k.not_after > pg_catalog.now()"
    " ORDER BY c.collector_id, k.generation, k.issued_at"};

Statement read_alarms = {
    "SELECT pg_catalog.count(*) OVER (), name || ': ' || coalesce(alarm,"
    "       'its storage quota is used up (pganalytics.hub_storage_quota)')"
    "  FROM pganalytics.collectors"
    " WHERE (alarm IS NOT NULL OR over_quota_at IS NOT NULL) AND enabled"
    " ORDER BY alarm_at DESC NULLS LAST, over_quota_at DESC, name LIMIT 1"};

Statement set_alarm = {
    "UPDATE pganalytics.collectors SET alarm = $2, alarm_at = pg_catalog.now()"
    " WHERE collector_id = $1 AND (alarm IS DISTINCT FROM $2"
    "       OR alarm_at < pg_catalog.now() - INTERVAL '1 hour')"};

Statement use_certificate = {
    "UPDATE pganalytics.certificates SET first_used_at = pg_catalog.now()"
    " WHERE fingerprint = $1 AND collector_id = $2 AND first_used_at IS NULL"
    " RETURNING generation::pg_catalog.int8, issued_at"};

Statement end_older = {
    "UPDATE pganalytics.certificates"
    "   SET ended_at = CASE WHEN generation < $2 THEN pg_catalog.now()"
    "                       ELSE pg_catalog.now() + INTERVAL '1 hour' END"
    " WHERE collector_id = $1 AND fingerprint <> $4"
    "   AND (generation < $2 OR generation = $2 AND issued_at < $3)"
    "   AND (ended_at IS NULL OR ended_at > pg_catalog.now() + INTERVAL '1 hour'"
    "        OR generation < $2 AND ended_at > pg_catalog.now())"};

Statement insert_audit = {
    "INSERT INTO pganalytics.audit (event, collector_id, name, address, details)"
    " VALUES ($1, $2, nullif($3, ''), nullif($4, ''), CASE WHEN $5 <> '' THEN"
    "   pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
    "     $5, $6, coalesce(nullif($7, ''), ' '), CASE WHEN $7 <> '' THEN $8 END)) END)"};

// The row's collector goes on with one more certificate, or a new one begins.
void add_collector_row(std::vector<CollectorState>& collectors, uint64_t row) {
    const Uuid id = field_uuid(row, 0);
    const std::string_view name = field_text(row, 1);
    const bool enabled = field_boolean(row, 2);
    const auto generation = static_cast<uint32_t>(field_integer(row, 3));
    const bool has_certificate = !field_is_null(row, 4);
    const CertificateState certificate = {field_sha256(row, 4),
                                          static_cast<uint32_t>(field_integer(row, 5))};
    // No PostgreSQL call below: a C++ value is being built.
    if (collectors.empty() || collectors.back().collector_id != id) {
        CollectorState& state = collectors.emplace_back();
        state.collector_id = id;
        state.name = name;
        state.enabled = enabled;
        state.generation = generation;
    }
    if (has_certificate) collectors.back().certificates.push_back(certificate);
}

// A thousand at once, then one in ten seconds.
constexpr int64_t kAuditBurst = 1000;
constexpr int64_t kAuditEveryUs = 10 * int64_t{1000000};
int64_t audit_left = kAuditBurst;
TimestampTz audit_refilled = 0;

bool audit_allowed() {
    const TimestampTz now = GetCurrentTimestamp();
    if (audit_refilled == 0 || now < audit_refilled) audit_refilled = now;
    const int64_t more = (now - audit_refilled) / kAuditEveryUs;
    audit_refilled += more * kAuditEveryUs;
    audit_left = std::min(audit_left + more, kAuditBurst);
    if (audit_left <= 0) return false;
    --audit_left;
    return true;
}

// Views build on what came whole: all collectors are asked for that.
void settle_hub() {
    if (run_statement(settle) != 1 || !field_boolean(0, 0)) return;
    run_statement(ask_all);
    write_audit({.event = "restored or failed over"});
}

void assign(std::string& out, std::string_view text) { out = text; }

}  // namespace

bool load_identity(HubIdentity& identity, FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            identity.extension = place.extension;
            run_statement(make_hub);
            settle_hub();
            if (run_statement(read_hub) != 1)
                ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                                errmsg("table pganalytics.hub does not hold one row")));
            const std::string_view id = field_text(0, 0);
            const bool has_ca = !field_is_null(0, 1);
            const Sha256 ca = field_sha256(0, 1);
            identity.has_collectors = field_boolean(0, 2);
            identity.timescale = field_boolean(0, 3);
            identity.last_received = field_time(0, 4);
            identity.ca_fingerprint.reset();
            if (has_ca) identity.ca_fingerprint = ca;
            assign(identity.hub_id, id);
        },
        error);
}

bool store_ca(const Sha256& fingerprint, bool& changed, FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            Arguments arguments;
            arguments.bytes(fingerprint);
            changed = run_statement(set_ca, arguments) == 1 && field_boolean(0, 0);
            if (changed) write_audit({.event = "certificate authority changed"});
        },
        error);
}

bool load_collectors(std::vector<CollectorState>& collectors, HubAlarms& alarms, Oid& extension,
                     FlatError& error) noexcept {
    collectors.clear();
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            extension = place.extension;
            const uint64_t rows = run_statement(read_collectors);
            for (uint64_t row = 0; row < rows; ++row) add_collector_row(collectors, row);
            const uint64_t alarmed = run_statement(read_alarms);
            alarms.count = alarmed == 0 ? 0 : static_cast<uint64_t>(field_integer(0, 0));
            const std::string_view newest = alarmed == 0 ? std::string_view() : field_text(0, 1);
            assign(alarms.newest, newest);
        },
        error);
}

bool mark_certificate_used(const CertificateUsed& used, FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            Arguments certificate;
            certificate.bytes(used.fingerprint);
            certificate.uuid(used.collector_id);
            if (run_statement(use_certificate, certificate) != 1) return;
            Arguments older;
            older.uuid(used.collector_id);
            older.integer(field_integer(0, 0));
            older.time(field_time(0, 1));
            older.bytes(used.fingerprint);
            run_statement(end_older, older);
        },
        error);
}

bool raise_alarm(const Uuid& collector_id, const char* why) {
    Arguments arguments;
    arguments.uuid(collector_id);
    arguments.text(why);
    return run_statement(set_alarm, arguments) == 1;
}

void write_audit(const AuditEvent& event) {
    if (event.limited && !audit_allowed()) return;
    Arguments arguments;
    arguments.text(event.event);
    if (event.collector_id != nullptr) {
        arguments.uuid(*event.collector_id);
    } else {
        arguments.null(UUIDOID);
    }
    arguments.text(event.name);
    arguments.text(event.address);
    arguments.text(event.first != nullptr ? event.first : "");
    arguments.text(event.first_value);
    arguments.text(event.second != nullptr ? event.second : "");
    arguments.text(event.second_value);
    run_statement(insert_audit, arguments);
}

}  // namespace pganalytics::pg

// Retention (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_retention.hpp"

#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/log.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kDayUs = int64_t{86400} * 1000000;
constexpr int64_t kPieceRows = 5000;
constexpr int64_t kTokenDays = 30;
constexpr int64_t kRecordDays = 365;

// The hub's own tables only, whatever else somebody keeps in the schema.
Statement list_old = {
    "SELECT pg_catalog.format('%I.%I', n.nspname, p.relname)"
    "  FROM pganalytics.rowsets r"
    "  JOIN pg_catalog.pg_class c ON c.relname = r.table_name AND c.relnamespace = $1"
    "  JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid"
    "  JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid"
    "  JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace"
    " CROSS JOIN LATERAL (SELECT (pg_catalog.regexp_match("
    "        pg_catalog.pg_get_expr(p.relpartbound, p.oid),"
    "        'TO \\(''([^'']+)''\\)'))[1]::pg_catalog.timestamptz AS ends) AS b"
    " WHERE b.ends <= $2"
    // The oldest is taken first, from the back.
    " ORDER BY b.ends DESC"};

Statement delete_ledger = {
    "DELETE FROM pganalytics.ledger WHERE (collector_id, snapshot_id) IN ("
    "  SELECT collector_id, snapshot_id FROM pganalytics.ledger"
    "   WHERE received_at < $1 ORDER BY received_at LIMIT $2)"};

Statement delete_storage = {
    "DELETE FROM pganalytics.storage WHERE (collector_id, day) IN ("
    "  SELECT collector_id, day FROM pganalytics.storage"
    "   WHERE day < ($1 AT TIME ZONE 'UTC')::pg_catalog.date LIMIT $2)"};

Statement delete_tokens = {
    "DELETE FROM pganalytics.tokens WHERE digest IN ("
    "  SELECT digest FROM pganalytics.tokens WHERE expires_at < $1 LIMIT $2)"};

// In the order they came; there is no index on the time, and not all are to be read for each piece.
Statement delete_audit = {
    "DELETE FROM pganalytics.audit WHERE id IN ("
    "  SELECT o.id FROM (SELECT id, at FROM pganalytics.audit ORDER BY id LIMIT $2) AS o"
    "   WHERE o.at < $1)"};

Statement delete_certificates = {
    "DELETE FROM pganalytics.certificates WHERE fingerprint IN ("
    "  SELECT fingerprint FROM pganalytics.certificates"
    "   WHERE least(ended_at, not_after) < $1 LIMIT $2)"};

}  // namespace

Cutoffs cutoffs(int64_t now, int64_t retention_s) {
    const int64_t kept = retention_s * 1000000;
    const int64_t repeatable = std::min(kept, 31 * kDayUs);
    return {now - kept - kDayUs, now - repeatable - kDayUs, now - kTokenDays * kDayUs,
            now - std::max(kept, kRecordDays * kDayUs)};
}

void HubRetention::begin(const Cutoffs& cutoffs) {
    cutoffs_ = cutoffs;
    stage_ = Stage::kList;
}

void HubRetention::work(bool& partitions_changed) {
    switch (stage_) {
        case Stage::kIdle:
            return;
        case Stage::kList:
            return list_partitions();
        case Stage::kPartitions:
            return drop_partition(partitions_changed);
        case Stage::kLedger:
            return delete_rows(delete_ledger, cutoffs_.ledger, Stage::kStorage);
        case Stage::kStorage:
            return delete_rows(delete_storage, cutoffs_.partitions, Stage::kTokens);
        case Stage::kTokens:
            return delete_rows(delete_tokens, cutoffs_.tokens, Stage::kAudit);
        case Stage::kAudit:
            return delete_rows(delete_audit, cutoffs_.records, Stage::kCertificates);
        case Stage::kCertificates:
            return delete_rows(delete_certificates, cutoffs_.records, Stage::kIdle);
    }
}

void HubRetention::list_partitions() {
    partitions_.clear();
    stage_ = Stage::kPartitions;
    FlatError error;
    const bool done = run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            Arguments arguments;
            arguments.oid(place.schema);
            arguments.time(cutoffs_.partitions);
            const uint64_t rows = run_statement(list_old, arguments);
            for (uint64_t row = 0; row < rows; ++row) {
                const std::string_view name = field_text(row, 0);
                partitions_.emplace_back(name);
            }
        },
        error);
    if (!done) log_limited(LOG, "retention", "old partitions could not be listed", error.message);
}

void HubRetention::drop_partition(bool& partitions_changed) {
    if (partitions_.empty()) {
        stage_ = Stage::kLedger;
        return;
    }
    const std::string sql = "DROP TABLE " + partitions_.back();
    partitions_.pop_back();
    FlatError error;
    if (run_in_hub(
            kDdlLimits, [&](const HubPlace&) { run_sql(sql.c_str()); }, error)) {
        partitions_changed = true;
    } else {
        log_limited(LOG, "retention", "an old partition is kept for now", error.message);
    }
}

void HubRetention::delete_rows(Statement& statement, int64_t before, Stage next) {
    uint64_t deleted = 0;
    FlatError error;
    const bool done = run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            Arguments arguments;
            arguments.time(before);
            arguments.integer(kPieceRows);
            deleted = run_statement(statement, arguments);
        },
        error);
    if (!done) log_limited(LOG, "retention", "old rows could not be deleted", error.message);
    if (!done || deleted < kPieceRows) stage_ = next;
}

}  // namespace pganalytics::pg

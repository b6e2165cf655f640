// Enrolments in the hub's tables (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_enrolment_store.hpp"

#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_sql.hpp"

namespace pganalytics::pg {

namespace {

Statement read_token = {
    "SELECT t.name, t.expires_at > pg_catalog.now(), t.used_at IS NOT NULL,"
    "       t.public_key IS NOT DISTINCT FROM $2, t.own, t.collector_id, c.collector_id"
    "  FROM pganalytics.tokens t"
    "  LEFT JOIN pganalytics.collectors c ON c.name = t.name"
    " WHERE t.digest = $1"
    "   FOR UPDATE OF t"};
enum TokenField : int { kName, kValid, kUsed, kSameKey, kOwn, kUsedBy, kEnrolled };

Statement read_certificate = {
    "SELECT certificate, generation, not_after FROM pganalytics.certificates"
    " WHERE collector_id = $1 AND public_key = $2"
    "   AND (ended_at IS NULL OR ended_at > pg_catalog.now())"
    " ORDER BY issued_at DESC LIMIT 1"};

Statement upsert_collector = {
    "INSERT INTO pganalytics.collectors AS c"
    "   (collector_id, name, hostname, version, system_identifier, enrolled_at, generation, own)"
    " VALUES ($1, $2, pg_catalog.\"left\"($3, 255), pg_catalog.\"left\"($4, 64), $5,"
    "         pg_catalog.now(), 1, $6)"
    " ON CONFLICT (name) DO UPDATE SET"
    "   hostname = excluded.hostname, version = excluded.version,"
    "   enrolled_at = excluded.enrolled_at, generation = c.generation + 1, enabled = true,"
    "   own = excluded.own, last_full_at = NULL, alarm = NULL, alarm_at = NULL"
    " RETURNING collector_id, generation"};

Statement insert_certificate = {
    "INSERT INTO pganalytics.certificates (fingerprint, collector_id, generation, serial,"
    "   public_key, certificate, not_before, not_after, issued_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pg_catalog.now())"};

// The front takes eight of one collector. Those that were used, and the oldest (whose use is not
// told, as it has none before it to end), may be in use now; of the others the newest five stay.
Statement end_unused = {
    "UPDATE pganalytics.certificates SET ended_at = pg_catalog.now() WHERE fingerprint IN ("
    "  SELECT o.fingerprint FROM ("
    "    SELECT k.fingerprint, k.first_used_at,"
    "           pg_catalog.row_number() OVER (ORDER BY k.generation, k.issued_at) AS oldest,"
    "           pg_catalog.row_number() OVER (ORDER BY k.generation DESC, k.issued_at DESC)"
    "             AS newest"
    "      FROM pganalytics.certificates k"
    "     WHERE k.collector_id = $1 AND k.not_after > pg_catalog.now()"
    "       AND (k.ended_at IS NULL OR k.ended_at > pg_catalog.now())) AS o"
    "   WHERE o.first_used_at IS NULL AND o.oldest > 1 AND o.newest > 5)"};

Statement use_token = {
    "UPDATE pganalytics.tokens SET used_at = pg_catalog.now(), collector_id = $2, public_key = $3"
    " WHERE digest = $1"};

// The name, cut at a character's start.
std::string_view short_name(std::string_view name) {
    if (name.size() <= 255) return name;
    const int size =
        pg_encoding_mbcliplen(PG_UTF8, name.data(), static_cast<int>(name.size()), 255);
    return name.substr(0, static_cast<size_t>(size));
}

void refuse(const Register& request, std::string_view reason) {
    write_audit({.event = "enrolment refused",
                 .name = short_name(request.name),
                 .address = request.address,
                 .first = "reason",
                 .first_value = reason,
                 .limited = true});
}

// What the token row says; its fields stay in SPI_tuptable.
TokenState look_at_token(const Register& request, std::string_view* reason) {
    Arguments arguments;
    arguments.bytes(request.token_digest);
    arguments.bytes(request.public_key);
    if (run_statement(read_token, arguments) != 1) {
        *reason = "unknown token";
    } else if (!field_boolean(0, kValid)) {
        *reason = "expired token";
    } else if (!request.name.empty() && field_text(0, kName) != request.name) {
        *reason = "token of another server";
    } else if (!field_boolean(0, kUsed)) {
        return TokenState::kGood;
    } else if (field_boolean(0, kSameKey)) {
        return TokenState::kUsedByThisKey;
    } else {
        *reason = "token used before with another key";
    }
    return TokenState::kRefused;
}

// False where the certificate of then lets nobody in any more.
bool repeat_answer(const Register& request, TokenAnswer& answer) {
    const Uuid collector_id = field_uuid(0, kUsedBy);
    Arguments arguments;
    arguments.uuid(collector_id);
    arguments.bytes(request.public_key);
    if (run_statement(read_certificate, arguments) != 1) return false;
    const std::string_view certificate = field_text(0, 0);
    answer.generation = static_cast<uint32_t>(field_integer(0, 1));
    answer.expires_at = field_time(0, 2);
    answer.collector_id = collector_id;
    answer.certificate = certificate;
    return true;
}

void look(const Register& request, TokenAnswer& answer) {
    std::string_view reason;
    answer.state = look_at_token(request, &reason);
    if (answer.state == TokenState::kGood) answer.collector_id = field_uuid(0, kEnrolled);
    if (answer.state == TokenState::kUsedByThisKey && !repeat_answer(request, answer)) {
        answer.state = TokenState::kRefused;
        reason = "token used before, its certificate has ended";
    }
    if (answer.state == TokenState::kRefused) refuse(request, reason);
}

void store_collector(const Register& request, const Uuid& collector_id, TokenAnswer& answer) {
    char system_identifier[32] = {};
    const bool own = field_boolean(0, kOwn);
    if (own)
        snprintf(system_identifier, sizeof system_identifier, UINT64_FORMAT, GetSystemIdentifier());
    Arguments arguments;
    arguments.uuid(collector_id);
    arguments.text(field_text(0, kName));
    arguments.text(request.hostname);
    arguments.text(request.version);
    arguments.text(system_identifier);
    arguments.boolean(own);
    run_statement(upsert_collector, arguments);
    answer.collector_id = field_uuid(0, 0);
    answer.generation = static_cast<uint32_t>(field_integer(0, 1));
    // Another token for the same name was faster; the certificate names an id that is not its.
    if (answer.collector_id != collector_id)
        ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                        errmsg("the server was enrolled meanwhile")));
}

void store_certificate(const Register& request, const KeysSignResult& certificate,
                       const TokenAnswer& answer) {
    add_certificate(answer.collector_id, answer.generation, request.public_key, certificate);
    Arguments token;
    token.bytes(request.token_digest);
    token.uuid(answer.collector_id);
    token.bytes(request.public_key);
    run_statement(use_token, token);
}

}  // namespace

void add_certificate(const Uuid& collector_id, uint32_t generation, std::string_view public_key,
                     const KeysSignResult& certificate) {
    Arguments arguments;
    arguments.bytes(certificate.fingerprint);
    arguments.uuid(collector_id);
    arguments.integer4(static_cast<int32_t>(generation));
    arguments.text(certificate.serial);
    arguments.bytes(public_key);
    arguments.text(certificate.certificate);
    arguments.time(certificate.not_before);
    arguments.time(certificate.not_after);
    run_statement(insert_certificate, arguments);
    Arguments collector;
    collector.uuid(collector_id);
    run_statement(end_unused, collector);
}

bool check_token(const Register& request, TokenAnswer& answer, FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits, [&](const HubPlace&) { look(request, answer); }, error);
}

bool store_enrolment(const Register& request, const Uuid& collector_id,
                     const KeysSignResult& certificate, TokenAnswer& answer,
                     FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            look(request, answer);
            if (answer.state != TokenState::kGood) return;
            const std::string_view name = field_text(0, kName);
            store_collector(request, collector_id, answer);
            store_certificate(request, certificate, answer);
            write_audit({.event = answer.generation > 1 ? "enrolled again" : "enrolled",
                         .collector_id = &answer.collector_id,
                         .name = name,
                         .address = request.address,
                         .first = "serial",
                         .first_value = certificate.serial});
            answer.expires_at = certificate.not_after;
            answer.certificate = certificate.certificate;
        },
        error);
}

}  // namespace pganalytics::pg

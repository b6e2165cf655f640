// Renewals in the hub's tables (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_renewal_store.hpp"

#include "pganalytics/pg/hub_enrolment_store.hpp"
#include "pganalytics/pg/hub_registry.hpp"
#include "pganalytics/pg/hub_sql.hpp"

namespace pganalytics::pg {

namespace {

// Locked, so that nobody revokes it between this look and what follows.
Statement lock_collector = {
    "SELECT c.name FROM pganalytics.collectors c WHERE c.collector_id = $1 AND c.enabled"
    "   FOR NO KEY UPDATE"};

Statement read_shown = {
    "SELECT generation::pg_catalog.int8, public_key = $3, serial FROM pganalytics.certificates"
    " WHERE collector_id = $1 AND fingerprint = $2 AND not_after > pg_catalog.now()"
    "   AND (ended_at IS NULL OR ended_at > pg_catalog.now())"};

Statement read_newest = {
    "SELECT generation::pg_catalog.int8, fingerprint = $2, public_key = $3,"
    "       not_after > pg_catalog.now() AND (ended_at IS NULL OR ended_at > pg_catalog.now()),"
    "       certificate, not_after, serial"
    "  FROM pganalytics.certificates WHERE collector_id = $1"
    " ORDER BY certificates.generation DESC, issued_at DESC LIMIT 1"};
enum NewestField : int { kGeneration, kIsShown, kSameKey, kAlive, kCertificate, kEnd, kSerial };

constexpr char kTwoKeysText[] =
    "two servers hold its certificate: look for a copy of its state directory, then enrol it again";

void ask(Statement& statement, const Renew& request, uint64_t* rows) {
    Arguments arguments;
    arguments.uuid(request.collector_id);
    arguments.bytes(request.fingerprint);
    arguments.bytes(request.public_key);
    *rows = run_statement(statement, arguments);
}

void alarm(const Renew& request, std::string_view name, std::string_view shown) {
    const std::string_view newest = field_text(0, kSerial);
    if (!raise_alarm(request.collector_id, kTwoKeysText)) return;
    write_audit({.event = "two keys for one server",
                 .collector_id = &request.collector_id,
                 .name = name,
                 .address = request.address,
                 .first = "shown",
                 .first_value = shown,
                 .second = "newest",
                 .second_value = newest});
}

// The collector's name, for the audit; a view into what SPI keeps till the end.
std::string_view look(const Renew& request, RenewalAnswer& answer) {
    answer.state = RenewalState::kRefused;
    Arguments collector;
    collector.uuid(request.collector_id);
    if (run_statement(lock_collector, collector) != 1) return {};
    const std::string_view name = field_text(0, 0);
    uint64_t rows = 0;
    ask(read_shown, request, &rows);
    if (rows != 1) return name;
    const int64_t generation = field_integer(0, 0);
    const bool same_key = field_boolean(0, 1);
    const std::string_view shown = field_text(0, 2);
    ask(read_newest, request, &rows);
    answer.generation = static_cast<uint32_t>(generation);
    if (same_key) {
        answer.state = RenewalState::kSameKey;
    } else if (field_boolean(0, kIsShown)) {
        answer.state = RenewalState::kGood;
    } else if (field_integer(0, kGeneration) != generation) {
        answer.state = RenewalState::kSuperseded;
    } else if (!field_boolean(0, kSameKey)) {
        answer.state = RenewalState::kTwoKeys;
        alarm(request, name, shown);
    } else if (field_boolean(0, kAlive)) {
        const std::string_view certificate = field_text(0, kCertificate);
        answer.expires_at = field_time(0, kEnd);
        answer.state = RenewalState::kDone;
        answer.certificate = certificate;
    }
    return name;
}

}  // namespace

bool check_renewal(const Renew& request, RenewalAnswer& answer, FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits, [&](const HubPlace&) { look(request, answer); }, error);
}

bool store_renewal(const Renew& request, const KeysSignResult& certificate, RenewalAnswer& answer,
                   FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            const std::string_view name = look(request, answer);
            if (answer.state != RenewalState::kGood) return;
            add_certificate(request.collector_id, answer.generation, request.public_key,
                            certificate);
            write_audit({.event = "certificate renewed",
                         .collector_id = &request.collector_id,
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

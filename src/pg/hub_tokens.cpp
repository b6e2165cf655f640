// Enrolment tokens (see the header). Runs in sessions and in the hub worker.
#include "pganalytics/pg/hub_tokens.hpp"

#include "pganalytics/pg/hub_sql.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace pganalytics::pg {

namespace {

constexpr int kSecretBytes = 32;
constexpr int64_t kOwnTokenUs = 60 * int64_t{1000000};

Statement insert_token = {
    "INSERT INTO pganalytics.tokens (digest, name, created_at, created_by, expires_at, own)"
    " VALUES ($1, $2, pg_catalog.now(), $3, $4, $5)"};

Statement own_name = {
    "SELECT coalesce("
    "  (SELECT name FROM pganalytics.collectors WHERE own AND system_identifier = $2"
    "    ORDER BY enrolled_at DESC LIMIT 1),"
    "  (SELECT candidate FROM pg_catalog.generate_series(1, 10000) AS n,"
    "      LATERAL (SELECT CASE n WHEN 1 THEN $1 ELSE $1 || '-' || n END AS candidate) AS c"
    "    WHERE NOT EXISTS (SELECT FROM pganalytics.collectors o WHERE o.name = candidate)"
    "    ORDER BY n LIMIT 1))"};

bytea* to_bytea(const void* data, size_t size) {
    auto* value = static_cast<bytea*>(palloc(size + VARHDRSZ));
    SET_VARSIZE(value, size + VARHDRSZ);
    memcpy(VARDATA(value), data, size);
    return value;
}

// 43 characters for 32 bytes, no padding, the alphabet of URLs.
char* base64url(const void* data, size_t size) {
    const Datum encoded = DirectFunctionCall2(binary_encode, PointerGetDatum(to_bytea(data, size)),
                                              PointerGetDatum(cstring_to_text("base64")));
    char* characters = TextDatumGetCString(encoded);
    for (char* at = characters; *at != '\0'; ++at) {
        if (*at == '+') *at = '-';
        if (*at == '/') *at = '_';
        if (*at == '=') *at = '\0';
    }
    return characters;
}

Datum sha256_of(const char* text) {
    return DirectFunctionCall1(sha256_bytea, PointerGetDatum(to_bytea(text, strlen(text))));
}

}  // namespace

const char* server_name_problem(std::string_view name) {
    if (name.empty()) return "a server's name must not be empty";
    if (name.size() > kLongestServerName) return "a server's name must not exceed 128 bytes";
    if (name.front() == ' ' || name.back() == ' ')
        return "a server's name must not begin or end with a blank";
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            return "a server's name must not contain control characters";
    }
    return nullptr;
}

char* make_token_text(const uint8_t (&ca_fingerprint)[32]) {
    uint8_t secret[kSecretBytes];
    if (!pg_strong_random(secret, sizeof secret))
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
    const char* fingerprint = base64url(ca_fingerprint, sizeof ca_fingerprint);
    return psprintf("pga1.%s.%s", fingerprint, base64url(secret, sizeof secret));
}

void store_token(const TokenOrder& order, const char* text) {
    Arguments arguments;
    arguments.datum(BYTEAOID, sha256_of(text));
    arguments.text(order.name);
    arguments.text(order.created_by);
    arguments.datum(TIMESTAMPTZOID, TimestampTzGetDatum(order.expires_at));
    arguments.boolean(order.own);
    run_statement(insert_token, arguments);
}

bool make_own_token(std::string_view base, const Sha256& ca_fingerprint, std::string& text,
                    FlatError& error) noexcept {
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace&) {
            uint8_t fingerprint[32];
            memcpy(fingerprint, ca_fingerprint.data(), sizeof fingerprint);
            char system_identifier[32];
            snprintf(system_identifier, sizeof system_identifier, UINT64_FORMAT,
                     GetSystemIdentifier());
            Arguments arguments;
            arguments.text(base);
            arguments.text(system_identifier);
            run_statement(own_name, arguments);
            TokenOrder order;
            order.name = field_text(0, 0);
            order.created_by = "pganalytics hub";
            order.expires_at = GetCurrentTimestamp() + kOwnTokenUs;
            order.own = true;
            const char* made = make_token_text(fingerprint);
            store_token(order, made);
            text.assign(made);
        },
        error);
}

}  // namespace pganalytics::pg

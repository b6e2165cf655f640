// Collector tokens: JWTs signed HS256 with a key that the hub derives for each collector and key
// generation and stores nowhere. Runs in serve (makes and verifies) and in tests. ship only carries
// a token and knows its expiry from the answer that brought it.
//
// Header, exactly: {"alg":"HS256","typ":"pga-collector+jwt","kid":"<version of the master key>"}
// Claims, exactly: iss, sub, collector_id, aud, iat, nbf, exp, jti, cnf {"x5t#S256"}
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/net/master_keys.hpp"

namespace pganalytics::net {

inline constexpr size_t kMaxTokenBytes = 2048;
inline constexpr int64_t kTokenLifetime = 3600;  // seconds; also the longest accepted
inline constexpr int64_t kTokenLeeway = 30;
inline constexpr std::string_view kCollectorTokenType = "pga-collector+jwt";

// Whom a token is for. Identity comes from the connection's certificate, never from the token.
struct TokenSubject {
    std::string issuer;   // `iss`
    std::string hub_id;   // `aud`, and the salt of the key
    Uuid collector_id{};  // `sub` and `collector_id`
    uint32_t generation = 0;
    Sha256 certificate_fingerprint{};  // `cnf`
};

// HKDF-SHA256(master key, salt hub_id, info "pganalytics collector token" NUL collector_id NUL
// generation), ids as text.
Sha256 collector_token_key(const MasterKey& master, std::string_view hub_id,
                           const Uuid& collector_id, uint32_t generation);

// `now` is seconds since 1970.
std::string make_collector_token(const MasterKey& master, const TokenSubject& subject, int64_t now,
                                 int64_t lifetime = kTokenLifetime);

// What the verifier found. Callers answer every refusal in the same way; the reason is for the
// local log.
enum class TokenRefusal : uint8_t {
    kNone = 0,
    kTooLong,
    kForm,    // not three canonical base64url parts
    kHeader,  // not exactly alg, typ, kid
    kAlgorithm,
    kType,
    kKey,  // kid of no key in use
    kSignature,
    kClaims,  // missing, doubled, unknown, of a wrong type
    kIssuer,
    kAudience,
    kSubject,
    kCertificate,
    kLifetime,  // longer than allowed
    kExpired,
    kEarly,
};

TokenRefusal verify_collector_token(std::string_view token, std::span<const MasterKey> masters,
                                    const TokenSubject& expected, int64_t now);
std::string_view token_refusal_text(TokenRefusal refusal);

}  // namespace pganalytics::net

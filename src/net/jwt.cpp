// Collector tokens (see the header). Order of the checks: size, form, header, key, signature, then
// claims, so that nothing but the header of an unsigned token is ever read.
#include "pganalytics/net/jwt.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "pganalytics/net/base64url.hpp"
#include "pganalytics/net/flat_json.hpp"
#include "pganalytics/net/random.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::net {

namespace {

constexpr std::string_view kAlgorithm = "HS256";

struct Parts {
    std::string_view signed_text;  // header.claims as sent
    std::string header;
    std::string claims;
    std::string signature;
};

std::optional<Parts> split(std::string_view token) {
    const size_t first = token.find('.');
    const size_t last = token.rfind('.');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    auto header = parse_base64url(token.substr(0, first));
    auto claims = parse_base64url(token.substr(first + 1, last - first - 1));
    auto signature = parse_base64url(token.substr(last + 1));
    if (!header || !claims || !signature) return std::nullopt;
    return Parts{token.substr(0, last), std::move(*header), std::move(*claims),
                 std::move(*signature)};
}

// The version that `kid` names: digits only, as std::to_string writes them.
std::optional<uint32_t> parse_kid(std::string_view kid) {
    uint32_t version = 0;
    const auto [end, code] = std::from_chars(kid.data(), kid.data() + kid.size(), version);
    if (code != std::errc() || std::to_string(version) != kid) return std::nullopt;
    return version;
}

const MasterKey* find_key(std::span<const MasterKey> masters, std::string_view kid) {
    const auto version = parse_kid(kid);
    // The last one signs, the one before it is accepted while tokens made with it live.
    const size_t count = std::min<size_t>(masters.size(), 2);
    for (const MasterKey& master : masters.last(count)) {
        if (version && master.version == *version) return &master;
    }
    return nullptr;
}

TokenRefusal check_header(std::string_view json, std::string& kid) {
    std::string algorithm;
    std::string type;
    FlatJson header;
    header.text("alg", algorithm);
    header.text("typ", type);
    header.text("kid", kid);
    if (!header.parse(json)) return TokenRefusal::kHeader;
    if (algorithm != kAlgorithm) return TokenRefusal::kAlgorithm;
    if (type != kCollectorTokenType) return TokenRefusal::kType;
    return TokenRefusal::kNone;
}

struct Claims {
    std::string issuer;
    std::string subject;
    std::string collector_id;
    std::string audience;
    std::string token_id;
    std::string certificate;
    int64_t issued_at = 0;
    int64_t not_before = 0;
    int64_t expires = 0;
};

bool parse_claims(std::string_view json, Claims& claims) {
    FlatJson object;
    object.text("iss", claims.issuer);
    object.text("sub", claims.subject);
    object.text("collector_id", claims.collector_id);
    object.text("aud", claims.audience);
    object.integer("iat", claims.issued_at);
    object.integer("nbf", claims.not_before);
    object.integer("exp", claims.expires);
    object.text("jti", claims.token_id);
    object.text("cnf.x5t#S256", claims.certificate);
    return object.parse(json) && parse_uuid(claims.token_id).has_value();
}

bool same(std::string_view a, std::string_view b) {
    return equal_in_constant_time(as_bytes(a), as_bytes(b));
}

TokenRefusal check_times(const Claims& claims, int64_t now) {
    // Far numbers are refused before any arithmetic on them.
    constexpr int64_t kFarthest = int64_t{1} << 40;
    for (const int64_t time : {claims.issued_at, claims.not_before, claims.expires}) {
        if (time < 0 || time > kFarthest) return TokenRefusal::kClaims;
    }
    const int64_t life = claims.expires - claims.issued_at;
    if (life <= 0 || life > kTokenLifetime || claims.not_before > claims.expires) {
        return TokenRefusal::kLifetime;
    }
    if (now >= claims.expires + kTokenLeeway) return TokenRefusal::kExpired;
    if (now < claims.not_before - kTokenLeeway || now < claims.issued_at - kTokenLeeway) {
        return TokenRefusal::kEarly;
    }
    return TokenRefusal::kNone;
}

TokenRefusal check_claims(const Claims& claims, const TokenSubject& expected, int64_t now) {
    const std::string collector = uuid_text(expected.collector_id);
    if (!same(claims.issuer, expected.issuer)) return TokenRefusal::kIssuer;
    if (!same(claims.audience, expected.hub_id)) return TokenRefusal::kAudience;
    if (!same(claims.subject, collector) || !same(claims.collector_id, collector)) {
        return TokenRefusal::kSubject;
    }
    if (!same(claims.certificate, base64url(expected.certificate_fingerprint))) {
        return TokenRefusal::kCertificate;
    }
    return check_times(claims, now);
}

}  // namespace

Sha256 collector_token_key(const MasterKey& master, std::string_view hub_id,
                           const Uuid& collector_id, uint32_t generation) {
    std::string info = "pganalytics collector token";
    info += '\0';
    info += uuid_text(collector_id);
    info += '\0';
    info += std::to_string(generation);
    return hkdf_sha256(master.secret, hub_id, info);
}

std::string make_collector_token(const MasterKey& master, const TokenSubject& subject, int64_t now,
                                 int64_t lifetime) {
    const std::string collector = uuid_text(subject.collector_id);
    std::string header;
    append_json_member(header, "alg", kAlgorithm);
    append_json_member(header, "typ", kCollectorTokenType);
    append_json_member(header, "kid", std::to_string(master.version));
    std::string confirmation;
    append_json_member(confirmation, "x5t#S256", base64url(subject.certificate_fingerprint));
    std::string claims;
    append_json_member(claims, "iss", subject.issuer);
    append_json_member(claims, "sub", collector);
    append_json_member(claims, "collector_id", collector);
    append_json_member(claims, "aud", subject.hub_id);
    append_json_member(claims, "iat", now);
    append_json_member(claims, "nbf", now);
    append_json_member(claims, "exp", now + lifetime);
    append_json_member(claims, "jti", uuid_text(random_uuid()));
    append_json_object(claims, "cnf", confirmation);
    std::string token = base64url("{" + header + "}") + "." + base64url("{" + claims + "}");
    const Sha256 key =
        collector_token_key(master, subject.hub_id, subject.collector_id, subject.generation);
    const Sha256 signature = hmac_sha256(key, token);
    token += '.';
    token += base64url(signature);
    return token;
}

TokenRefusal verify_collector_token(std::string_view token, std::span<const MasterKey> masters,
                                    const TokenSubject& expected, int64_t now) {
    if (token.size() > kMaxTokenBytes) return TokenRefusal::kTooLong;
    const auto parts = split(token);
    if (!parts) return TokenRefusal::kForm;
    std::string kid;
    const TokenRefusal refusal = check_header(parts->header, kid);
    if (refusal != TokenRefusal::kNone) return refusal;
    const MasterKey* master = find_key(masters, kid);
    if (master == nullptr) return TokenRefusal::kKey;
    const Sha256 key =
        collector_token_key(*master, expected.hub_id, expected.collector_id, expected.generation);
    const Sha256 signature = hmac_sha256(key, parts->signed_text);
    if (!equal_in_constant_time(signature, as_bytes(parts->signature))) {
        return TokenRefusal::kSignature;
    }
    Claims claims;
    if (!parse_claims(parts->claims, claims)) return TokenRefusal::kClaims;
    return check_claims(claims, expected, now);
}

std::string_view token_refusal_text(TokenRefusal refusal) {
    switch (refusal) {
        case TokenRefusal::kNone:
            return "";
        case TokenRefusal::kTooLong:
            return "token is too long";
        case TokenRefusal::kForm:
            return "token is malformed";
        case TokenRefusal::kHeader:
            return "token header is not exactly alg, typ and kid";
        case TokenRefusal::kAlgorithm:
            return "token is not signed with HS256";
        case TokenRefusal::kType:
            return "token is of another kind";
        case TokenRefusal::kKey:
            return "token names a key that is not in use";
        case TokenRefusal::kSignature:
            return "token signature is wrong";
        case TokenRefusal::kClaims:
            return "token claims are not those of a collector token";
        case TokenRefusal::kIssuer:
            return "token has another issuer";
        case TokenRefusal::kAudience:
            return "token is for another hub";
        case TokenRefusal::kSubject:
            return "token is for another collector";
        case TokenRefusal::kCertificate:
            return "token belongs to another certificate";
        case TokenRefusal::kLifetime:
            return "token lives longer than allowed";
        case TokenRefusal::kExpired:
            return "token has expired";
        case TokenRefusal::kEarly:
            return "token is not valid yet";
    }
    return "";
}

}  // namespace pganalytics::net

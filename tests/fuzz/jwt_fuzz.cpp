// Tokens whose signature is right, so that header and claims are really read: the header is what
// comes before the first newline, the claims what comes after it. And what we make ourselves is
// accepted, whatever the hub is called.
#include "check.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/net/base64url.hpp"
#include "pganalytics/net/flat_json.hpp"
#include "pganalytics/net/jwt.hpp"
#include "pganalytics/net/sha256.hpp"

namespace pganalytics::net {

namespace {

constexpr int64_t kNow = 1'800'000'000;

// What an accepted token says, read again without the verifier.
void check_accepted(std::string_view header, std::string_view claims, const TokenSubject& subject) {
    std::string algorithm;
    std::string type;
    std::string kid;
    FlatJson head;
    head.text("alg", algorithm);
    head.text("typ", type);
    head.text("kid", kid);
    FUZZ_CHECK(head.parse(header));
    FUZZ_CHECK(algorithm == "HS256" && type == kCollectorTokenType && kid == "1");
    const std::string id = uuid_text(subject.collector_id);
    FUZZ_CHECK(claims.find(subject.issuer) != std::string_view::npos ||
               claims.find('\\') != std::string_view::npos);
    FUZZ_CHECK(claims.find(id) != std::string_view::npos ||
               claims.find('\\') != std::string_view::npos);
}

// As long as FlatJson takes them.
constexpr size_t kMostIssuer = 256;

void check_made(std::span<const MasterKey> masters, std::string_view issuer) {
    if (issuer.size() > kMostIssuer || !is_utf8(issuer)) return;
    TokenSubject subject;
    subject.issuer = issuer;
    subject.hub_id = "h";
    const std::string token = make_collector_token(masters[0], subject, kNow, kTokenLifetime);
    FUZZ_CHECK(token.size() > kMaxTokenBytes ||
               verify_collector_token(token, masters, subject, kNow) == TokenRefusal::kNone);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input = fuzz_text(data, size);
    const size_t line = input.find('\n');
    if (line == std::string_view::npos) return 0;
    const std::string_view header = input.substr(0, line);
    const std::string_view claims = input.substr(line + 1);
    TokenSubject subject;
    subject.issuer = "i";
    subject.hub_id = "h";
    const MasterKey masters[] = {{1, {}}};
    std::string token = base64url(header) + "." + base64url(claims);
    const Sha256 key = collector_token_key(masters[0], "h", subject.collector_id, 0);
    token += "." + base64url(hmac_sha256(key, token));
    check_made(masters, header);
    const TokenRefusal refusal = verify_collector_token(token, masters, subject, kNow);
    FUZZ_CHECK(token_refusal_text(refusal).empty() == (refusal == TokenRefusal::kNone));
    if (refusal == TokenRefusal::kNone) {
        check_accepted(header, claims, subject);
        // Nor for anybody else, nor at another time.
        TokenSubject other = subject;
        other.certificate_fingerprint[31] = 1;
        FUZZ_CHECK(verify_collector_token(token, masters, other, kNow) ==
                   TokenRefusal::kCertificate);
        FUZZ_CHECK(verify_collector_token(token, masters, subject, kNow + 4000) ==
                   TokenRefusal::kExpired);
    }
    return 0;
}

}  // namespace pganalytics::net

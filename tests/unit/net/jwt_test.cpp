// Tokens of ours before python's hmac and json; tokens that python makes, right and wrong, before
// us.
#include "pganalytics/net/jwt.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/net/base64url.hpp"
#include "pganalytics/net/sha256.hpp"
#include "support/command.hpp"

namespace pganalytics::net {
namespace {

constexpr int64_t kNow = 1'800'000'000;

TokenSubject subject() {
    TokenSubject subject;
    subject.issuer = "https://hub.example:8444";
    subject.hub_id = "11111111-2222-4333-8444-555555555555";
    subject.collector_id = *parse_uuid("0f0e0d0c-0b0a-4908-8706-050403020100");
    subject.generation = 3;
    subject.certificate_fingerprint = sha256("certificate");
    return subject;
}

MasterKey master(uint32_t version) {
    MasterKey key;
    key.version = version;
    key.secret = sha256("master " + std::to_string(version));
    return key;
}

TokenRefusal verify(std::string_view token, const TokenSubject& expected = subject(),
                    int64_t now = kNow) {
    const MasterKey masters[] = {master(6), master(7)};
    return verify_collector_token(token, masters, expected, now);
}

// Signs any header and claims with the right key.
std::string sign(const std::string& header, const std::string& claims, uint32_t version = 7) {
    const std::string text =
        base64url(std::string_view(header)) + "." + base64url(std::string_view(claims));
    const TokenSubject who = subject();
    const Sha256 key =
        collector_token_key(master(version), who.hub_id, who.collector_id, who.generation);
    return text + "." + base64url(hmac_sha256(key, text));
}

constexpr const char* kHeader = R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7"})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string claims() {
    return R"({"iss":"https://hub.example:8444","sub":"0f0e0d0c-0b0a-4908-8706-050403020100",)"
           R"("collector_id":"0f0e0d0c-0b0a-4908-8706-050403020100",)"
           R"("aud":"11111111-2222-4333-8444-555555555555","iat":1800000000,"nbf":1800000000,)"
           R"("exp":1800003600,"jti":"99999999-2222-4333-8444-555555555555","cnf":{"x5t#S256":")" +
           base64url(sha256("certificate")) + R"("}})";
}

TEST(Jwt, PythonAgreesWithOurs) {
    const testing::TemporaryFolder folder;
    const std::string token = make_collector_token(master(7), subject(), kNow);
    testing::write_text(folder / "judge.py", R"python(
import base64, hashlib, hmac, json, sys
token, master, hub, collector, generation = sys.argv[1:]
def decode(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
header, claims, signature = token.split(".")
extracted = hmac.new(hub.encode(), bytes.fromhex(master), hashlib.sha256).digest()
info = b"pganalytics collector token\0" + collector.encode() + b"\0" + generation.encode()
key = hmac.new(extracted, info + b"\1", hashlib.sha256).digest()
good = hmac.new(key, (header + "." + claims).encode(), hashlib.sha256).digest()
assert hmac.compare_digest(good, decode(signature)), "signature"
assert json.loads(decode(header)) == {"alg": "HS256", "typ": "pga-collector+jwt", "kid": "7"}
claims = json.loads(decode(claims))
print(sorted(claims), claims["iat"], claims["nbf"], claims["exp"], claims["sub"] == claims["collector_id"] == collector,
      claims["aud"] == hub, claims["iss"], decode(claims["cnf"]["x5t#S256"]).hex(), len(claims["jti"]))
)python");
    const MasterKey key = master(7);
    const auto judge = testing::run_command(
        "/usr/bin/python3 " + (folder / "judge.py") + " " + token + " " + hex_text(key.secret) +
        " " + subject().hub_id + " " + uuid_text(subject().collector_id) + " 3");
    EXPECT_EQ(judge.status, 0);
    EXPECT_EQ(judge.output,
              "['aud', 'cnf', 'collector_id', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sub'] 1800000000 "
              "1800000000 1800003600 True True https://hub.example:8444 " +
                  hex_text(sha256("certificate")) + " 36\n");
    EXPECT_EQ(verify(token), TokenRefusal::kNone);
    EXPECT_LT(token.size(), kMaxTokenBytes);
}

TEST(Jwt, TokensOfPythonAreAccepted) {
    const testing::TemporaryFolder folder;
    // Other order, other spacing, escapes: the same values.
    testing::write_text(folder / "maker.py", R"python(
import base64, hashlib, hmac, json, sys
key, certificate = bytes.fromhex(sys.argv[1]), sys.argv[2]
def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
collector = "0f0e0d0c-0b0a-4908-8706-050403020100"
text = encode(json.dumps({"kid": "7", "typ": "pga-collector+jwt", "alg": "HS256"}, indent=2).encode()) + "." + encode(
    json.dumps({"cnf": {"x5t#S256": certificate}, "jti": "99999999-2222-4333-8444-555555555555", "exp": 1800003600,
                "nbf": 1800000000, "iat": 1800000000, "aud": "11111111-2222-4333-8444-555555555555",
                "collector_id": collector, "sub": collector, "iss": "https://hub.example:8444"}, indent=1).encode())
print(text + "." + encode(hmac.new(key, text.encode(), hashlib.sha256).digest()), end="")
)python");
    const TokenSubject who = subject();
    const Sha256 key = collector_token_key(master(7), who.hub_id, who.collector_id, who.generation);
    const auto token =
        testing::run_command("/usr/bin/python3 " + (folder / "maker.py") + " " + hex_text(key) +
                             " " + base64url(who.certificate_fingerprint));
    EXPECT_EQ(verify(token.output), TokenRefusal::kNone) << token.output;
}

TEST(Jwt, EveryOtherSubjectIsRefused) {
    const std::string token = make_collector_token(master(7), subject(), kNow);
    TokenSubject other = subject();
    other.issuer = "https://hub.example:8445";
    EXPECT_EQ(verify(token, other), TokenRefusal::kIssuer);
    other = subject();
    other.certificate_fingerprint = sha256("another");
    EXPECT_EQ(verify(token, other), TokenRefusal::kCertificate);
    // The key itself depends on these.
    other = subject();
    other.hub_id[0] = '2';
    EXPECT_EQ(verify(token, other), TokenRefusal::kSignature);
    other = subject();
    other.collector_id[0] ^= 1;
    EXPECT_EQ(verify(token, other), TokenRefusal::kSignature);
    other = subject();
    other.generation = 4;
    EXPECT_EQ(verify(token, other), TokenRefusal::kSignature);
}

TEST(Jwt, TimesAreKept) {
    const std::string token = make_collector_token(master(7), subject(), kNow);
    const auto at = [&](int64_t seconds) { return verify(token, subject(), kNow + seconds); };
    EXPECT_EQ(at(0), TokenRefusal::kNone);
    EXPECT_EQ(at(3600 + 29), TokenRefusal::kNone);
    EXPECT_EQ(at(3600 + 30), TokenRefusal::kExpired);
    EXPECT_EQ(at(-30), TokenRefusal::kNone);
    EXPECT_EQ(at(-31), TokenRefusal::kEarly);
    EXPECT_EQ(verify(make_collector_token(master(7), subject(), kNow, 3601)),
              TokenRefusal::kLifetime);
    EXPECT_EQ(verify(make_collector_token(master(7), subject(), kNow, 0)), TokenRefusal::kLifetime);
    const std::pair<const char*, TokenRefusal> times[] = {
        {"\"exp\":-1", TokenRefusal::kClaims},
        {"\"exp\":9223372036854775807", TokenRefusal::kClaims},
        {"\"exp\":18446744073709551615", TokenRefusal::kClaims},
        {"\"exp\":1800003601", TokenRefusal::kLifetime},
        {"\"exp\":1799999999", TokenRefusal::kLifetime},
        {"\"exp\":1800003600.0", TokenRefusal::kClaims},
        {"\"exp\":1.8e9", TokenRefusal::kClaims},
        {"\"exp\":\"1800003600\"", TokenRefusal::kClaims},
        {"\"exp\":null", TokenRefusal::kClaims},
    };
    for (const auto& [text, refusal] : times) {
        EXPECT_EQ(verify(sign(kHeader, replaced(claims(), "\"exp\":1800003600", text))), refusal)
            << text;
    }
    EXPECT_EQ(verify(sign(kHeader, replaced(claims(), "\"nbf\":1800000000", "\"nbf\":1800000031"))),
              TokenRefusal::kEarly);
}

TEST(Jwt, HeaderIsExactlyThreeMembers) {
    EXPECT_EQ(verify(sign(kHeader, claims())), TokenRefusal::kNone);
    const std::pair<const char*, TokenRefusal> headers[] = {
        {R"({"alg":"none","typ":"pga-collector+jwt","kid":"7"})", TokenRefusal::kAlgorithm},
        {R"({"alg":"hs256","typ":"pga-collector+jwt","kid":"7"})", TokenRefusal::kAlgorithm},
        {R"({"alg":"HS512","typ":"pga-collector+jwt","kid":"7"})", TokenRefusal::kAlgorithm},
        {R"({"alg":"RS256","typ":"pga-collector+jwt","kid":"7"})", TokenRefusal::kAlgorithm},
        {R"({"alg":"HS256","typ":"JWT","kid":"7"})", TokenRefusal::kType},
        {R"({"alg":"HS256","typ":"pga-user+jwt","kid":"7"})", TokenRefusal::kType},
        {R"({"alg":"HS256","typ":"pga-collector+jwt"})", TokenRefusal::kHeader},
        {R"({"alg":"HS256","kid":"7"})", TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":7})", TokenRefusal::kHeader},
        {R"({"alg":"HS256","alg":"HS256","typ":"pga-collector+jwt","kid":"7"})",
         TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7","crit":["exp"]})",
         TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7","jku":"https://x"})",
         TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7","jwk":{}})", TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7","b64":false})",
         TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7"}x)", TokenRefusal::kHeader},
        {R"([{"alg":"HS256","typ":"pga-collector+jwt","kid":"7"}])", TokenRefusal::kHeader},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"8"})", TokenRefusal::kKey},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"07"})", TokenRefusal::kKey},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"7 "})", TokenRefusal::kKey},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":""})", TokenRefusal::kKey},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"4294967303"})", TokenRefusal::kKey},
        {R"({"alg":"HS256","typ":"pga-collector+jwt","kid":"../7"})", TokenRefusal::kKey},
        {"", TokenRefusal::kHeader},
        {"{}", TokenRefusal::kHeader},
        {"null", TokenRefusal::kHeader},
    };
    for (const auto& [header, refusal] : headers) {
        EXPECT_EQ(verify(sign(header, claims())), refusal) << header;
    }
}

TEST(Jwt, ClaimsAreExactlyTheNamedOnes) {
    const auto refused = [](const std::string& from, const std::string& to) {
        return verify(sign(kHeader, replaced(claims(), from, to)));
    };
    for (const char* name :
         {"iss", "sub", "collector_id", "aud", "iat", "nbf", "exp", "jti", "cnf"}) {
        const std::string quoted = std::string("\"") + name + "\":";
        EXPECT_EQ(refused(quoted, std::string("\"x") + name + "\":"), TokenRefusal::kClaims)
            << name;
    }
    EXPECT_EQ(refused("{\"iss\"", "{\"more\":1,\"iss\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("{\"iss\"", "{\"more\":{},\"iss\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("{\"iss\"", "{\"more\":[],\"iss\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("{\"iss\"", "{\"exp\":1800003600,\"iss\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("{\"iss\"", "{\"cnf\":{},\"iss\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("{\"x5t#S256\"", "{\"y\":1,\"x5t#S256\""), TokenRefusal::kClaims);
    // Not a member of cnf but one of that long name.
    const std::string confirmation =
        "\"cnf\":{\"x5t#S256\":\"" + base64url(sha256("certificate")) + "\"}";
    EXPECT_EQ(
        refused(confirmation, "\"cnf.x5t#S256\":\"" + base64url(sha256("certificate")) + "\""),
        TokenRefusal::kClaims);
    EXPECT_EQ(refused(confirmation, "\"cnf\":\"x\""), TokenRefusal::kClaims);
    EXPECT_EQ(refused("\"aud\":\"1", "\"aud\":\"2"), TokenRefusal::kAudience);
    EXPECT_EQ(refused("\"aud\":\"11111111-2222-4333-8444-555555555555\"",
                      "\"aud\":[\"11111111-2222-4333-8444-555555555555\"]"),
              TokenRefusal::kClaims);
    EXPECT_EQ(refused("\"sub\":\"0", "\"sub\":\"1"), TokenRefusal::kSubject);
    EXPECT_EQ(refused("\"collector_id\":\"0", "\"collector_id\":\"1"), TokenRefusal::kSubject);
    EXPECT_EQ(refused("\"jti\":\"99999999-", "\"jti\":\"9999999-"), TokenRefusal::kClaims);
    EXPECT_EQ(refused("hub.example:8444", "hub.example:8444\\u0000"), TokenRefusal::kIssuer);
    EXPECT_EQ(refused("hub.example:8444", "hub.example:844\xff"), TokenRefusal::kClaims);
}

TEST(Jwt, FormIsExact) {
    const std::string token = make_collector_token(master(7), subject(), kNow);
    const size_t first = token.find('.');
    const size_t last = token.rfind('.');
    EXPECT_EQ(verify(""), TokenRefusal::kForm);
    EXPECT_EQ(verify("."), TokenRefusal::kForm);
    EXPECT_EQ(verify(".."), TokenRefusal::kHeader);
    EXPECT_EQ(verify(token.substr(0, last)), TokenRefusal::kForm);
    EXPECT_EQ(verify(token.substr(0, last + 1)), TokenRefusal::kSignature);
    EXPECT_EQ(verify(token + "."), TokenRefusal::kForm);
    EXPECT_EQ(verify(token + "="), TokenRefusal::kForm);
    EXPECT_EQ(verify(token + "\n"), TokenRefusal::kForm);
    EXPECT_EQ(verify(token.substr(0, first) + token.substr(last)), TokenRefusal::kForm);
    EXPECT_EQ(verify(token + std::string(kMaxTokenBytes, 'A')), TokenRefusal::kTooLong);
    // A signature of another length, and one with loose trailing bits.
    EXPECT_NE(verify(token + "AAAA"), TokenRefusal::kNone);
}

TEST(Jwt, NoChangedByteIsAccepted) {
    const std::string token = make_collector_token(master(7), subject(), kNow);
    for (size_t at = 0; at < token.size(); ++at) {
        for (const char other : {'A', 'B', '.', '-', '='}) {
            if (token[at] == other) continue;
            std::string changed = token;
            changed[at] = other;
            EXPECT_NE(verify(changed), TokenRefusal::kNone) << at << other;
        }
    }
}

TEST(Jwt, TheLastTwoMasterKeysVerify) {
    const MasterKey masters[] = {master(5), master(6), master(7)};
    const auto with = [&](uint32_t version) {
        return verify_collector_token(make_collector_token(master(version), subject(), kNow),
                                      masters, subject(), kNow);
    };
    EXPECT_EQ(with(7), TokenRefusal::kNone);
    EXPECT_EQ(with(6), TokenRefusal::kNone);
    EXPECT_EQ(with(5), TokenRefusal::kKey);
    EXPECT_EQ(verify_collector_token(make_collector_token(master(7), subject(), kNow), {},
                                     subject(), kNow),
              TokenRefusal::kKey);
}

}  // namespace
}  // namespace pganalytics::net

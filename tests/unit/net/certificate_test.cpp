// Keys, requests and certificates of ours before the openssl command line, and its own before us.
#include "pganalytics/net/certificate.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/net/certificate_authority.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/private_key.hpp"
#include "support/command.hpp"

namespace pganalytics::net {
namespace {

using testing::read_text;
using testing::run_command;
using testing::write_text;

constexpr KeyKind kKinds[] = {KeyKind::kEcP256, KeyKind::kEcP384, KeyKind::kEd25519,
                              KeyKind::kRsa3072};
const Uuid kCollector = *parse_uuid("0f0e0d0c-0b0a-4908-8706-050403020100");

class CertificateTest : public ::testing::Test {
  protected:
    void SetUp() override {
        now_ = std::time(nullptr);
        ca_key_ = *make_private_key();
        ca_ = *make_authority(*ca_key_, "pganalytics test CA", now_);
        write_text(folder_ / "ca.crt", *certificate_pem(*ca_));
    }
    Issuer issuer() { return {*ca_, *ca_key_}; }
    // What `openssl x509` says about a certificate.
    std::string shown(const X509& certificate) {
        write_text(folder_ / "shown.crt", *certificate_pem(certificate));
        return run_command("openssl x509 -noout -text -in " + (folder_ / "shown.crt")).output;
    }
    testing::CommandResult verified(const X509& certificate, const std::string& purpose) {
        write_text(folder_ / "leaf.crt", *certificate_pem(certificate));
        return run_command(
            "openssl verify -x509_strict -auth_level 3 -no-CApath -no-CAstore "
            "-CAfile " +
            (folder_ / "ca.crt") + " -purpose " + purpose + " " + (folder_ / "leaf.crt"));
    }

    testing::TemporaryFolder folder_;
    int64_t now_ = 0;
    PrivateKey ca_key_;
    Certificate ca_;
};

TEST_F(CertificateTest, AuthorityIsWhatItShouldBe) {
    const std::string text = shown(*ca_);
    for (const char* part :
         {"Version: 3", "CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign",
          "X509v3 Basic Constraints: critical", "X509v3 Key Usage: critical",
          "Subject Key Identifier", "ecdsa-with-SHA256", "CN = pganalytics test CA"}) {
        EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    }
    EXPECT_EQ(certificate_not_after(*ca_) - now_, 5 * 365 * 86400);
    EXPECT_EQ(run_command("openssl verify -x509_strict -CAfile " + (folder_ / "ca.crt") + " " +
                          (folder_ / "ca.crt"))
                  .status,
              0);
}

TEST_F(CertificateTest, ServerCertificatePassesForServersOnly) {
    for (const KeyKind kind : kKinds) {
        const PrivateKey key = *make_private_key(kind);
        const auto leaf = issue_server_certificate(
            issuer(), *key, {"hub.example", "*.hubs.example", "127.0.0.1", "::1"}, now_);
        ASSERT_TRUE(leaf);
        EXPECT_EQ(verified(**leaf, "sslserver").status, 0) << verified(**leaf, "sslserver").output;
        EXPECT_NE(verified(**leaf, "sslclient").status, 0);
        const std::string text = shown(**leaf);
        for (const char* part : {"DNS:hub.example, DNS:*.hubs.example, IP Address:127.0.0.1, IP "
                                 "Address:0:0:0:0:0:0:0:1",
                                 "TLS Web Server Authentication", "CA:FALSE", "Digital Signature",
                                 "Authority Key Identifier"}) {
            EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
        }
        EXPECT_EQ(certificate_not_after(**leaf) - now_, 30 * 86400);
        EXPECT_TRUE(key_matches(**leaf, *key));
        EXPECT_FALSE(key_matches(**leaf, *ca_key_));
    }
}

TEST_F(CertificateTest, CollectorCertificateNamesTheCollectorAndNothingElse) {
    for (const KeyKind kind : kKinds) {
        const PrivateKey key = *make_private_key(kind);
        const auto leaf = issue_collector_certificate(issuer(), *key, kCollector, now_);
        ASSERT_TRUE(leaf);
        EXPECT_EQ(verified(**leaf, "sslclient").status, 0) << verified(**leaf, "sslclient").output;
        EXPECT_NE(verified(**leaf, "sslserver").status, 0);
        EXPECT_NE(shown(**leaf).find("URI:urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100\n"),
                  std::string::npos);
        EXPECT_EQ(certificate_collector_id(**leaf), kCollector);
    }
}

TEST_F(CertificateTest, SerialsAreLongAndDiffer) {
    const PrivateKey key = *make_private_key();
    const auto a = issue_collector_certificate(issuer(), *key, kCollector, now_);
    const auto b = issue_collector_certificate(issuer(), *key, kCollector, now_);
    EXPECT_EQ(certificate_serial(**a).size(), 32U);
    EXPECT_NE(certificate_serial(**a), certificate_serial(**b));
    write_text(folder_ / "a.crt", *certificate_pem(**a));
    const auto judge =
        run_command("openssl x509 -noout -serial -in " + (folder_ / "a.crt") + " | tr A-F a-f");
    EXPECT_EQ(judge.output, "serial=" + certificate_serial(**a) + "\n");
}

TEST_F(CertificateTest, LivesAreBounded) {
    const PrivateKey key = *make_private_key();
    const auto longest = issue_collector_certificate(issuer(), *key, kCollector, now_, 1000 * kDay);
    EXPECT_EQ(certificate_not_after(**longest), now_ + 90 * kDay);
    // Not longer than the CA, and not at all after it.
    const int64_t end = certificate_not_after(*ca_);
    const auto last = issue_collector_certificate(issuer(), *key, kCollector, end - kDay);
    EXPECT_EQ(certificate_not_after(**last), end);
    EXPECT_FALSE(issue_collector_certificate(issuer(), *key, kCollector, end + 1));
    // Backdated for clocks that lag, but not before the CA.
    EXPECT_EQ(certificate_not_before(**longest), now_ - 3600);
    EXPECT_EQ(certificate_renew_at(**longest), now_ - 3600 + (90 * kDay + 3600) / 3 * 2);
}

TEST_F(CertificateTest, FingerprintIsThatOfOpenssl) {
    const auto judge =
        run_command("openssl x509 -noout -fingerprint -sha256 -in " + (folder_ / "ca.crt") +
                    " | sed 's/.*=//; s/://g' | tr A-F a-f | tr -d '\\n'");
    EXPECT_EQ(hex_text(certificate_fingerprint(*ca_)), judge.output);
}

TEST_F(CertificateTest, ServerNamesAreChecked) {
    const PrivateKey key = *make_private_key();
    for (const char* bad : {"", "a b", "a,DNS:b", "-a", "a\nb", "http://a", "*", "a*b", ".a"}) {
        EXPECT_FALSE(issue_server_certificate(issuer(), *key, {bad}, now_)) << bad;
    }
    EXPECT_FALSE(issue_server_certificate(issuer(), *key, {}, now_));
    EXPECT_FALSE(
        issue_server_certificate(issuer(), *key, std::vector<std::string>(65, "a.example"), now_));
}

TEST_F(CertificateTest, NamesByAlternativeNameOnly) {
    const PrivateKey key = *make_private_key();
    const auto leaf = issue_server_certificate(issuer(), *key,
                                               {"hub.example", "*.hubs.example", "10.0.0.1"}, now_);
    for (const char* name : {"hub.example", "HUB.example", "a.hubs.example", "10.0.0.1"}) {
        EXPECT_TRUE(certificate_has_name(**leaf, name)) << name;
    }
    for (const char* name : {"example", "other.example", "a.b.hubs.example", "hubs.example",
                             "10.0.0.2", "", "hub.example.evil"}) {
        EXPECT_FALSE(certificate_has_name(**leaf, name)) << name;
    }
    const std::string with_nul("hub.example\0.evil", 17);
    EXPECT_FALSE(certificate_has_name(**leaf, with_nul));
    // The collector's common name is its id; it is not a host name.
    const auto collector = issue_collector_certificate(issuer(), *key, kCollector, now_);
    EXPECT_FALSE(certificate_has_name(**collector, uuid_text(kCollector)));
}

TEST_F(CertificateTest, CollectorIdWantsExactlyOneCanonicalName) {
    const std::string id = "0f0e0d0c-0b0a-4908-8706-050403020100";
    const std::pair<std::string, bool> cases[] = {
        {"URI:urn:uuid:" + id, true},
        {"URI:urn:uuid:" + id + ",URI:urn:uuid:" + id, false},
        {"URI:urn:uuid:" + id + ",DNS:a.example", false},
        {"URI:urn:uuid:0F0E0D0C-0b0a-4908-8706-050403020100", false},
        {"URI:URN:UUID:" + id, false},
        {"URI:urn:uuid:" + id + "0", false},
        {"URI:" + id, false},
        {"DNS:" + id, false},
        {"email:a@b.example", false},
    };
    for (const auto& [name, accepted] : cases) {
        const auto made = run_command(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " +
            (folder_ / "k") + " -out " + (folder_ / "c") +
            " -subj /CN=x -addext 'subjectAltName=" + name + "'");
        ASSERT_EQ(made.status, 0) << made.output;
        const auto certificate = parse_certificate(read_text(folder_ / "c"));
        ASSERT_TRUE(certificate);
        EXPECT_EQ(certificate_collector_id(**certificate).has_value(), accepted) << name;
    }
    EXPECT_FALSE(certificate_collector_id(*ca_).has_value());
}

TEST_F(CertificateTest, CheckSaysWhichRule) {
    const PrivateKey key = *make_private_key();
    Certificate leaf = *issue_server_certificate(issuer(), *key, {"a.example"}, now_);
    std::vector<Certificate> authorities;
    authorities.push_back(*parse_certificate(read_text(folder_ / "ca.crt")));
    const auto message = [&](CertificatePurpose purpose, int64_t when) {
        const Status status = check_certificate(*leaf, {}, authorities, purpose, when);
        return status ? std::string() : status.error().message;
    };
    EXPECT_EQ(message(CertificatePurpose::kServer, now_), "");
    EXPECT_EQ(message(CertificatePurpose::kClient, now_),
              "certificate is not meant for this purpose");
    EXPECT_EQ(message(CertificatePurpose::kServer, now_ + 31 * kDay), "certificate has expired");
    EXPECT_EQ(message(CertificatePurpose::kServer, now_ - kDay), "certificate is not valid yet");
    const PrivateKey other_key = *make_private_key();
    authorities.clear();
    authorities.push_back(*make_authority(*other_key, "other CA", now_));
    EXPECT_EQ(message(CertificatePurpose::kServer, now_),
              "certificate was not issued by the CA in use");
    authorities.clear();
    authorities.push_back(*make_authority(*other_key, "pganalytics test CA", now_));
    EXPECT_NE(message(CertificatePurpose::kServer, now_), "");
}

TEST_F(CertificateTest, PemOfSeveralAndOfNone) {
    const std::string one = read_text(folder_ / "ca.crt");
    const auto two = parse_certificates("some words\n" + one + one);
    ASSERT_TRUE(two);
    EXPECT_EQ(two->size(), 2U);
    std::string many;
    for (int i = 0; i < 17; ++i) many += one;
    EXPECT_FALSE(parse_certificates(many));
    EXPECT_FALSE(parse_certificates(""));
    EXPECT_FALSE(
        parse_certificates("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"));
    EXPECT_FALSE(parse_certificates(one + one.substr(0, one.size() / 2)));
    EXPECT_FALSE(parse_certificates(one.substr(0, one.size() - 40)));
}

TEST_F(CertificateTest, KeysAreStoredAndStrangersRefused) {
    for (const KeyKind kind : kKinds) {
        const PrivateKey key = *make_private_key(kind);
        const std::string pem = *private_key_pem(*key);
        EXPECT_TRUE(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
        write_text(folder_ / "key", pem);
        EXPECT_EQ(run_command("openssl pkey -noout -check -in " + (folder_ / "key")).status, 0);
        const auto again = parse_private_key(pem);
        ASSERT_TRUE(again);
        EXPECT_EQ(*public_key_der(**again), *public_key_der(*key));
        EXPECT_TRUE(is_accepted_key(**again));
        const auto public_key = parse_public_key(*public_key_der(*key));
        ASSERT_TRUE(public_key);
        EXPECT_FALSE(parse_public_key(*public_key_der(*key) + "x"));
    }
    run_command(
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass "
        "pass:secret -out " +
        (folder_ / "locked"));
    EXPECT_FALSE(parse_private_key(read_text(folder_ / "locked")));
    EXPECT_FALSE(parse_private_key("no key"));
}

TEST_F(CertificateTest, RequestsBothWaysWithOpenssl) {
    for (const KeyKind kind : kKinds) {
        const PrivateKey key = *make_private_key(kind);
        const auto pem = make_certificate_request(*key, "db-1 \xc3\xa9");
        ASSERT_TRUE(pem);
        write_text(folder_ / "r.csr", *pem);
        const auto judge = run_command("openssl req -noout -verify -subject -nameopt utf8 -in " +
                                       (folder_ / "r.csr"));
        EXPECT_EQ(judge.status, 0);
        EXPECT_NE(judge.output.find("verify OK"), std::string::npos) << judge.output;
        EXPECT_NE(judge.output.find("db-1 \xc3\xa9"), std::string::npos) << judge.output;
        const auto public_key = verify_certificate_request(*pem);
        ASSERT_TRUE(public_key);
        EXPECT_EQ(*public_key, *public_key_der(*key));
    }
}

TEST_F(CertificateTest, RequestWithForeignKeyKindsIsRefused) {
    const std::pair<const char*, bool> kinds[] = {
        {"ec -pkeyopt ec_paramgen_curve:P-256", true},
        {"ec -pkeyopt ec_paramgen_curve:P-384", true},
        {"ed25519", true},
        {"rsa:3072", true},
        {"rsa:2048", false},
        {"ec -pkeyopt ec_paramgen_curve:P-521", false},
        {"ec -pkeyopt ec_paramgen_curve:secp256k1", false},
        {"ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", false},
        {"ed448", false},
    };
    for (const auto& [kind, accepted] : kinds) {
        const auto made =
            run_command(std::string("openssl req -new -nodes -newkey ") + kind +
                        " -subj /CN=x -keyout " + (folder_ / "k") + " -out " + (folder_ / "r"));
        ASSERT_EQ(made.status, 0) << made.output;
        const auto result = verify_certificate_request(read_text(folder_ / "r"));
        EXPECT_EQ(static_cast<bool>(result), accepted) << kind;
    }
}

TEST_F(CertificateTest, RequestWhoseSignatureIsWrongIsRefused) {
    const PrivateKey key = *make_private_key();
    const std::string pem = *make_certificate_request(*key, "aaaaaaaa");
    // Another name under the same signature, put together by openssl's own tools.
    write_text(folder_ / "r.csr", pem);
    run_command("openssl req -in " + (folder_ / "r.csr") +
                " -outform DER | sed 's/aaaaaaaa/"
                "bbbbbbbb/' | openssl req -inform DER -out " +
                (folder_ / "forged.csr"));
    const std::string forged = read_text(folder_ / "forged.csr");
    ASSERT_NE(run_command("openssl req -noout -subject -in " + (folder_ / "forged.csr"))
                  .output.find("bbbbbbbb"),
              std::string::npos);
    const auto result = verify_certificate_request(forged);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "signature of the certificate request is wrong");
    EXPECT_FALSE(verify_certificate_request("nothing"));
    EXPECT_FALSE(verify_certificate_request(pem.substr(0, pem.size() / 2)));
    EXPECT_FALSE(verify_certificate_request(std::string(20'000, ' ') + pem));
}

}  // namespace
}  // namespace pganalytics::net

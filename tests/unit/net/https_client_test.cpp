// The client before servers of python's ssl module and openssl s_server, with certificates made by
// the openssl command line. What was refused must not have received a byte of HTTP.
#include "pganalytics/net/https_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>

#include "pganalytics/net/certificate.hpp"
#include "support/https_server.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::net {
namespace {

using testing::HttpsServer;
using testing::LeafRecipe;

constexpr const char* kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nretry-after: 7\r\n"
    "ETag: \"v3\"\r\nX-Config-Version: 3\r\n\r\n{}";

class HttpsClientTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = new testing::TemporaryFolder;
        made_ = new testing::OpensslCertificates(*folder_);
        made_->authority("ca");
        made_->authority("other", "/CN=other CA");
        made_->authority("twin");  // another CA of the same name
        made_->leaf("ca", "good");
        made_->leaf("ca", "client",
                    {.names = "URI:urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100",
                     .purpose = "clientAuth"});
        made_->leaf("ca", "client_expired",
                    {.names = "URI:urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100",
                     .purpose = "clientAuth",
                     .end = "20210101000000Z"});
    }
    static void TearDownTestSuite() {
        delete made_;
        delete folder_;
    }

    static std::string pair_options(const std::string& name) {
        return "\"chain\":\"" + made_->path(name, ".chain") + "\",\"key\":\"" +
               made_->path(name, ".key") + "\"";
    }
    static ClientTlsOptions trusting(const std::string& authority = "ca") {
        return {.ca_pem = made_->text(authority, ".crt"),
                .ca_fingerprint = {},
                .certificate_pem = {},
                .key_pem = {}};
    }
    static ClientTlsOptions with_pair(const std::string& name) {
        ClientTlsOptions options = trusting();
        options.certificate_pem = made_->text(name, ".crt");
        options.key_pem = made_->text(name, ".key");
        return options;
    }
    static HttpsOutcome get(const ClientTlsOptions& tls, const std::string& url,
                            int total_timeout_ms = 20'000) {
        auto client = HttpsClient::make(tls);
        if (!client) {
            HttpsOutcome outcome;
            outcome.failure = HttpsFailure::kRequest;
            outcome.error = client.error();
            return outcome;
        }
        HttpsRequest request;
        request.url = url + "/api/v1/health";
        request.total_timeout_ms = total_timeout_ms;
        return client->perform(std::move(request));
    }

    static inline testing::TemporaryFolder* folder_ = nullptr;
    static inline testing::OpensslCertificates* made_ = nullptr;
};

TEST_F(HttpsClientTest, RequestAndAnswerArriveWhole) {
    const HttpsServer server(*folder_, "whole", pair_options("good"), kAnswer);
    auto client = HttpsClient::make(trusting());
    ASSERT_TRUE(client);
    HttpsRequest request;
    request.method = "POST";
    request.url = server.url() + "/api/v1/metrics/push";
    request.headers = {"Content-Type: application/json", "Authorization: Bearer abc"};
    request.body = std::string(2'000'000, 'b');
    const HttpsOutcome first = client->perform(request);
    ASSERT_EQ(first.failure, HttpsFailure::kNone) << first.error.message << first.error.detail;
    EXPECT_EQ(first.response.status, 200);
    EXPECT_EQ(first.response.body, "{}");
    EXPECT_EQ(first.response.content_type, "application/json");
    EXPECT_EQ(first.response.retry_after, "7");
    EXPECT_EQ(first.response.etag, "\"v3\"");
    EXPECT_EQ(first.response.config_version, "3");
    EXPECT_EQ(first.peer_address, "127.0.0.1");
    EXPECT_TRUE(first.new_connection);
    EXPECT_TRUE(first.may_have_arrived);
    const HttpsOutcome second = client->perform(request);
    EXPECT_EQ(second.failure, HttpsFailure::kNone);
    EXPECT_FALSE(second.new_connection);
    const std::string log = server.log();
    EXPECT_NE(log.find("handshake TLSv1.3 TLS_AES_256_GCM_SHA384 reused=False"), std::string::npos);
    for (const char* part : {"POST /api/v1/metrics/push HTTP/1.1\\r\\n", "Host: localhost:",
                             "User-Agent: pganalytics/1.0.0\\r\\n", "Content-Length: 2000000\\r\\n",
                             "Content-Type: application/json\\r\\n",
                             "Authorization: Bearer abc\\r\\n", "\\r\\n\\r\\nbbbb"}) {
        EXPECT_NE(log.find(part), std::string::npos) << part;
    }
    for (const char* part : {"Expect", "Accept-Encoding", "Cookie", "Transfer-Encoding"}) {
        EXPECT_EQ(log.find(part), std::string::npos) << part;
    }
}

TEST_F(HttpsClientTest, ByAddressToo) {
    const HttpsServer server(*folder_, "address", pair_options("good"), kAnswer);
    EXPECT_EQ(get(trusting(), server.address()).failure, HttpsFailure::kNone);
}

TEST_F(HttpsClientTest, NeitherTicketNorSessionIsUsedAgain) {
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const HttpsServer server(*folder_, "tickets", pair_options("good"), answer);
    auto client = HttpsClient::make(trusting());
    for (int i = 0; i < 3; ++i) {
        HttpsRequest request;
        request.url = server.url();
        ASSERT_EQ(client->perform(std::move(request)).failure, HttpsFailure::kNone);
    }
    EXPECT_EQ(server.log().find("reused=True"), std::string::npos);
    EXPECT_NE(server.log().find("reused=False"), std::string::npos);
}

struct BadHub {
    const char* name;
    LeafRecipe recipe;
    const char* authority;
    const char* reason;
};

TEST_F(HttpsClientTest, AHubWhoseCertificateDoesNotPassGetsNoByte) {
    const std::string no_names;
    const BadHub hubs[] = {
        {"expired", {.end = "20210101000000Z"}, "ca", "certificate has expired"},
        {"early", {.begin = "20480101000000Z"}, "ca", "certificate is not valid yet"},
        {"name", {.names = "DNS:hub.example"}, "ca", "certificate is not for this host name"},
        {"address", {.names = "IP:127.0.0.2"}, "ca", "certificate is not for this host name"},
        {"common_name",
         {.names = "", .subject = "/CN=localhost"},
         "ca",
         "certificate is not for this host name"},
        {"client", {.purpose = "clientAuth"}, "ca", "certificate is not meant for this purpose"},
        {"no_purpose", {.purpose = ""}, "ca", "certificate is not meant for this purpose"},
        {"other_ca", {}, "other", "certificate was not issued by the CA in use"},
        {"twin_ca", {}, "twin", "certificate"},
        {"weak_key", {.key = "rsa:2048"}, "ca", "too weak"},
        {"sha1", {.digest = "sha1"}, "ca", "too weak"},
        {"critical",
         {.more = "1.2.3.4.5=critical,ASN1:NULL\n"},
         "ca",
         "certificate does not pass: unhandled critical extension"},
    };
    for (const BadHub& hub : hubs) {
        const std::string name = std::string("bad_") + hub.name;
        made_->leaf(hub.authority, name, hub.recipe);
        const HttpsServer server(*folder_, name, pair_options(name), kAnswer);
        const HttpsOutcome outcome = get(trusting(), server.url());
        EXPECT_EQ(outcome.failure, HttpsFailure::kHubCertificate) << hub.name;
        EXPECT_NE(outcome.error.message.find(hub.reason), std::string::npos)
            << hub.name << ": " << outcome.error.message;
        EXPECT_FALSE(outcome.error.hint.empty());
        EXPECT_FALSE(outcome.may_have_arrived);
        // The server has seen the alert and nothing else.
        EXPECT_TRUE(testing::eventually([&] { return !server.log().empty(); })) << hub.name;
        EXPECT_EQ(server.log().find("request"), std::string::npos) << hub.name << server.log();
    }
}

TEST_F(HttpsClientTest, SelfSignedHubIsRefused) {
    ASSERT_EQ(testing::run_command(
                  "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30 "
                  "-subj /CN=localhost -addext subjectAltName=DNS:localhost -addext "
                  "extendedKeyUsage=serverAuth -keyout " +
                  made_->path("self", ".key") + " -out " + made_->path("self", ".chain"))
                  .status,
              0);
    const HttpsServer server(*folder_, "self", pair_options("self"), kAnswer);
    const HttpsOutcome outcome = get(trusting(), server.url());
    EXPECT_EQ(outcome.failure, HttpsFailure::kHubCertificate);
    EXPECT_NE(outcome.error.message.find("not issued by the CA in use"), std::string::npos);
}

TEST_F(HttpsClientTest, FingerprintPinsTheAuthority) {
    const HttpsServer server(*folder_, "pinned", pair_options("good"), kAnswer);
    const auto pin = [](const std::string& name) {
        ClientTlsOptions options;
        options.ca_fingerprint =
            certificate_fingerprint(**parse_certificate(made_->text(name, ".crt")));
        return options;
    };
    EXPECT_EQ(get(pin("ca"), server.url()).failure, HttpsFailure::kNone);
    const HttpsOutcome other = get(pin("other"), server.url());
    EXPECT_EQ(other.failure, HttpsFailure::kHubCertificate);
    EXPECT_NE(other.error.message.find("named by the enrolment token"), std::string::npos);
    EXPECT_EQ(get(pin("twin"), server.url()).failure, HttpsFailure::kHubCertificate);

    // The right CA in the chain, but the certificate is not its own.
    made_->leaf("other", "foreign");
    testing::run_command("cat " + made_->path("foreign", ".crt") + " " + made_->path("ca", ".crt") +
                         " > " + made_->path("foreign", ".chain"));
    const HttpsServer foreign(*folder_, "foreign", pair_options("foreign"), kAnswer);
    const HttpsOutcome refused = get(pin("ca"), foreign.url());
    EXPECT_EQ(refused.failure, HttpsFailure::kHubCertificate);
    EXPECT_TRUE(testing::eventually([&] { return !foreign.log().empty(); }));
    EXPECT_EQ(foreign.log().find("request"), std::string::npos);

    // The pin does not replace name and dates.
    made_->leaf("ca", "pin_name", {.names = "DNS:hub.example"});
    const HttpsServer name(*folder_, "pin_name", pair_options("pin_name"), kAnswer);
    EXPECT_EQ(get(pin("ca"), name.url()).failure, HttpsFailure::kHubCertificate);
    made_->leaf("ca", "pin_old", {.end = "20210101000000Z"});
    const HttpsServer old(*folder_, "pin_old", pair_options("pin_old"), kAnswer);
    const HttpsOutcome expired = get(pin("ca"), old.url());
    EXPECT_NE(expired.error.message.find("has expired"), std::string::npos);

    // A hub that does not send its CA can't be verified by it.
    testing::run_command("cp " + made_->path("good", ".crt") + " " + made_->path("bare", ".chain") +
                         "; cp " + made_->path("good", ".key") + " " + made_->path("bare", ".key"));
    const HttpsServer bare(*folder_, "bare", pair_options("bare"), kAnswer);
    EXPECT_EQ(get(pin("ca"), bare.url()).failure, HttpsFailure::kHubCertificate);
    EXPECT_EQ(get(trusting(), bare.url()).failure, HttpsFailure::kNone);
}

TEST_F(HttpsClientTest, OlderTlsIsRefused) {
    const HttpsServer server(*folder_, "tls12", pair_options("good") + ",\"version\":\"TLSv1_2\"",
                             kAnswer);
    const HttpsOutcome outcome = get(trusting(), server.url());
    EXPECT_EQ(outcome.failure, HttpsFailure::kTls);
    EXPECT_NE(outcome.error.detail.find("TLS 1.3 is required"), std::string::npos)
        << outcome.error.detail;
    EXPECT_TRUE(testing::eventually([&] { return !server.log().empty(); }));
    EXPECT_EQ(server.log().find("request"), std::string::npos);
}

TEST_F(HttpsClientTest, OurCertificateIsSentAndItsRefusalToldFromOtherEnds) {
    const HttpsServer server(
        *folder_, "mutual",
        pair_options("good") + ",\"client_ca\":\"" + made_->path("ca", ".crt") + "\"", kAnswer);
    EXPECT_EQ(get(with_pair("client"), server.url()).failure, HttpsFailure::kNone);
    const HttpsOutcome none = get(trusting(), server.url());
    EXPECT_EQ(none.failure, HttpsFailure::kOurCertificate) << none.error.message;
    EXPECT_NE(none.error.detail.find("none was sent"), std::string::npos);
    const HttpsOutcome expired = get(with_pair("client_expired"), server.url());
    EXPECT_EQ(expired.failure, HttpsFailure::kOurCertificate) << expired.error.message;
    EXPECT_NE(expired.error.detail.find("has expired"), std::string::npos);
    made_->leaf("ca", "client_server", {.purpose = "serverAuth"});
    const HttpsOutcome purpose = get(with_pair("client_server"), server.url());
    EXPECT_EQ(purpose.failure, HttpsFailure::kOurCertificate) << purpose.error.message;
}

TEST_F(HttpsClientTest, PairsAreCheckedBeforeAnyConnection) {
    ClientTlsOptions mixed = with_pair("client");
    mixed.key_pem = made_->text("good", ".key");
    EXPECT_NE(get(mixed, "https://localhost:1").error.message.find("do not belong together"),
              std::string::npos);
    ClientTlsOptions empty;
    EXPECT_FALSE(HttpsClient::make(empty));
}

TEST_F(HttpsClientTest, ConnectionFaultsAreNamed) {
    EXPECT_EQ(get(trusting(), "https://no-such-host.invalid:1").failure, HttpsFailure::kDns);
    const HttpsOutcome refused = get(trusting(), "https://localhost:1");
    EXPECT_EQ(refused.failure, HttpsFailure::kConnect);
    EXPECT_NE(refused.error.message.find("localhost:1"), std::string::npos);
    for (const char* url : {"http://localhost:1", "https://user:pass@localhost:1", "ftp://x", ""}) {
        EXPECT_EQ(get(trusting(), url).failure, HttpsFailure::kRequest) << url;
    }
    HttpsRequest request;
    request.url = "https://localhost:1";
    request.headers = {"A: b\r\nC: d"};
    EXPECT_EQ(HttpsClient::make(trusting())->perform(std::move(request)).failure,
              HttpsFailure::kRequest);
}

TEST_F(HttpsClientTest, AnswerFaultsAreNamed) {
    const std::pair<std::string, HttpsFailure> answers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + std::string(65536, 'x'),
         HttpsFailure::kNone},
        {"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + std::string(65537, 'x'),
         HttpsFailure::kTooLarge},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(65537, 'x'),
         HttpsFailure::kTooLarge},
        {"HTTP/1.1 200 OK\r\nX: " + std::string(17'000, 'x') + "\r\nContent-Length: 0\r\n\r\n",
         HttpsFailure::kTooLarge},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort",
         HttpsFailure::kReset},
        {"220 mail.example ESMTP\r\nConnection: close\r\n\r\n", HttpsFailure::kAnswer},
    };
    int number = 0;
    for (const auto& [answer, failure] : answers) {
        const HttpsServer server(*folder_, "answer" + std::to_string(++number),
                                 pair_options("good"), answer);
        const HttpsOutcome outcome = get(trusting(), server.url());
        EXPECT_EQ(outcome.failure, failure)
            << number << ": " << outcome.error.message << " " << outcome.error.detail;
        if (failure != HttpsFailure::kNone) {
            EXPECT_TRUE(outcome.may_have_arrived) << number;
            EXPECT_FALSE(outcome.error.message.empty());
        }
    }
    const HttpsServer closing(*folder_, "closing", pair_options("good") + ",\"mode\":\"close\"",
                              "");
    EXPECT_EQ(get(trusting(), closing.url()).failure, HttpsFailure::kReset);
}

TEST_F(HttpsClientTest, RedirectsAreAnswersNotOrders) {
    const HttpsServer server(
        *folder_, "redirect", pair_options("good"),
        "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    const HttpsOutcome outcome = get(trusting(), server.url());
    EXPECT_EQ(outcome.failure, HttpsFailure::kNone);
    EXPECT_EQ(outcome.response.status, 302);
}

TEST_F(HttpsClientTest, TimeLimitsHold) {
    const HttpsServer stalled(*folder_, "stalled", pair_options("good") + ",\"mode\":\"stall\"",
                              "");
    const HttpsOutcome outcome = get(trusting(), stalled.url(), 2500);
    EXPECT_EQ(outcome.failure, HttpsFailure::kTimeout);
    EXPECT_NE(outcome.error.message.find("did not answer in time"), std::string::npos);
    EXPECT_NE(outcome.error.detail.find("2.5 s"), std::string::npos) << outcome.error.detail;
    EXPECT_TRUE(outcome.may_have_arrived);
}

TEST_F(HttpsClientTest, ASilentListenerIsATimeoutOfTheHandshake) {
    // Accepts by backlog, never speaks.
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener, 4), 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    auto client = HttpsClient::make(trusting());
    HttpsRequest request;
    request.url = "https://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    request.connect_timeout_ms = 1200;
    const HttpsOutcome outcome = client->perform(std::move(request));
    close(listener);
    EXPECT_EQ(outcome.failure, HttpsFailure::kTimeout);
    EXPECT_FALSE(outcome.may_have_arrived);
    EXPECT_NE(outcome.error.detail.find("No TLS handshake within 1.2 s"), std::string::npos)
        << outcome.error.detail;
}

TEST_F(HttpsClientTest, SharesOneLoopWithOtherDescriptors) {
    const HttpsServer server(*folder_, "loop", pair_options("good"), kAnswer);
    auto client = HttpsClient::make(trusting());
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    pollfd waiting{.fd = ends[0], .events = POLLIN, .revents = 0};
    client->wait({&waiting, 1}, 5000);
    EXPECT_EQ(waiting.revents, POLLIN);

    std::set<uint64_t> ids;
    for (int i = 0; i < 4; ++i) {
        HttpsRequest request;
        request.url = server.url();
        ids.insert(client->start(std::move(request)));
    }
    EXPECT_EQ(client->active(), 4U);
    EXPECT_FALSE(client->next_finished().has_value());
    char byte = 0;
    ASSERT_EQ(read(ends[0], &byte, 1), 1);
    // The server takes one connection after the other, so the first ones end by keep-alive.
    client->cancel(*ids.rbegin());
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::set<uint64_t> good;
    std::set<uint64_t> canceled;
    while (good.size() + canceled.size() < 4 && std::chrono::steady_clock::now() < end) {
        client->service();
        while (const auto outcome = client->next_finished()) {
            if (outcome->failure == HttpsFailure::kNone) good.insert(outcome->id);
            if (outcome->failure == HttpsFailure::kCanceled) canceled.insert(outcome->id);
            // Its connection must not keep the server's one place.
            if (good.size() == 1) break;
        }
        if (good.size() == 1) break;
        client->wait({&waiting, 1}, 100);
        EXPECT_EQ(waiting.revents, 0);
    }
    EXPECT_EQ(canceled.size(), 1U);
    EXPECT_GE(good.size(), 1U);
    close(ends[0]);
    close(ends[1]);
}

TEST_F(HttpsClientTest, DroppingAClientInMidRequestIsQuick) {
    const HttpsServer stalled(*folder_, "drop", pair_options("good") + ",\"mode\":\"stall\"", "");
    auto client = std::make_unique<HttpsClient>(*HttpsClient::make(trusting()));
    HttpsRequest request;
    request.url = stalled.url();
    client->start(std::move(request));
    ASSERT_TRUE(testing::eventually([&] {
        client->service();
        client->wait({}, 10);
        return stalled.log().find("request") != std::string::npos;
    }));
    const auto begin = std::chrono::steady_clock::now();
    client.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
}

TEST_F(HttpsClientTest, EnvironmentHasNoEffect) {
    const HttpsServer server(*folder_, "environment", pair_options("good"), kAnswer);
    const std::string keys = *folder_ / "keys.log";
    for (const char* name : {"https_proxy", "HTTPS_PROXY", "ALL_PROXY"}) {
        setenv(name, "http://127.0.0.1:1", 1);
    }
    setenv("SSL_CERT_FILE", made_->path("other", ".crt").c_str(), 1);
    EXPECT_EQ(get(trusting(), server.url()).failure, HttpsFailure::kNone);
    made_->leaf("other", "environment");
    const HttpsServer other(*folder_, "environment2", pair_options("environment"), kAnswer);
    EXPECT_EQ(get(trusting(), other.url()).failure, HttpsFailure::kHubCertificate);
    for (const char* name : {"https_proxy", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE"}) {
        unsetenv(name);
    }
}

TEST_F(HttpsClientTest, HelloOffersOnlyWhatIsPromised) {
    // openssl s_server writes the messages of the handshake; one handshake is enough.
    const std::string out = *folder_ / "s_server.out";
    const std::string standard_input = *folder_ / "s_server.in";
    ASSERT_EQ(mkfifo(standard_input.c_str(), 0600), 0);
    const int held = open(standard_input.c_str(), O_RDWR | O_CLOEXEC);
    const testing::Background server(
        {"/bin/sh", "-c",
         "exec openssl s_server -accept 127.0.0.1:0 -tls1_3 -trace -naccept 1 -cert " +
             made_->path("good", ".chain") + " -key " + made_->path("good", ".key") + " < " +
             standard_input + " > " + out + " 2>&1"});
    ASSERT_TRUE(testing::eventually(
        [&] { return testing::read_text(out).find("ACCEPT 127.0.0.1:") != std::string::npos; }));
    const std::string text = testing::read_text(out);
    const size_t at = text.find("ACCEPT 127.0.0.1:") + 17;
    const std::string port = text.substr(at, text.find('\n', at) - at);
    auto client = HttpsClient::make(trusting());
    HttpsRequest request;
    request.url = "https://localhost:" + port;
    client->start(std::move(request));
    ASSERT_TRUE(testing::eventually([&] {
        client->service();
        client->wait({}, 10);
        return testing::read_text(out).find("ServerHello") != std::string::npos;
    })) << testing::read_text(out);
    std::string hello = testing::read_text(out);
    close(held);
    hello = hello.substr(0, hello.find("ServerHello"));
    for (const char* part :
         {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256",
          "TLS 1.3 (772)", "ecdh_x25519", "secp256r1 (P-256)", "secp384r1 (P-384)", "http/1.1"}) {
        EXPECT_NE(hello.find(part), std::string::npos) << part << "\n" << hello;
    }
    for (const char* part : {"TLS 1.2 (771)", "TLS_RSA", "TLS_ECDHE", "P-521", "ecdh_x448", "ffdhe",
                             "session_ticket", "early_data", "sha1", "h2"}) {
        EXPECT_EQ(hello.find(part), std::string::npos) << part << "\n" << hello;
    }
}

}  // namespace
}  // namespace pganalytics::net

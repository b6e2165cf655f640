// Our server contexts before `openssl s_client`, and curl with bad and good certificates.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/tls.hpp"
#include "support/https_server.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::net {
namespace {

using testing::run_command;

// Answers each connection whose handshake passes with one line naming the client's certificate.
class Listener {
  public:
    explicit Listener(TlsContext context) : context_(std::move(context)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        bind(listener_, reinterpret_cast<sockaddr*>(&address), length);
        listen(listener_, 16);
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { run(); });
    }
    ~Listener() {
        end_ = true;
        thread_.join();
        close(listener_);
    }
    std::string port() const { return std::to_string(port_); }
    int served() const { return served_; }

  private:
    void run() {
        while (!end_) {
            pollfd entry{.fd = listener_, .events = POLLIN, .revents = 0};
            if (poll(&entry, 1, 20) <= 0) continue;
            const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            serve(connection);
            close(connection);
        }
    }
    void serve(int connection) {
        const timeval limit{.tv_sec = 10, .tv_usec = 0};
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        SSL* ssl = SSL_new(context_.get());
        SSL_set_fd(ssl, connection);
        if (SSL_accept(ssl) == 1) {
            const X509* peer = SSL_get0_peer_certificate(ssl);
            const auto id = peer != nullptr ? certificate_collector_id(*peer) : std::nullopt;
            const std::string body = "client " + (id ? uuid_text(*id) : "none") + "\n";
            const std::string answer =
                "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\nConnection: close\r\n\r\n" + body;
            char piece[4096];
            if (SSL_read(ssl, piece, sizeof piece) > 0) ++served_;
            SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        shutdown(connection, SHUT_WR);
        char rest[4096];
        while (read(connection, rest, sizeof rest) > 0) {
        }
    }

    TlsContext context_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<bool> end_ = false;
    std::atomic<int> served_ = 0;
    std::thread thread_;
};

constexpr const char* kId = "0f0e0d0c-0b0a-4908-8706-050403020100";

class TlsServerTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = new testing::TemporaryFolder;
        made_ = new testing::OpensslCertificates(*folder_);
        made_->authority("ca");
        made_->authority("other", "/CN=other CA");
        made_->leaf("ca", "hub");
        made_->leaf("ca", "client", client());
    }
    static void TearDownTestSuite() {
        delete made_;
        delete folder_;
    }
    static testing::LeafRecipe client() {
        return {.names = std::string("URI:urn:uuid:") + kId, .purpose = "clientAuth"};
    }
    static ServerTlsOptions options(const std::string& pair, ClientCertificates clients) {
        return {.certificate_pem = made_->text(pair, ".crt"),
                .key_pem = made_->text(pair, ".key"),
                .ca_pem = made_->text("ca", ".crt"),
                .clients = clients};
    }
    static Listener listen(ClientCertificates clients) {
        return Listener(std::move(make_server_context(options("hub", clients))).value());
    }
    // Standard error and output of s_client that sends one line.
    static std::string s_client(const Listener& listener, const std::string& more) {
        return run_command(
                   "echo 'GET / HTTP/1.1' | timeout 60 openssl s_client "
                   "-connect 127.0.0.1:" +
                   listener.port() +
                   " -ign_eof -no-CApath "
                   "-no-CAstore -CAfile " +
                   made_->path("ca", ".crt") + " " + more)
            .output;
    }
    static testing::CommandResult curl(const Listener& listener, const std::string& more) {
        return run_command("curl -sS --max-time 20 --noproxy '*' --cacert " +
                           made_->path("ca", ".crt") + " https://localhost:" + listener.port() +
                           "/ " + more);
    }
    static std::string pair(const std::string& name) {
        return " -cert " + made_->path(name, ".crt") + " -key " + made_->path(name, ".key");
    }
    static std::string curl_pair(const std::string& name) {
        return " --cert " + made_->path(name, ".crt") + " --key " + made_->path(name, ".key");
    }

    static inline testing::TemporaryFolder* folder_ = nullptr;
    static inline testing::OpensslCertificates* made_ = nullptr;
};

TEST_F(TlsServerTest, StrictClientAcceptsUsAndSeesTheChain) {
    const Listener listener = listen(ClientCertificates::kNone);
    const std::string out =
        s_client(listener,
                 "-showcerts -x509_strict -verify_return_error -verify_hostname localhost -purpose "
                 "sslserver");
    for (const char* part :
         {"Verify return code: 0 (ok)", "TLSv1.3", "client none", "1 s:CN = test CA",
          "Compression: NONE", "Early data was not sent", "No ALPN negotiated"}) {
        EXPECT_NE(out.find(part), std::string::npos) << part << "\n" << out;
    }
    EXPECT_EQ(out.find("New Session Ticket"), std::string::npos) << out;
    EXPECT_EQ(out.find("Acceptable client certificate CA names"), std::string::npos);
    EXPECT_EQ(listener.served(), 1);
}

TEST_F(TlsServerTest, OnlyTls13SuitesAndGroups) {
    const Listener listener = listen(ClientCertificates::kNone);
    for (const char* refused :
         {"-tls1_2", "-tls1_1", "-tls1", "-curves P-521", "-curves X448", "-curves ffdhe2048",
          "-ciphersuites TLS_AES_128_CCM_SHA256", "-sigalgs ecdsa_secp521r1_sha512"}) {
        const std::string out = s_client(listener, refused);
        EXPECT_EQ(out.find("client none"), std::string::npos) << refused << "\n" << out;
    }
    EXPECT_EQ(listener.served(), 0);
    for (const char* accepted :
         {"-tls1_3", "-curves X25519", "-curves P-256", "-curves P-384",
          "-ciphersuites TLS_AES_256_GCM_SHA384", "-ciphersuites TLS_CHACHA20_POLY1305_SHA256",
          "-ciphersuites TLS_AES_128_GCM_SHA256", "-alpn h2,http/1.1"}) {
        const std::string out = s_client(listener, accepted);
        EXPECT_NE(out.find("client none"), std::string::npos) << accepted << "\n" << out;
    }
}

TEST_F(TlsServerTest, NameAndProtocolOfferedMustBeOurs) {
    const Listener listener = listen(ClientCertificates::kNone);
    for (const char* refused : {"-servername other.example", "-alpn h2", "-alpn spdy/1"}) {
        const std::string out = s_client(listener, refused);
        EXPECT_EQ(out.find("client none"), std::string::npos) << refused << "\n" << out;
    }
    EXPECT_EQ(listener.served(), 0);
    EXPECT_NE(s_client(listener, "-noservername").find("client none"), std::string::npos);
    EXPECT_NE(s_client(listener, "-servername localhost").find("client none"), std::string::npos);
    EXPECT_NE(s_client(listener, "-alpn http/1.1").find("ALPN protocol: http/1.1"),
              std::string::npos);
}

TEST_F(TlsServerTest, SessionsAreNotResumed) {
    const Listener listener = listen(ClientCertificates::kRequired);
    const std::string session = *folder_ / "session";
    s_client(listener, pair("client") + " -sess_out " + session);
    // Nothing to save: no ticket was sent.
    const std::string again = s_client(listener, pair("client") + " -sess_in " + session);
    EXPECT_EQ(again.find("Reused"), std::string::npos) << again;
    EXPECT_EQ(testing::read_text(session).find("BEGIN SSL SESSION"), std::string::npos);
}

TEST_F(TlsServerTest, CollectorPortWantsACertificateThatPasses) {
    const Listener listener = listen(ClientCertificates::kRequired);
    const auto good = curl(listener, curl_pair("client"));
    EXPECT_EQ(good.output, std::string("client ") + kId + "\n");
    EXPECT_EQ(listener.served(), 1);

    using testing::LeafRecipe;
    const std::string uri = std::string("URI:urn:uuid:") + kId;
    struct Bad {
        const char* name;
        const char* authority;
        LeafRecipe recipe;
        const char* alert;
    };
    const Bad bad[] = {
        {"expired",
         "ca",
         {.names = uri, .purpose = "clientAuth", .end = "20210101000000Z"},
         "alert certificate expired"},
        {"early",
         "ca",
         {.names = uri, .purpose = "clientAuth", .begin = "20480101000000Z"},
         "alert"},
        {"other", "other", {.names = uri, .purpose = "clientAuth"}, "alert unknown ca"},
        {"server", "ca", {.names = uri, .purpose = "serverAuth"}, "alert"},
        {"no_purpose", "ca", {.names = uri, .purpose = ""}, "alert"},
        {"dns", "ca", {.names = "DNS:collector.example", .purpose = "clientAuth"}, "alert"},
        {"two", "ca", {.names = uri + ",URI:urn:x", .purpose = "clientAuth"}, "alert"},
        {"weak", "ca", {.names = uri, .purpose = "clientAuth", .key = "rsa:2048"}, ""},
        {"sha1", "ca", {.names = uri, .purpose = "clientAuth", .digest = "sha1"}, ""},
    };
    for (const Bad& one : bad) {
        const std::string name = std::string("bad_") + one.name;
        made_->leaf(one.authority, name, one.recipe);
        const auto result = curl(listener, "--ciphers DEFAULT@SECLEVEL=0" + curl_pair(name));
        EXPECT_NE(result.status, 0) << one.name;
        EXPECT_EQ(result.output.find("client 0f0e"), std::string::npos)
            << one.name << result.output;
        EXPECT_NE(result.output.find(one.alert), std::string::npos) << one.name << result.output;
        const std::string out = s_client(listener, "-cipher DEFAULT@SECLEVEL=0 " + pair(name));
        EXPECT_EQ(out.find("client 0f0e"), std::string::npos) << one.name << "\n" << out;
    }
    const auto none = curl(listener, "");
    EXPECT_NE(none.status, 0);
    EXPECT_NE(none.output.find("certificate required"), std::string::npos) << none.output;
    EXPECT_EQ(listener.served(), 1);
}

TEST_F(TlsServerTest, ChainThroughAnIntermediateIsCheckedToo) {
    // A collector must not be able to issue certificates: its own is no CA.
    const std::string work = *folder_ / "rogue";
    ASSERT_EQ(run_command("openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                          "-subj /CN=x -keyout " +
                          work + ".key -out " + work +
                          ".csr && printf "
                          "'subjectAltName=URI:urn:uuid:" +
                          std::string(kId) +
                          "\\nextendedKeyUsage=clientAuth\\nkeyUsage=critical,digitalSignature\\n"
                          "basicConstraints=critical,CA:FALSE\\n' > " +
                          work +
                          ".ext && openssl "
                          "x509 -req -in " +
                          work + ".csr -CA " + made_->path("client", ".crt") + " -CAkey " +
                          made_->path("client", ".key") +
                          " -CAcreateserial -days 9 "
                          "-extfile " +
                          work + ".ext -out " + work + ".one && cat " + work + ".one " +
                          made_->path("client", ".crt") + " > " + work + ".crt")
                  .status,
              0);
    const Listener listener = listen(ClientCertificates::kRequired);
    const auto result = curl(listener, curl_pair("rogue"));
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(listener.served(), 0);
}

TEST_F(TlsServerTest, SinglePortTakesNoneOrAGoodOne) {
    const Listener listener = listen(ClientCertificates::kOptional);
    EXPECT_EQ(curl(listener, "").output, "client none\n");
    EXPECT_EQ(curl(listener, curl_pair("client")).output, std::string("client ") + kId + "\n");
    made_->leaf("other", "optional_other", client());
    EXPECT_NE(curl(listener, curl_pair("optional_other")).status, 0);
    EXPECT_EQ(listener.served(), 2);
}

TEST_F(TlsServerTest, BadPairsAreRefusedBeforeListening) {
    using testing::LeafRecipe;
    made_->leaf("ca", "old", {.end = "20210101000000Z"});
    made_->leaf("ca", "wrong_purpose", {.purpose = "clientAuth"});
    made_->leaf("ca", "weak", {.key = "rsa:2048"});
    made_->leaf("other", "stranger");
    const std::pair<ServerTlsOptions, const char*> cases[] = {
        {options("old", ClientCertificates::kNone), "certificate has expired"},
        {options("wrong_purpose", ClientCertificates::kNone), "not meant for this purpose"},
        {options("weak", ClientCertificates::kNone), "RSA 2048 bit"},
        {options("stranger", ClientCertificates::kNone), "not issued by the CA in use"},
        {{.certificate_pem = made_->text("hub", ".crt"),
          .key_pem = made_->text("old", ".key"),
          .ca_pem = made_->text("ca", ".crt")},
         "do not belong together"},
        {{.certificate_pem = "nothing",
          .key_pem = made_->text("hub", ".key"),
          .ca_pem = made_->text("ca", ".crt")},
         "not a certificate"},
        {{.certificate_pem = made_->text("hub", ".crt"),
          .key_pem = "",
          .ca_pem = made_->text("ca", ".crt")},
         "not a private key"},
        {{.certificate_pem = made_->text("hub", ".crt"),
          .key_pem = made_->text("hub", ".key"),
          .ca_pem = ""},
         "not a certificate"},
    };
    for (const auto& [one, reason] : cases) {
        const auto context = make_server_context(one);
        ASSERT_FALSE(context) << reason;
        EXPECT_NE(context.error().message.find(reason), std::string::npos)
            << context.error().message;
    }
    for (const char* kind : {"ec -pkeyopt ec_paramgen_curve:P-384", "ed25519", "rsa:3072"}) {
        const std::string name = std::string("kind_") + kind[0] + kind[1];
        made_->leaf("ca", name, {.key = kind});
        auto context = make_server_context(options(name, ClientCertificates::kNone));
        ASSERT_TRUE(context) << kind << context.error().message;
        const Listener listener(std::move(*context));
        EXPECT_EQ(curl(listener, "").output, "client none\n") << kind;
    }
}

}  // namespace
}  // namespace pganalytics::net

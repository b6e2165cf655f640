// TLS 1.3 for both ends, with one set of rules: three suites, X25519 / P-256 / P-384, security
// level 3, no tickets, no resumption, no early data, no renegotiation, no compression, strict
// X.509, a private CA given by the caller and never the system's, purpose required. Runs in the
// program: serve (server), ship and register (client, through https_client).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

// --- server

enum class ClientCertificates : uint8_t {
    kNone,      // not asked for: console
    kRequired,  // handshake fails without a valid one: collector port
    kOptional,  // asked for; a wrong one fails the handshake, none does not: single-port form
};

struct ServerTlsOptions {
    std::string certificate_pem;  // the server's, then intermediates if any
    std::string key_pem;
    std::string
        ca_pem;  // sent at the end of the chain (enrolment needs it) and trusted for clients
    ClientCertificates clients = ClientCertificates::kNone;
};

// Refuses a pair that doesn't match, is not of an accepted kind, or that the CA did not sign.
// A client certificate that passes the handshake has purpose client and exactly one collector id.
// A name sent by the client (SNI) must be one of the certificate's; ALPN, if sent, must offer
// http/1.1. The caller's SSL objects are ordinary ones; SSL_get0_peer_certificate() gives the
// client's certificate.
Result<TlsContext> make_server_context(const ServerTlsOptions& options);

// --- client

struct ClientTlsOptions {
    // One of the two: the CA's certificates, or the SHA-256 of the DER of the CA's certificate,
    // which the hub then has to send in its chain (enrolment).
    std::string ca_pem;
    std::optional<Sha256> ca_fingerprint;
    // Both or none.
    std::string certificate_pem;
    std::string key_pem;
};

// What the handshakes of one client met; the https client turns it into text.
struct TlsEvents {
    int verify_error = 0;  // X509_V_ERR_*; 0: none
    int verify_depth = 0;
    int alert_received = -1;  // TLS alert number; -1: none
    bool handshake_done = false;
    const Sha256* pinned = nullptr;  // set by ClientTls::apply()
    void clear() { *this = TlsEvents{.pinned = pinned}; }
};

// Parsed and checked once (pair matches, key kind accepted), applied to every new connection.
class ClientTls {
  public:
    static Result<ClientTls> make(const ClientTlsOptions& options);
    ~ClientTls();
    ClientTls(ClientTls&&) noexcept;
    ClientTls& operator=(ClientTls&&) noexcept;

    // Sets up `context` for connections to `host` (DNS name or IP address): everything promised
    // above. Verification, name and fingerprint included, happens inside the handshake. `events`
    // and this object outlive the context's handshakes.
    Status apply(SSL_CTX& context, const std::string& host, TlsEvents& events) const;
    bool has_certificate() const;

  private:
    struct State;
    explicit ClientTls(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// --- texts for a DBA

// "certificate has expired", "certificate is not for this host name", "certificate was not issued
// by the CA in use", ...
std::string verify_error_text(int verify_error);
std::string verify_error_hint(int verify_error);
// For an alert received: what the other side said about us.
std::string alert_text(int alert);
// True for the alerts by which a server refuses a client's certificate.
bool alert_refuses_certificate(int alert);

}  // namespace pganalytics::net

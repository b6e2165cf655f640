// The client's end of TLS (see net/tls.hpp). libcurl makes a context for each connection; apply()
// takes over everything that matters in it.
#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <vector>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/tls.hpp"
#include "tls_rules.hpp"

namespace pganalytics::net {

struct ClientTls::State {
    std::vector<Certificate> authorities;
    std::optional<Sha256> fingerprint;
    std::vector<Certificate> chain;  // ours; empty: none
    PrivateKey key;
};

namespace {

// The certificate that the other side sent and whose fingerprint is `pinned`.
X509* find_pinned(X509_STORE_CTX& context, const Sha256& pinned) {
    STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(&context);
    for (int i = 0; i < sk_X509_num(sent); ++i) {
        X509* certificate = sk_X509_value(sent, i);
        if (certificate_fingerprint(*certificate) == pinned) return certificate;
    }
    return nullptr;
}

// Trusts that one certificate for this verification.
bool verify_pinned(X509_STORE_CTX& context, X509& pinned) {
    STACK_OF(X509)* trusted = sk_X509_new_null();
    if (trusted == nullptr || sk_X509_push(trusted, &pinned) == 0) {
        sk_X509_free(trusted);
        X509_STORE_CTX_set_error(&context, X509_V_ERR_OUT_OF_MEM);
        return false;
    }
    X509_STORE_CTX_set0_trusted_stack(&context, trusted);
    const bool verified = X509_verify_cert(&context) == 1;
    X509_STORE_CTX_set0_trusted_stack(&context, nullptr);
    sk_X509_free(trusted);
    return verified;
}

bool verify_chain(X509_STORE_CTX& context, const Sha256* pinned) {
    if (pinned == nullptr) return X509_verify_cert(&context) == 1;
    X509* authority = find_pinned(context, *pinned);
    if (authority == nullptr) {
        X509_STORE_CTX_set_error(&context, X509_V_ERR_APPLICATION_VERIFICATION);
        return false;
    }
    return verify_pinned(context, *authority);
}

// In place of OpenSSL's own check: that check, the pinned CA, and what OpenSSL leaves open.
int verify_hub(X509_STORE_CTX* context, void* argument) {
    TlsEvents& events = *static_cast<TlsEvents*>(argument);
    bool verified = verify_chain(*context, events.pinned);
    if (verified) {
        const int problem = check_leaf_purpose(*X509_STORE_CTX_get0_cert(context), true);
        X509_STORE_CTX_set_error(context, problem);
        verified = problem == X509_V_OK;
    }
    if (!verified) {
        events.verify_error = X509_STORE_CTX_get_error(context);
        events.verify_depth = X509_STORE_CTX_get_error_depth(context);
    }
    return verified ? 1 : 0;
}

int events_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

void note_event(const SSL* ssl, int where, int value) {
    auto* events =
        static_cast<TlsEvents*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), events_index()));
    if (events == nullptr) return;
    constexpr int kCloseNotify = 0;
    const int alert = value & 0xff;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && alert != kCloseNotify) {
        events->alert_received = alert;
    }
    if ((where & SSL_CB_HANDSHAKE_DONE) != 0) events->handshake_done = true;
}

bool expect_host(X509_VERIFY_PARAM& rules, const std::string& host) {
    unsigned char address[sizeof(in6_addr)];
    if (inet_pton(AF_INET, host.c_str(), address) == 1 ||
        inet_pton(AF_INET6, host.c_str(), address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(&rules, host.c_str()) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(
        &rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !host.empty() && X509_VERIFY_PARAM_set1_host(&rules, host.data(), host.size()) == 1;
}

bool trust(SSL_CTX& context, const std::vector<Certificate>& authorities) {
    X509_STORE* store = X509_STORE_new();
    if (store == nullptr) return false;
    SSL_CTX_set_cert_store(&context, store);  // owns it now; what was there is gone
    for (const Certificate& authority : authorities) {
        if (X509_STORE_add_cert(store, authority.get()) != 1) return false;
    }
    return true;
}

}  // namespace

ClientTls::ClientTls(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientTls::~ClientTls() = default;
ClientTls::ClientTls(ClientTls&&) noexcept = default;
ClientTls& ClientTls::operator=(ClientTls&&) noexcept = default;

bool ClientTls::has_certificate() const { return !state_->chain.empty(); }

Result<ClientTls> ClientTls::make(const ClientTlsOptions& options) {
    init_openssl();
    auto state = std::make_unique<State>();
    state->fingerprint = options.ca_fingerprint;
    if (!options.ca_fingerprint) {
        auto authorities = parse_certificates(options.ca_pem);
        if (!authorities) return std::move(authorities).error();
        state->authorities = std::move(*authorities);
    }
    if (!options.certificate_pem.empty()) {
        auto chain = parse_certificates(options.certificate_pem);
        if (!chain) return std::move(chain).error();
        auto key = parse_private_key(options.key_pem);
        if (!key) return std::move(key).error();
        if (!is_accepted_key(**key)) {
            return make_error(sqlstate::kInvalidParameter,
                              "collector's key is not accepted: " + key_text(**key));
        }
        if (!key_matches(*chain->front(), **key)) {
            return make_error(sqlstate::kInvalidParameter,
                              "collector's certificate and key do not belong together");
        }
        state->chain = std::move(*chain);
        state->key = std::move(*key);
    }
    return ClientTls(std::move(state));
}

Status ClientTls::apply(SSL_CTX& context, const std::string& host, TlsEvents& events) const {
    if (Status ruled = apply_tls_rules(context); !ruled) return ruled;
    X509_VERIFY_PARAM& rules = *SSL_CTX_get0_param(&context);
    set_verification_rules(rules);
    if (!trust(context, state_->authorities)) return tls_error("use the CA");
    if (!expect_host(rules, host)) return tls_error("expect the hub's name");
    if (!state_->chain.empty()) {
        if (Status used = use_pair(context, *state_->chain.front(), *state_->key); !used) {
            return used;
        }
        for (size_t i = 1; i < state_->chain.size(); ++i) {
            if (SSL_CTX_add1_chain_cert(&context, state_->chain[i].get()) != 1) {
                return tls_error("use the collector's certificate chain");
            }
        }
    }
    events.pinned = state_->fingerprint ? &*state_->fingerprint : nullptr;
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(&context, verify_hub, &events);
    if (SSL_CTX_set_ex_data(&context, events_index(), &events) != 1) {
        return tls_error("watch the handshake");
    }
    SSL_CTX_set_info_callback(&context, note_event);
    return {};
}

}  // namespace pganalytics::net

// The server's end of TLS (see net/tls.hpp).
#include <ctime>
#include <string>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/tls.hpp"
#include "tls_rules.hpp"

namespace pganalytics::net {

namespace {

constexpr std::string_view kProtocol = "http/1.1";
// Of what a client sends as its certificate chain: a stranger gets little memory.
constexpr long kMostChainBytes = long{16} * 1024;

// In place of OpenSSL's own check: that check, then what it leaves open.
int verify_client(X509_STORE_CTX* context, void*) {
    if (X509_verify_cert(context) != 1) return 0;
    X509* leaf = X509_STORE_CTX_get0_cert(context);
    int problem = check_leaf_purpose(*leaf, false);
    if (problem == X509_V_OK && !certificate_collector_id(*leaf)) {
        problem = X509_V_ERR_UNSUPPORTED_NAME_SYNTAX;
    }
    X509_STORE_CTX_set_error(context, problem);
    return problem == X509_V_OK ? 1 : 0;
}

// A client that names another host is not ours to answer.
int check_host_name(SSL* ssl, int* alert, void*) {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    const X509* own = SSL_get_certificate(ssl);
    if (own != nullptr && certificate_has_name(*own, name)) return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* in, unsigned in_length, void*) {
    // The list is length-prefixed names; OpenSSL has checked its form.
    for (unsigned at = 0; at < in_length; at += 1U + in[at]) {
        const std::string_view name(reinterpret_cast<const char*>(in + at + 1), in[at]);
        if (name == kProtocol) {
            *out = in + at + 1;
            *out_length = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

struct Loaded {
    std::vector<Certificate> chain;
    std::vector<Certificate> authorities;
    PrivateKey key;
};

Result<Loaded> load(const ServerTlsOptions& options) {
    auto chain = parse_certificates(options.certificate_pem);
    if (!chain) return std::move(chain).error();
    auto authorities = parse_certificates(options.ca_pem);
    if (!authorities) return std::move(authorities).error();
    auto key = parse_private_key(options.key_pem);
    if (!key) return std::move(key).error();
    X509& leaf = *chain->front();
    if (!is_accepted_key(**key)) {
        return make_error(
            sqlstate::kInvalidParameter, "hub's key is not accepted: " + key_text(**key),
            "Accepted are EC P-256, EC P-384, Ed25519, and RSA of 3072 bits or more.");
    }
    if (!key_matches(leaf, **key)) {
        return make_error(sqlstate::kInvalidParameter,
                          "hub's certificate and key do not belong together");
    }
    const std::span<const Certificate> intermediates = std::span(*chain).subspan(1);
    if (Status fine = check_certificate(leaf, intermediates, *authorities,
                                        CertificatePurpose::kServer, std::time(nullptr));
        !fine) {
        Error error = std::move(fine).error();
        error.message = "hub's certificate can't be used: " + error.message;
        return error;
    }
    return Loaded{std::move(*chain), std::move(*authorities), std::move(*key)};
}

bool send_chain(SSL_CTX& context, const Loaded& loaded) {
    for (size_t i = 1; i < loaded.chain.size(); ++i) {
        if (SSL_CTX_add1_chain_cert(&context, loaded.chain[i].get()) != 1) return false;
    }
    for (const Certificate& authority : loaded.authorities) {
        if (SSL_CTX_add1_chain_cert(&context, authority.get()) != 1) return false;
    }
    return true;
}

bool verify_clients(SSL_CTX& context, const Loaded& loaded, ClientCertificates clients) {
    int mode = SSL_VERIFY_NONE;
    if (clients == ClientCertificates::kOptional) mode = SSL_VERIFY_PEER;
    if (clients == ClientCertificates::kRequired) {
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    X509_STORE* store = X509_STORE_new();
    if (store == nullptr) return false;
    SSL_CTX_set_cert_store(&context, store);  // owns it now
    for (const Certificate& authority : loaded.authorities) {
        if (X509_STORE_add_cert(store, authority.get()) != 1) return false;
    }
    set_verification_rules(*SSL_CTX_get0_param(&context));
    SSL_CTX_set_verify(&context, mode, nullptr);
    SSL_CTX_set_cert_verify_callback(&context, verify_client, nullptr);
    return true;
}

}  // namespace

Result<TlsContext> make_server_context(const ServerTlsOptions& options) {
    init_openssl();
    auto loaded = load(options);
    if (!loaded) return std::move(loaded).error();
    TlsContext context(SSL_CTX_new(TLS_server_method()));
    if (!context) return tls_error("make a TLS context");
    if (Status ruled = apply_tls_rules(*context); !ruled) return std::move(ruled).error();
    if (Status used = use_pair(*context, *loaded->chain.front(), *loaded->key); !used) {
        return std::move(used).error();
    }
    if (!send_chain(*context, *loaded)) return tls_error("use the hub's certificate chain");
    if (!verify_clients(*context, *loaded, options.clients)) return tls_error("use the hub's CA");
    SSL_CTX_set_tlsext_servername_callback(context.get(), check_host_name);
    SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
    SSL_CTX_set_max_cert_list(context.get(), kMostChainBytes);
    return context;
}

}  // namespace pganalytics::net

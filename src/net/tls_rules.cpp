// The rules of both ends (see the header). Each is set here by name, so that neither OpenSSL's
// defaults nor a system policy decide.
#include "tls_rules.hpp"

#include <openssl/x509v3.h>

namespace pganalytics::net {

namespace {

constexpr const char* kSuites =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
// OpenSSL 3.5 and later have the hybrid group.
constexpr const char* kHybridGroups = "X25519MLKEM768:X25519:P-256:P-384";
constexpr const char* kSignatures =
    "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ed25519:rsa_pss_rsae_sha256:"
    "rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
    "rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512";  // the last three: of certificates only
constexpr int kSecurityLevel = 3;                          // 128 bits
constexpr int kDepth = 2;

bool set_groups(SSL_CTX& context) {
    if (OPENSSL_VERSION_NUMBER >= 0x30500000L &&
        SSL_CTX_set1_groups_list(&context, kHybridGroups) == 1) {
        return true;
    }
    return SSL_CTX_set1_groups_list(&context, kGroups) == 1;
}

}  // namespace

Error tls_error(std::string_view action) {
    return make_error(sqlstate::kConnectionFailure,
                      "could not " + std::string(action) + ": " + take_openssl_error());
}

Status apply_tls_rules(SSL_CTX& context) {
    SSL_CTX_set_security_level(&context, kSecurityLevel);
    SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                      SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(&context, 0);
    SSL_CTX_set_max_early_data(&context, 0);
    SSL_CTX_set_recv_max_early_data(&context, 0);
    if (SSL_CTX_set_min_proto_version(&context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(&context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(&context, kSuites) != 1 || !set_groups(context) ||
        SSL_CTX_set1_sigalgs_list(&context, kSignatures) != 1) {
        return tls_error("set the rules of TLS");
    }
    return {};
}

void set_verification_rules(X509_VERIFY_PARAM& rules) {
    X509_VERIFY_PARAM_set_depth(&rules, kDepth);
    X509_VERIFY_PARAM_set_auth_level(&rules, kSecurityLevel);
    X509_VERIFY_PARAM_clear_flags(&rules, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_flags(&rules, X509_V_FLAG_X509_STRICT | X509_V_FLAG_TRUSTED_FIRST);
}

Status use_pair(SSL_CTX& context, X509& certificate, EVP_PKEY& key) {
    if (SSL_CTX_use_certificate(&context, &certificate) != 1 ||
        SSL_CTX_use_PrivateKey(&context, &key) != 1 || SSL_CTX_check_private_key(&context) != 1) {
        return tls_error("use the certificate and its key");
    }
    return {};
}

int check_leaf_purpose(X509& leaf, bool server) {
    const uint32_t flags = X509_get_extension_flags(&leaf);
    if ((flags & EXFLAG_XKUSAGE) == 0 || (flags & EXFLAG_CA) != 0) {
        return X509_V_ERR_INVALID_PURPOSE;
    }
    // All bits are set where there is no key usage. In TLS 1.3 a key signs, and does nothing else.
    if ((X509_get_key_usage(&leaf) & KU_DIGITAL_SIGNATURE) == 0) return X509_V_ERR_INVALID_PURPOSE;
    const uint32_t wanted = server ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
    if ((X509_get_extended_key_usage(&leaf) & wanted) == 0) return X509_V_ERR_INVALID_PURPOSE;
    return X509_V_OK;
}

}  // namespace pganalytics::net

// A chain verified outside a handshake, by the same rules. Part of net/certificate.hpp.
#include <openssl/x509_vfy.h>

#include <ctime>

#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/tls.hpp"
#include "tls_rules.hpp"

namespace pganalytics::net {

namespace {

struct FreeStack {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
// Does not own the certificates.
using Stack = std::unique_ptr<STACK_OF(X509), FreeStack>;
using VerifyContext = std::unique_ptr<X509_STORE_CTX, OpensslFree<X509_STORE_CTX_free>>;

Stack make_stack(std::span<const Certificate> certificates) {
    Stack stack(sk_X509_new_null());
    for (const Certificate& certificate : certificates) {
        if (!stack || sk_X509_push(stack.get(), certificate.get()) == 0) return nullptr;
    }
    return stack;
}

}  // namespace

Status check_certificate(X509& certificate, std::span<const Certificate> intermediates,
                         std::span<const Certificate> authorities, CertificatePurpose purpose,
                         int64_t now) {
    init_openssl();
    const bool server = purpose == CertificatePurpose::kServer;
    const Stack untrusted = make_stack(intermediates);
    const Stack trusted = make_stack(authorities);
    const VerifyContext context(X509_STORE_CTX_new());
    if (!untrusted || !trusted || !context ||
        X509_STORE_CTX_init(context.get(), nullptr, &certificate, untrusted.get()) != 1 ||
        X509_STORE_CTX_set_default(context.get(), server ? "ssl_server" : "ssl_client") != 1) {
        return tls_error("prepare the check of a certificate");
    }
    X509_STORE_CTX_set0_trusted_stack(context.get(), trusted.get());
    X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
    set_verification_rules(*rules);
    X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(now));
    int problem = X509_V_OK;
    if (X509_verify_cert(context.get()) != 1) problem = X509_STORE_CTX_get_error(context.get());
    if (problem == X509_V_OK) problem = check_leaf_purpose(certificate, server);
    take_openssl_error();
    if (problem == X509_V_OK) return {};
    return make_error(sqlstate::kInvalidAuthorization, verify_error_text(problem), {},
                      verify_error_hint(problem));
}

}  // namespace pganalytics::net

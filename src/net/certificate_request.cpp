// PKCS #10 requests by OpenSSL (see the header).
#include "pganalytics/net/certificate_request.hpp"

#include <openssl/pem.h>

#include "pem_text.hpp"
#include "pganalytics/net/private_key.hpp"
#include "signing.hpp"

namespace pganalytics::net {

namespace {

Error malformed() {
    ERR_clear_error();
    return make_error(sqlstate::kInvalidText, "certificate request is malformed");
}

}  // namespace

Result<std::string> make_certificate_request(EVP_PKEY& key, std::string_view name) {
    init_openssl();
    const CertificateRequest request(X509_REQ_new());
    if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
        !set_common_name(*X509_REQ_get_subject_name(request.get()), name) ||
        X509_REQ_set_pubkey(request.get(), &key) != 1 ||
        X509_REQ_sign(request.get(), &key, signing_digest(key)) <= 0) {
        return make_error(sqlstate::kInternal,
                          "could not make a certificate request: " + take_openssl_error());
    }
    const Bio out(BIO_new(BIO_s_mem()));
    if (!out || PEM_write_bio_X509_REQ(out.get(), request.get()) != 1) {
        return make_error(sqlstate::kInternal,
                          "could not write a certificate request: " + take_openssl_error());
    }
    return bio_text(*out);
}

Result<std::string> verify_certificate_request(std::string_view pem) {
    init_openssl();
    if (pem.size() > kMaxRequestBytes) return malformed();
    const Bio in = text_bio(pem);
    const CertificateRequest request(in ? PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr)
                                        : nullptr);
    if (!request) return malformed();
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    if (key == nullptr) return malformed();
    // Before the signature: a giant key would cost its reader.
    if (!is_accepted_key(*key)) {
        return make_error(
            sqlstate::kInvalidParameter,
            "key of the certificate request is not accepted: " + key_text(*key),
            "Accepted are EC P-256, EC P-384, Ed25519, and RSA of 3072 bits or more.");
    }
    if (X509_REQ_verify(request.get(), key) != 1) {
        ERR_clear_error();
        return make_error(sqlstate::kInvalidAuthorization,
                          "signature of the certificate request is wrong");
    }
    return public_key_der(*key);
}

}  // namespace pganalytics::net

// OpenSSL made ready without the environment, and its errors as text (see the header).
#include "pganalytics/net/openssl_handles.hpp"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <initializer_list>
#include <new>

namespace pganalytics::net {

namespace {

// A failed allocation is told in the queue of errors, if anywhere.
bool memory_ran_out() {
    bool found = false;
    while (const unsigned long code = ERR_get_error())
        found = found || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    return found;
}

template <class Method>
bool all_load(Method* (*fetch)(OSSL_LIB_CTX*, const char*, const char*), void (*release)(Method*),
              std::initializer_list<const char*> names, const char* properties = nullptr) {
    for (const char* name : names) {
        Method* const method = fetch(nullptr, name, properties);
        if (method == nullptr) return false;
        release(method);
    }
    return !memory_ran_out();
}

// OpenSSL asks its providers for the algorithms of a kind of operation once, when the first of them
// is wanted. One for which there was no memory then is "unsupported" for as long as the process
// lives, and a good certificate is refused for ever; so all that TLS 1.3 and certificates need is
// wanted before anything depends on it. The same goes for the random generators and for the queue
// of errors.
bool load_algorithms() {
    const auto decoders = [](std::initializer_list<const char*> names, const char* properties) {
        return all_load(OSSL_DECODER_fetch, OSSL_DECODER_free, names, properties);
    };
    return all_load(EVP_MD_fetch, EVP_MD_free, {"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}) &&
           all_load(EVP_CIPHER_fetch, EVP_CIPHER_free,
                    {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305", "AES-256-CTR"}) &&
           all_load(EVP_MAC_fetch, EVP_MAC_free, {"HMAC"}) &&
           all_load(EVP_KDF_fetch, EVP_KDF_free, {"HKDF", "TLS13-KDF"}) &&
           all_load(EVP_RAND_fetch, EVP_RAND_free, {"CTR-DRBG"}) &&
           all_load(EVP_KEYMGMT_fetch, EVP_KEYMGMT_free, {"EC", "RSA", "ED25519", "X25519"}) &&
           all_load(EVP_KEYEXCH_fetch, EVP_KEYEXCH_free, {"ECDH", "X25519"}) &&
           all_load(EVP_SIGNATURE_fetch, EVP_SIGNATURE_free, {"ECDSA", "RSA", "ED25519"}) &&
           decoders({"DER"}, "input=pem") &&
           decoders({"EC", "RSA", "ED25519"}, "input=der,structure=PrivateKeyInfo") &&
           decoders({"EC", "RSA", "ED25519"}, "input=der,structure=SubjectPublicKeyInfo") &&
           decoders({"EC", "RSA"}, "input=der,structure=type-specific");
}

bool random_works() {
    unsigned char byte = 0;
    return RAND_bytes(&byte, 1) == 1 && RAND_priv_bytes(&byte, 1) == 1 && !memory_ran_out();
}

// Where signatures' digests are looked up by name, and where a handshake keeps what it verifies.
bool tables_are_there() {
    for (const char* name : {"SHA256", "SHA384", "SHA512"})
        if (EVP_get_digestbyname(name) == nullptr) return false;
    return SSL_get_ex_data_X509_STORE_CTX_idx() >= 0;
}

bool errors_work() {
    ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
    return ERR_get_error() != 0;
}

bool make_ready() {
    // The first call decides: no openssl.cnf, so that neither OPENSSL_CONF nor a system policy
    // changes what our settings say. Later calls, libcurl's among them, find it done.
    constexpr uint64_t kOptions =
        OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_ATEXIT;
    return OPENSSL_init_ssl(kOptions, nullptr) == 1 && errors_work() && tables_are_there() &&
           load_algorithms() && random_works();
}

}  // namespace

void init_openssl() {
    static const bool ready = make_ready();
    // Of this process no more is to be expected.
    if (!ready) throw std::bad_alloc();
}

std::string take_openssl_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    if (code == 0) return "unknown error";
    const char* reason = ERR_reason_error_string(code);
    if (reason != nullptr) return reason;
    char text[160];
    ERR_error_string_n(code, text, sizeof text);
    return text;
}

}  // namespace pganalytics::net

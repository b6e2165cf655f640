// Keys by OpenSSL (see the header).
#include "pganalytics/net/private_key.hpp"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "pem_text.hpp"

namespace pganalytics::net {

namespace {

constexpr int kRsaBits = 3072;
constexpr int kMostRsaBits = 8192;

Error key_error(std::string_view action) {
    return make_error(sqlstate::kInternal,
                      "could not " + std::string(action) + " key: " + take_openssl_error());
}

// Asked for where a key is encrypted: there is nobody to ask.
int no_passphrase(char*, int, int, void*) { return -1; }

// Empty where the curve is none with a name of its own, or was spelled out by its numbers.
std::string curve_name(const EVP_PKEY& key) {
    int spelled_out = 0;
    EVP_PKEY_get_int_param(&key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &spelled_out);
    char name[80] = "";
    size_t length = 0;
    if (spelled_out != 0 || EVP_PKEY_get_utf8_string_param(&key, OSSL_PKEY_PARAM_GROUP_NAME, name,
                                                           sizeof name, &length) != 1) {
        ERR_clear_error();
        return {};
    }
    return {name, length};
}

}  // namespace

Result<PrivateKey> make_private_key(KeyKind kind) {
    init_openssl();
    PrivateKey key;
    switch (kind) {
        case KeyKind::kEcP256:
            key.reset(EVP_EC_gen("P-256"));
            break;
        case KeyKind::kEcP384:
            key.reset(EVP_EC_gen("P-384"));
            break;
        case KeyKind::kEd25519:
            key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
            break;
        case KeyKind::kRsa3072:
            key.reset(EVP_RSA_gen(kRsaBits));
            break;
    }
    if (!key) return key_error("make a private");
    return key;
}

Result<std::string> private_key_pem(const EVP_PKEY& key) {
    const Bio out(BIO_new(BIO_s_mem()));
    if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), &key, nullptr, nullptr, 0, nullptr,
                                              nullptr) != 1) {
        return key_error("write a private");
    }
    return bio_text(*out);
}

Result<PrivateKey> parse_private_key(std::string_view pem) {
    init_openssl();
    const Bio in = text_bio(pem);
    PrivateKey key(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr)
                      : nullptr);
    if (!key) {
        ERR_clear_error();
        return make_error(sqlstate::kInvalidText, "not a private key in PEM form", {},
                          "The key must not be encrypted: there is nobody to type its passphrase.");
    }
    return key;
}

Result<std::string> public_key_der(const EVP_PKEY& key) {
    return der_text(key, i2d_PUBKEY, "public key");
}

Result<PublicKey> parse_public_key(std::string_view der) {
    init_openssl();
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const unsigned char* end = at + der.size();
    PublicKey key;
    if (der.size() <= kMostDerBytes)
        key.reset(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
    if (!key || at != end) {
        ERR_clear_error();
        return make_error(sqlstate::kInvalidText, "malformed public key");
    }
    return key;
}

bool is_accepted_key(const EVP_PKEY& key) {
    switch (EVP_PKEY_get_base_id(&key)) {
        case EVP_PKEY_EC: {
            const std::string curve = curve_name(key);
            return curve == SN_X9_62_prime256v1 || curve == SN_secp384r1;
        }
        case EVP_PKEY_ED25519:
            return true;
        case EVP_PKEY_RSA: {
            const int bits = EVP_PKEY_get_bits(&key);
            return bits >= kRsaBits && bits <= kMostRsaBits;
        }
        default:
            return false;
    }
}

std::string key_text(const EVP_PKEY& key) {
    switch (EVP_PKEY_get_base_id(&key)) {
        case EVP_PKEY_EC: {
            const std::string curve = curve_name(key);
            return "EC " + (curve.empty() ? "of no named curve" : curve);
        }
        case EVP_PKEY_ED25519:
            return "Ed25519";
        case EVP_PKEY_RSA:
            return "RSA " + std::to_string(EVP_PKEY_get_bits(&key)) + " bit";
        default:
            return "of an unknown kind";
    }
}

}  // namespace pganalytics::net

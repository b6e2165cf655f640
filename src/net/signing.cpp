// Digest and name for certificates and requests (see the header).
#include "signing.hpp"

#include <openssl/err.h>

namespace pganalytics::net {

namespace {

constexpr size_t kMostNameBytes = 64;

std::string_view cut(std::string_view text) {
    if (text.size() <= kMostNameBytes) return text;
    size_t length = kMostNameBytes;
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
    return text.substr(0, length);
}

bool add(X509_NAME& name, std::string_view value) {
    return X509_NAME_add_entry_by_NID(&name, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(value.data()),
                                      static_cast<int>(value.size()), -1, 0) == 1;
}

}  // namespace

const EVP_MD* signing_digest(const EVP_PKEY& key) {
    constexpr int kBitsForSha384 = 384;
    switch (EVP_PKEY_get_base_id(&key)) {
        case EVP_PKEY_ED25519:
            return nullptr;
        case EVP_PKEY_EC:
            return EVP_PKEY_get_bits(&key) >= kBitsForSha384 ? EVP_sha384() : EVP_sha256();
        default:
            return EVP_sha256();
    }
}

bool set_common_name(X509_NAME& name, std::string_view value) {
    const std::string_view text = cut(value);
    if (!text.empty() && add(name, text)) return true;
    ERR_clear_error();
    return add(name, "pganalytics");
}

}  // namespace pganalytics::net

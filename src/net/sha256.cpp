// SHA-256, HMAC and HKDF by OpenSSL (see the header).
#include "pganalytics/net/sha256.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <new>

#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

namespace {

// These calls fail for want of memory only.
void require(bool done) {
    if (!done) throw std::bad_alloc();
}

}  // namespace

struct Sha256Hasher::State {
    std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context{EVP_MD_CTX_new()};
};

Sha256Hasher::Sha256Hasher() {
    init_openssl();
    state_ = std::make_unique<State>();
    require(state_->context != nullptr);
    require(EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::update(std::string_view bytes) {
    require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Hasher::finish() {
    Sha256 digest{};
    require(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) == 1);
    return digest;
}

Sha256 sha256(std::string_view bytes) {
    Sha256Hasher hasher;
    hasher.update(bytes);
    return hasher.finish();
}

Sha256 hmac_sha256(std::span<const uint8_t> key, std::string_view bytes) {
    init_openssl();
    Sha256 digest{};
    // A null key pointer means "the key of before" to OpenSSL.
    static constexpr uint8_t kNoKey = 0;
    const uint8_t* key_data = key.empty() ? &kNoKey : key.data();
    require(HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()),
                 reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data(),
                 nullptr) != nullptr);
    return digest;
}

Sha256 hkdf_sha256(std::span<const uint8_t> key, std::string_view salt, std::string_view info) {
    const Sha256 extracted = hmac_sha256(as_bytes(salt), as_text(key));
    std::string block(info);
    block.push_back('\x01');
    return hmac_sha256(extracted, block);
}

bool equal_in_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pganalytics::net

// Private and public keys: made, stored as PEM, checked for strength. Runs in the program (keys:
// the CA's; ship: the collector's own; serve: the hub server's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

enum class KeyKind : uint8_t { kEcP256, kEcP384, kEd25519, kRsa3072 };

Result<PrivateKey> make_private_key(KeyKind kind = KeyKind::kEcP256);

// PKCS #8, not encrypted.
Result<std::string> private_key_pem(const EVP_PKEY& key);
// PKCS #8 and the older forms; an encrypted key is refused (nobody is there to type).
Result<PrivateKey> parse_private_key(std::string_view pem);

// SubjectPublicKeyInfo, DER.
Result<std::string> public_key_der(const EVP_PKEY& key);
Result<PublicKey> parse_public_key(std::string_view der);

// P-256, P-384, Ed25519, RSA of 3072 bits or more (and at most 8192).
bool is_accepted_key(const EVP_PKEY& key);
// "EC P-256", "RSA 2048 bit": for messages.
std::string key_text(const EVP_PKEY& key);

}  // namespace pganalytics::net

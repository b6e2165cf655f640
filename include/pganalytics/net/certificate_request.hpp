// PKCS #10 requests: what a collector sends to get its certificate. Only the public key of a
// request ever counts; subject and extensions are the hub's. Runs in the program.
#pragma once

#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

inline constexpr size_t kMaxRequestBytes = size_t{16} * 1024;

// PEM; the subject is CN=`name`, cut to 64 bytes.
Result<std::string> make_certificate_request(EVP_PKEY& key, std::string_view name);

// The public key (SubjectPublicKeyInfo, DER) of a PEM request whose own signature is right and
// whose key is_accepted_key(). Hostile input.
Result<std::string> verify_certificate_request(std::string_view pem);

}  // namespace pganalytics::net

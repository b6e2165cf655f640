// Certificates issued: the hub's own CA, its server certificate, collectors' certificates. Runs in
// `pganalytics keys` only (and in tests). All are X.509 v3 with SHA-256 or what the CA's key kind
// prescribes, serial of 16 random bytes, and pass OpenSSL's strict checks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

inline constexpr int64_t kDay = 86400;
inline constexpr int64_t kAuthorityLifetime = int64_t{5} * 365 * kDay;
inline constexpr int64_t kLeafLifetime = 30 * kDay;
inline constexpr int64_t kMaxLeafLifetime = 90 * kDay;
// Certificates start this long before they are made, for clocks that lag; a tenth of their life at
// most.
inline constexpr int64_t kBackdate = 3600;

// Self-signed; CA with path length 0. `name` is the common name.
Result<Certificate> make_authority(EVP_PKEY& key, std::string_view name, int64_t now,
                                   int64_t lifetime = kAuthorityLifetime);

struct Issuer {
    X509& certificate;
    EVP_PKEY& key;
};

// For the hub's listeners; `names` are DNS names and IP addresses, one at least, 64 at most. No
// certificate outlives its CA.
Result<Certificate> issue_server_certificate(const Issuer& issuer, EVP_PKEY& public_key,
                                             const std::vector<std::string>& names, int64_t now,
                                             int64_t lifetime = kLeafLifetime);

// For a collector: one URI name "urn:uuid:<collector_id>", purpose client.
Result<Certificate> issue_collector_certificate(const Issuer& issuer, EVP_PKEY& public_key,
                                                const Uuid& collector_id, int64_t now,
                                                int64_t lifetime = kLeafLifetime);

}  // namespace pganalytics::net

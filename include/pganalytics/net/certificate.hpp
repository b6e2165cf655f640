// Certificates: read, looked at, compared. Runs in the program.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

inline constexpr size_t kMaxPemBytes = size_t{256} * 1024;
inline constexpr std::string_view kCollectorUriPrefix = "urn:uuid:";

// The first certificate of a PEM text.
Result<Certificate> parse_certificate(std::string_view pem);
// Every certificate of it (1 to 16), in order.
Result<std::vector<Certificate>> parse_certificates(std::string_view pem);
Result<std::string> certificate_pem(const X509& certificate);
Result<std::string> certificate_der(const X509& certificate);

// SHA-256 of the DER: what enrolment tokens and collector tokens name.
Sha256 certificate_fingerprint(const X509& certificate);

// A CA's, with a key of a kind that is accepted.
bool is_authority(const X509& certificate);

// Short text that is another one for another bundle, or another order of it.
std::string authorities_mark(std::span<const Certificate> authorities);

// Who a certificate is for: exactly one URI name, "urn:uuid:" and the canonical lower-case UUID,
// and no name of another kind. Empty otherwise.
std::optional<Uuid> certificate_collector_id(const X509& certificate);

// Seconds since 1970.
int64_t certificate_not_before(const X509& certificate);
int64_t certificate_not_after(const X509& certificate);
// When to renew: two thirds of the life have passed.
int64_t certificate_renew_at(const X509& certificate);
std::string certificate_serial(const X509& certificate);  // lower-case hex

// SubjectPublicKeyInfo, DER.
Result<std::string> certificate_public_key(const X509& certificate);
bool key_matches(const X509& certificate, const EVP_PKEY& key);

// True where a client that asks for `name` (DNS name or IP address) accepts this certificate:
// subject alternative names only.
bool certificate_has_name(const X509& certificate, std::string_view name);

// `certificate` leads, over `intermediates` if any, to one of `authorities`, and all of them hold
// at `now` for the purpose named; the rules are those of a handshake. The error says which rule.
enum class CertificatePurpose : uint8_t { kServer, kClient };
Status check_certificate(X509& certificate, std::span<const Certificate> intermediates,
                         std::span<const Certificate> authorities, CertificatePurpose purpose,
                         int64_t now);

}  // namespace pganalytics::net

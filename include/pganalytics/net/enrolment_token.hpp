// Enrolment tokens: "pga1.<CA fingerprint>.<256 random bits>", both parts base64url. Runs in ship
// and register (read), in tests (made). The worker makes them too; the form is in docs/protocol.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"

namespace pganalytics::net {

struct EnrolmentToken {
    Sha256 ca_fingerprint{};
    Sha256 secret{};
    std::string text() const;
};

// Takes surrounding white space (a file's line end); the rest must be exact.
std::optional<EnrolmentToken> parse_enrolment_token(std::string_view text);

}  // namespace pganalytics::net

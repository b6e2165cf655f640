// Base64 with the URL alphabet and without padding (RFC 4648 section 5), as in tokens. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pganalytics::net {

std::string base64url(std::span<const uint8_t> bytes);
std::string base64url(std::string_view bytes);

// Empty where a character is not of the alphabet (padding included), the length is impossible, or
// unused trailing bits are not zero: each value has exactly one text.
std::optional<std::string> parse_base64url(std::string_view text);

}  // namespace pganalytics::net

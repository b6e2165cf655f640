// UUIDs as 16 bytes and as text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pganalytics {

using Uuid = std::array<uint8_t, 16>;

// "123e4567-e89b-12d3-a456-426614174000", lower case.
std::string uuid_text(const Uuid& uuid);
void append_uuid(std::string& out, const Uuid& uuid);

// Takes the 36-character form only, either case.
std::optional<Uuid> parse_uuid(std::string_view text);

}  // namespace pganalytics

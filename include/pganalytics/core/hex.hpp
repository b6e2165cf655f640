// Bytes as lower-case hexadecimal text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pganalytics {

std::string hex_text(std::span<const uint8_t> bytes);
void append_hex(std::string& out, std::span<const uint8_t> bytes);

// Fills `out` exactly; false where `text` is not twice as many hexadecimal digits.
bool parse_hex(std::string_view text, std::span<uint8_t> out);

}  // namespace pganalytics

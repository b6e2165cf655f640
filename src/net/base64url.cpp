// Base64url (see the header).
#include "pganalytics/net/base64url.hpp"

#include <array>

#include "pganalytics/net/sha256.hpp"

namespace pganalytics::net {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr auto kValues = [] {
    std::array<int8_t, 256> values{};
    for (auto& value : values) value = -1;
    for (size_t i = 0; i < kAlphabet.size(); ++i) {
        values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
    }
    return values;
}();

}  // namespace

std::string base64url(std::span<const uint8_t> bytes) {
    std::string text;
    text.reserve((bytes.size() * 4 + 2) / 3);
    uint32_t bits = 0;
    int count = 0;
    for (const uint8_t byte : bytes) {
        bits = (bits << 8) | byte;
        for (count += 8; count >= 6;) {
            count -= 6;
            text.push_back(kAlphabet[(bits >> count) & 0x3f]);
        }
        bits &= 0x3f;
    }
    if (count > 0) text.push_back(kAlphabet[(bits << (6 - count)) & 0x3f]);
    return text;
}

std::string base64url(std::string_view bytes) { return base64url(as_bytes(bytes)); }

std::optional<std::string> parse_base64url(std::string_view text) {
    if (text.size() % 4 == 1) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() * 3 / 4);
    uint32_t bits = 0;
    int count = 0;
    for (const char character : text) {
        const auto value = kValues[static_cast<uint8_t>(character)];
        if (value < 0) return std::nullopt;
        bits = (bits << 6) | static_cast<uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<char>(bits >> count));
            bits &= (uint32_t{1} << count) - 1;
        }
    }
    if (bits != 0) return std::nullopt;
    return bytes;
}

}  // namespace pganalytics::net

// UUIDs as text. Pure.
#include "pganalytics/core/uuid.hpp"

#include "pganalytics/core/hex.hpp"

namespace pganalytics {

void append_uuid(std::string& out, const Uuid& uuid) {
    const std::span<const uint8_t> bytes(uuid);
    append_hex(out, bytes.subspan(0, 4));
    for (size_t at = 4; at < 10; at += 2) {
        out.push_back('-');
        append_hex(out, bytes.subspan(at, 2));
    }
    out.push_back('-');
    append_hex(out, bytes.subspan(10));
}

std::string uuid_text(const Uuid& uuid) {
    std::string out;
    out.reserve(36);
    append_uuid(out, uuid);
    return out;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    std::string digits;
    digits.reserve(32);
    for (size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-')) return std::nullopt;
        if (!dash) digits.push_back(text[i]);
    }
    Uuid uuid;
    if (!parse_hex(digits, uuid)) return std::nullopt;
    return uuid;
}

}  // namespace pganalytics

// UTF-8 checking and cleaning. Pure.
#include "pganalytics/core/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace pganalytics {

namespace {

struct Piece {
    size_t length;  // bytes looked at: a character, or a maximal ill-formed piece
    bool valid;
};

// What a lead byte asks for: how many bytes follow, and the range of the first of them (Unicode,
// table 3-7).
struct Lead {
    int following;
    uint8_t low;
    uint8_t high;
};

Lead lead_of(uint8_t byte) {
    if (byte >= 0xc2 && byte <= 0xdf) return {1, 0x80, 0xbf};
    if (byte == 0xe0) return {2, 0xa0, 0xbf};
    if (byte == 0xed) return {2, 0x80, 0x9f};
    if (byte >= 0xe1 && byte <= 0xef) return {2, 0x80, 0xbf};
    if (byte == 0xf0) return {3, 0x90, 0xbf};
    if (byte >= 0xf1 && byte <= 0xf3) return {3, 0x80, 0xbf};
    if (byte == 0xf4) return {3, 0x80, 0x8f};
    return {0, 0, 0};
}

Piece next_piece(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    if (byte(0) < 0x80) return {1, byte(0) != 0};
    Lead lead = lead_of(byte(0));
    if (lead.following == 0) return {1, false};
    size_t length = 1;
    for (int i = 0; i < lead.following; ++i) {
        if (length >= text.size() || byte(length) < lead.low || byte(length) > lead.high) {
            return {length, false};
        }
        lead.low = 0x80;
        lead.high = 0xbf;
        ++length;
    }
    return {length, true};
}

// Eight bytes of plain ASCII without NUL at once: nearly all text is that.
bool eight_plain(const char* bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    const uint64_t has_zero = (word - 0x0101010101010101U) & ~word & 0x8080808080808080U;
    return (word & 0x8080808080808080U) == 0 && has_zero == 0;
}

}  // namespace

size_t utf8_valid_prefix(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        if (text.size() - at >= 8 && eight_plain(text.data() + at)) {
            at += 8;
            continue;
        }
        const Piece piece = next_piece(text.substr(at));
        if (!piece.valid) return at;
        at += piece.length;
    }
    return at;
}

size_t append_utf8_clean(std::string& out, std::string_view text) {
    size_t replaced = 0;
    while (true) {
        const size_t valid = utf8_valid_prefix(text);
        out.append(text.substr(0, valid));
        if (valid == text.size()) return replaced;
        text.remove_prefix(valid);
        text.remove_prefix(next_piece(text).length);
        out.append("\xef\xbf\xbd");
        ++replaced;
    }
}

std::string_view utf8_cut(std::string_view text, size_t limit) {
    if (text.size() <= limit) return text;
    size_t end = limit;
    while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end);
}

}  // namespace pganalytics

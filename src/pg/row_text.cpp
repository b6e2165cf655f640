// Texts of a database's encoding to UTF-8 (see row_encoder.hpp). Runs in visitors, between
// PostgreSQL calls.
#include <algorithm>

#include "pganalytics/core/utf8.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/row_encoder.hpp"

namespace pganalytics::pg {

namespace {

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return static_cast<signed char>(c) > 0; });
}

struct Utf8Buffer {
    char* bytes;
    size_t used;
};

void append(Utf8Buffer& out, std::string_view text) {
    std::memcpy(out.bytes + out.used, text.data(), text.size());
    out.used += text.size();
}

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Each byte that is no part of a character becomes U+FFFD.
std::string_view clean(std::string_view text) {
    Utf8Buffer out = {static_cast<char*>(palloc(text.size() * kReplacement.size() + 1)), 0};
    while (!text.empty()) {
        const size_t good = utf8_valid_prefix(text);
        append(out, text.substr(0, good));
        text.remove_prefix(good);
        if (text.empty()) break;
        append(out, kReplacement);
        text.remove_prefix(1);
    }
    return {out.bytes, out.used};
}

// What the conversion does not know becomes U+FFFD.
std::string_view convert(const RowEncoder& encoder, std::string_view text) {
    const size_t size = text.size() * MAX_CONVERSION_GROWTH + 1;
    Utf8Buffer out = {static_cast<char*>(palloc(size)), 0};
    while (!text.empty()) {
        const size_t taken = convert_prefix(encoder.to_utf8, encoder.encoding, PG_UTF8, text,
                                            out.bytes + out.used, size - out.used);
        out.used += std::strlen(out.bytes + out.used);
        text.remove_prefix(taken);
        if (text.empty()) break;
        append(out, kReplacement);
        text.remove_prefix(1);
    }
    return {out.bytes, out.used};
}

}  // namespace

std::string_view to_utf8(const RowEncoder& encoder, std::string_view text) {
    // More than is kept; the end is cut at a character below.
    text = text.substr(0, kMaxTextBytes + 8);
    if (!is_ascii(text)) {
        if (OidIsValid(encoder.to_utf8)) {
            text = convert(encoder, text);
        } else if (!is_utf8(text)) {
            text = clean(text);
        }
    }
    return utf8_cut(text, kMaxTextBytes);
}

}  // namespace pganalytics::pg

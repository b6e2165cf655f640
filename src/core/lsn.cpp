// Positions in the write-ahead log as text. Pure.
#include "pganalytics/core/lsn.hpp"

#include <charconv>

namespace pganalytics {

namespace {

void append_upper_hex(std::string& out, uint32_t value) {
    char digits[8] = {};
    const auto result = std::to_chars(digits, digits + sizeof digits, value, 16);
    for (const char* c = digits; c != result.ptr; ++c) {
        out.push_back(*c >= 'a' ? static_cast<char>(*c - 'a' + 'A') : *c);
    }
}

std::optional<uint32_t> parse_half(std::string_view text) {
    if (text.empty() || text.size() > 8) return std::nullopt;
    uint32_t value = 0;
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data(), end, value, 16);
    if (result.ec != std::errc{} || result.ptr != end) return std::nullopt;
    return value;
}

}  // namespace

void append_lsn(std::string& out, uint64_t lsn) {
    append_upper_hex(out, static_cast<uint32_t>(lsn >> 32));
    out.push_back('/');
    append_upper_hex(out, static_cast<uint32_t>(lsn));
}

std::optional<uint64_t> parse_lsn(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto high = parse_half(text.substr(0, slash));
    const auto low = parse_half(text.substr(slash + 1));
    if (!high || !low) return std::nullopt;
    return (static_cast<uint64_t>(*high) << 32) | *low;
}

}  // namespace pganalytics

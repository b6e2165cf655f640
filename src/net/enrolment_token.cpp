// Enrolment tokens (see the header).
#include "pganalytics/net/enrolment_token.hpp"

#include <algorithm>

#include "pganalytics/net/base64url.hpp"

namespace pganalytics::net {

namespace {

constexpr std::string_view kPrefix = "pga1.";

bool parse_part(std::string_view text, Sha256& out) {
    const auto bytes = parse_base64url(text);
    if (!bytes || bytes->size() != out.size()) return false;
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return true;
}

}  // namespace

std::string EnrolmentToken::text() const {
    return std::string(kPrefix) + base64url(ca_fingerprint) + "." + base64url(secret);
}

std::optional<EnrolmentToken> parse_enrolment_token(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    text = text.substr(0, text.find_last_not_of(kSpace) + 1);
    if (!text.starts_with(kPrefix)) return std::nullopt;
    text.remove_prefix(kPrefix.size());
    const size_t point = text.find('.');
    if (point == std::string_view::npos) return std::nullopt;
    EnrolmentToken token;
    if (!parse_part(text.substr(0, point), token.ca_fingerprint)) return std::nullopt;
    if (!parse_part(text.substr(point + 1), token.secret)) return std::nullopt;
    return token;
}

}  // namespace pganalytics::net

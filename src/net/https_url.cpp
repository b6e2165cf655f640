// https addresses (see the header).
#include "pganalytics/net/https_url.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace pganalytics::net {

namespace {

constexpr std::string_view kScheme = "https://";
constexpr size_t kMostBytes = 2048;
constexpr size_t kMostHostBytes = 253;

bool is_path_character(char character) {
    constexpr std::string_view kOthers = "-._~/%!$&'()*+,;=:@";
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') ||
           kOthers.find(character) != std::string_view::npos;
}

bool is_host_character(char character) {
    return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
           character == '-' || character == '.' || character == '_';
}

bool is_ipv6(const std::string& host) {
    in6_addr address{};
    return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

char lower(char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                                : character;
}

bool parse_port(std::string_view text, uint16_t& port) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
    return code == std::errc() && end == text.data() + text.size() && port != 0;
}

// "host", "host:port", "[address]", "[address]:port".
bool parse_authority(std::string_view text, HttpsUrl& url) {
    std::string_view host = text;
    std::string_view rest;
    const bool bracketed = text.starts_with('[');
    if (bracketed) {
        const size_t end = text.find(']');
        if (end == std::string_view::npos) return false;
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
    } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        rest = text.substr(colon);
    }
    if (!rest.empty() && (!rest.starts_with(':') || !parse_port(rest.substr(1), url.port))) {
        return false;
    }
    url.host.resize(host.size());
    std::transform(host.begin(), host.end(), url.host.begin(), lower);
    if (bracketed) return is_ipv6(url.host);
    return !url.host.empty() && url.host.size() <= kMostHostBytes && url.host.front() != '-' &&
           std::all_of(url.host.begin(), url.host.end(), is_host_character);
}

}  // namespace

std::string HttpsUrl::text() const { return with({}); }

std::string HttpsUrl::with(std::string_view suffix) const {
    const bool brackets = host.find(':') != std::string::npos;
    std::string text(kScheme);
    text += brackets ? "[" + host + "]" : host;
    text += ":" + std::to_string(port) + path;
    text += suffix;
    return text;
}

Result<HttpsUrl> parse_https_url(std::string_view text) {
    // The address itself is not repeated: what was typed may hold a password.
    const Error refused = make_error(
        sqlstate::kInvalidParameter, "not an address of a hub",
        "An address has the form https://host:port, without user, password, query and fragment.");
    if (text.size() > kMostBytes || !text.starts_with(kScheme)) return refused;
    text.remove_prefix(kScheme.size());
    const size_t slash = std::min(text.find('/'), text.size());
    HttpsUrl url;
    if (!parse_authority(text.substr(0, slash), url)) return refused;
    url.path = text.substr(slash);
    while (url.path.ends_with('/')) url.path.pop_back();
    if (!std::all_of(url.path.begin(), url.path.end(), is_path_character)) return refused;
    return url;
}

}  // namespace pganalytics::net

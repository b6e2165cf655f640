// An https address in its parts. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"

namespace pganalytics::net {

struct HttpsUrl {
    std::string host;  // lower case; an IPv6 address without brackets
    uint16_t port = 443;
    std::string path;  // empty or beginning with "/"; never ending with one

    // "https://host:port" and the path; brackets where the host needs them, port always.
    std::string text() const;
    // This address with `suffix` ("/api/v1/...") appended.
    std::string with(std::string_view suffix) const;
};

// Takes https only; no user, query or fragment; a DNS name or an IP address; 2 KiB at most.
Result<HttpsUrl> parse_https_url(std::string_view text);

}  // namespace pganalytics::net

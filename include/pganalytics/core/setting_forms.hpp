// The forms that text settings have: tested in the server's check hooks and by the program's
// command line. Form only: nothing is looked up.
#pragma once

#include <string_view>

#include "pganalytics/core/result.hpp"

namespace pganalytics {

// https://host[:port], no user, path, query or fragment; at most 512 characters.
Status check_https_url(std::string_view text);
// Absolute, without control characters; at most 1000 bytes.
Status check_absolute_path(std::string_view text);
// Host names, IPv4 or IPv6 addresses, `*`, separated by commas; at most 32.
Status check_address_list(std::string_view text);

}  // namespace pganalytics

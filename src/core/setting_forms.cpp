// Forms of text settings (see the header).
#include "pganalytics/core/setting_forms.hpp"

#include <algorithm>
#include <string>

namespace pganalytics {

namespace {

constexpr size_t kMaxUrl = 512;
constexpr size_t kMaxPath = 1000;
constexpr size_t kMaxHost = 253;
constexpr size_t kMaxAddresses = 32;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_host_character(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
}

// A DNS name or IPv4 address.
bool is_host(std::string_view text) {
    if (text.empty() || text.size() > kMaxHost || text.front() == '.' || text.front() == '-') {
        return false;
    }
    for (const char c : text) {
        if (!is_host_character(c)) return false;
    }
    return text.find("..") == std::string_view::npos;
}

bool is_ipv6(std::string_view text) {
    if (text.size() < 2 || text.size() > 45) return false;
    bool colon = false;
    for (const char c : text) {
        if (c == ':') colon = true;
        if (!is_hex(c) && c != ':' && c != '.') return false;
    }
    return colon;
}

bool is_port(std::string_view text) {
    if (text.empty() || text.size() > 5) return false;
    unsigned port = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port >= 1 && port <= 65535;
}

Error refused(std::string message) {
    return make_error(sqlstate::kInvalidParameter, std::move(message));
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

Status check_https_url(std::string_view text) {
    constexpr std::string_view kScheme = "https://";
    if (text.size() > kMaxUrl) return refused("address is too long");
    if (text.substr(0, kScheme.size()) != kScheme)
        return refused("address must start with https://");
    std::string_view rest = text.substr(kScheme.size());
    if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
    bool host_ok = false;
    if (!rest.empty() && rest.front() == '[') {
        const size_t end = rest.find(']');
        if (end == std::string_view::npos) return refused("address has an unclosed bracket");
        host_ok = is_ipv6(rest.substr(1, end - 1));
        rest.remove_prefix(end + 1);
    } else {
        const size_t end = std::min(rest.find(':'), rest.size());
        host_ok = is_host(rest.substr(0, end));
        rest.remove_prefix(end);
    }
    if (!host_ok) return refused("address must be https://host:port");
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) {
        return refused("address must be https://host:port");
    }
    return {};
}

Status check_absolute_path(std::string_view text) {
    if (text.size() > kMaxPath) return refused("path is too long");
    if (text.empty() || text.front() != '/') return refused("path must be absolute");
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) return refused("path has a control character");
    }
    return {};
}

Status check_address_list(std::string_view text) {
    size_t count = 0;
    while (true) {
        const size_t end = std::min(text.find(','), text.size());
        const std::string_view item = trim(text.substr(0, end));
        if (item != "*" && !is_host(item) && !is_ipv6(item)) {
            return refused("\"" + std::string(item) + "\" is neither a host name nor an address");
        }
        if (++count > kMaxAddresses) return refused("too many addresses");
        if (end == text.size()) return {};
        text.remove_prefix(end + 1);
    }
}

}  // namespace pganalytics

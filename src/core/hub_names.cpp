// What the hub is called (see the header). Runs in the hub worker.
#include "pganalytics/core/hub_names.hpp"

#include <algorithm>

namespace pganalytics {

namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_loopback(std::string_view address) {
    return address == "localhost" || address == "::1" || address.substr(0, 4) == "127.";
}

bool is_any(std::string_view address) {
    return address == "*" || address == "0.0.0.0" || address == "::";
}

void add(std::vector<std::string>& names, std::string_view name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
        names.emplace_back(name);
}

std::string url(std::string_view name, int32_t port) {
    const bool ipv6 = name.find(':') != std::string_view::npos;
    std::string text = "https://";
    if (ipv6) text += '[';
    text += name;
    if (ipv6) text += ']';
    return text + ":" + std::to_string(port);
}

}  // namespace

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> items;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        std::string_view item = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const size_t first = item.find_first_not_of(kBlanks);
        if (first == std::string_view::npos) continue;
        item = item.substr(first, item.find_last_not_of(kBlanks) - first + 1);
        items.emplace_back(item);
    }
    return items;
}

HubNames hub_names_of(const HubAddressing& addressing) {
    HubNames names;
    names.listen_addresses = split_list(addressing.listen_addresses);
    const std::vector<std::string> own = split_list(addressing.hub_names);
    for (const std::string& name : own) add(names.certificate_names, name);
    add(names.certificate_names, addressing.hostname);
    for (const char* name : {"localhost", "127.0.0.1", "::1"}) add(names.certificate_names, name);
    bool beyond = false;
    bool on_loopback = names.listen_addresses.empty();
    for (const std::string& address : names.listen_addresses) {
        if (is_loopback(address) || is_any(address)) on_loopback = true;
        if (!is_loopback(address)) beyond = true;
        if (!is_any(address)) add(names.certificate_names, address);
    }
    std::string name = "localhost";
    if (!own.empty()) {
        name = own.front();
    } else if (beyond && !addressing.hostname.empty()) {
        name = addressing.hostname;
    }
    names.hub_url = url(name, addressing.port);
    const int32_t console =
        addressing.console_port != 0 ? addressing.console_port : addressing.port;
    names.self_url = url(on_loopback ? "localhost" : names.listen_addresses.front(), console);
    return names;
}

}  // namespace pganalytics

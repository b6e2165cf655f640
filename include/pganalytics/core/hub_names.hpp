// What the hub is called: the names in its certificate, the address collectors are told, the
// address its own server's collector uses. Pure; from the settings' texts and the host's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pganalytics {

struct HubAddressing {
    std::string listen_addresses;  // as the setting has it
    std::string hub_names;         // as the setting has it
    std::string hostname;
    int32_t port = 0;
    int32_t console_port = 0;  // 0: all on `port`
};

struct HubNames {
    std::vector<std::string> listen_addresses;
    // hub_names, the host's name, localhost, 127.0.0.1, ::1, and the addresses listened on.
    std::vector<std::string> certificate_names;
    std::string hub_url;   // what collectors are told
    std::string self_url;  // where this server's own collector enrols
};

HubNames hub_names_of(const HubAddressing& addressing);

// At commas, blanks around the items dropped, empty items left out.
std::vector<std::string> split_list(std::string_view text);

}  // namespace pganalytics

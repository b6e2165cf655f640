// /proc/net/dev: network interfaces. Runs in the program; pure.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

struct InterfaceFigures {
    std::string_view name;  // a view of the text
    // Received: bytes, packets, errors, dropped, fifo, frame, compressed, multicast; sent: bytes,
    // packets, errors, dropped, fifo, collisions, carrier, compressed.
    std::array<Figure, 16> figures;
};

std::vector<InterfaceFigures> parse_net_dev(std::string_view text);

}  // namespace pganalytics::host

// `pganalytics ship`: the collector worker's program. Started by the worker with the frame socket
// as descriptor 3; takes no arguments.
#pragma once

#include <span>
#include <string>

namespace pganalytics::ship {

int ship_main(std::span<const std::string> args);

}  // namespace pganalytics::ship

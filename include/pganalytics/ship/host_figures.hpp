// The host's readers with what they have to know of the server. Runs in `pganalytics ship`.
#pragma once

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/host/server_processes.hpp"
#include "pganalytics/ship/host_reader.hpp"

namespace pganalytics::ship {

// `processes` must outlive every use.
ReadHostRowset host_figures(const ServerFacts& facts, host::ServerProcesses& processes);

// Reading it asks file systems, and may take for ever.
bool may_hang(const Rowset& rowset);

}  // namespace pganalytics::ship

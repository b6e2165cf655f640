// What the host's readers know of the server (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/host_figures.hpp"

#include "pganalytics/host/host_rowsets.hpp"

namespace pganalytics::ship {

ReadHostRowset host_figures(const ServerFacts& facts, host::ServerProcesses& processes) {
    host::HostFacts host_facts;
    host_facts.data_directory = facts.data_directory;
    host_facts.server_version_num = facts.server_version_num;
    host_facts.log_directory = facts.log_directory;
    host_facts.tablespaces = facts.tablespaces;
    host_facts.temp_tablespaces = facts.temp_tablespaces;
    host_facts.processes = &processes;
    return [host_facts](const Rowset& rowset, RowBuilder& out) {
        return host::read_host_rowset(rowset, host_facts, out);
    };
}

bool may_hang(const Rowset& rowset) {
    return rowset.plugin == "disk_usage" || rowset.name == "multixact_members";
}

}  // namespace pganalytics::ship

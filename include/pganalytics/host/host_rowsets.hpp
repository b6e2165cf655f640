// The rowsets of the host: read from /proc and the file systems into rows. Runs in
// `pganalytics ship`.
#pragma once

#include <string>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics::host {

class ServerProcesses;

struct HostFacts {
    std::string root = "/";  // another one only in tests: /proc and /sys are looked for below it
    std::string data_directory;
    int server_version_num = 0;
    std::string log_directory;  // empty: the server writes no log files
    std::vector<TablespaceFact> tablespaces;
    std::vector<std::string> temp_tablespaces;  // names; empty: beside the data
    ServerProcesses* processes = nullptr;       // null: no rows of sysstat.processes
};

// Appends the rowset's rows, made of all of its columns in order, to `out`. What the kernel does
// not tell is null; a file that can't be read or makes no sense is an Error of this rowset, and
// `out` is then as it was. Elsewhere than on Linux there are no rows.
//
// disk_usage.filesystems and pg_stats.multixact_members ask the file systems themselves, and one on
// a server that is gone makes its caller wait without a limit: read them after all others.
Status read_host_rowset(const Rowset& rowset, const HostFacts& facts, RowBuilder& out);

}  // namespace pganalytics::host

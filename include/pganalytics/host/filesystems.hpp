// The file systems the server uses, and for what. Runs in the program.
#pragma once

#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/host_rowsets.hpp"
#include "pganalytics/host/mount_table.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

// A path of the server and what it has there.
struct PathUse {
    std::string path;
    std::string use;  // "data", "wal", "log", "temporary", "tablespace NAME"
};
std::vector<PathUse> paths_in_use(const HostFacts& facts);

struct FilesystemFigures {
    Mount mount;
    std::string uses;  // by comma
    Figure total_bytes;
    Figure free_bytes;
    Figure available_bytes;
    Figure inodes_total;
    Figure inodes_free;
    Figure inodes_available;
};

// One for each mount that has a path in use. A path that is not there or closed to us is left out;
// the data directory's is an Error.
Result<std::vector<FilesystemFigures>> read_filesystems(const std::vector<PathUse>& paths,
                                                        const std::vector<Mount>& mounts);

}  // namespace pganalytics::host

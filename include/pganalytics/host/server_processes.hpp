// PostgreSQL's own processes by kind: what they used of the host. Runs in `pganalytics ship`.
//
// The kernel counts for a process; a kind's counters are the sum over its processes, dead or alive,
// which somebody has to remember between two readings. What a process used after the last reading
// before its end is lost: children_* of the postmaster's row, which the kernel keeps, have it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/host/proc_pid.hpp"

namespace pganalytics::host {

class ServerProcesses {
  public:
    // `since`: now, in microseconds since 1970. `postmaster`: 0 where it is to be found as the
    // parent of the worker that started this program.
    ServerProcesses(int64_t since, int64_t postmaster = 0)
        : since_(since), postmaster_(postmaster) {}

    // How /proc/PID/io is read where this process itself must not (process_io.hpp).
    using ReadIo = std::function<Result<std::string>(int64_t pid)>;
    void read_io_with(ReadIo read) { read_io_ = std::move(read); }

    // Appends the rows of sysstat.processes, whose columns they have in order; `root` as in
    // HostFacts. No rows where the postmaster is not to be seen.
    Status read(const std::string& root, RowBuilder& out);

  private:
    // In the order of the columns.
    struct Counters {
        int64_t user_ticks = 0;
        int64_t system_ticks = 0;
        int64_t minor_faults = 0;
        int64_t major_faults = 0;
        int64_t voluntary_switches = 0;
        int64_t involuntary_switches = 0;
        int64_t read_bytes = 0;
        int64_t write_bytes = 0;
    };
    struct Process {
        int64_t start_ticks = 0;
        std::string kind;
        Counters counters;
        bool seen = false;
    };
    struct Kind {
        Counters counters;
        int64_t processes = 0;
        Figure anonymous_bytes;
        Figure largest_bytes;  // of one process
        Figure swap_bytes;
        Figure children_user_ticks;
        Figure children_system_ticks;
    };

    void read_process(const std::string& root, int64_t pid);
    void put(const std::string& name, const Kind& kind, RowBuilder& out) const;

    int64_t since_;
    int64_t postmaster_;
    ReadIo read_io_;
    std::unordered_map<int64_t, Process> processes_;
    std::map<std::string, Kind> kinds_;
};

}  // namespace pganalytics::host

// The control group that the server runs in, and those above it: limits, use, throttling, by either
// version of the kernel's interface. Runs in the program.
//
// Linux: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/host/mount_table.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

// One group; null where there is no limit, or where the kernel does not account.
struct CgroupFigures {
    int64_t level = 0;  // 0: the server's own
    int64_t version = 2;
    std::string path;
    Figure cpu_quota_us;
    Figure cpu_period_us;
    Figure cpu_periods;
    Figure cpu_throttled_periods;
    Figure cpu_throttled_us;
    Figure cpu_usage_us;
    Figure cpu_user_us;
    Figure cpu_system_us;
    Figure memory_limit;
    Figure memory_high;
    Figure memory_used;
    Figure memory_peak;
    Figure memory_anonymous;
    Figure memory_file;
    Figure memory_shared;
    Figure memory_kernel;
    Figure swap_limit;
    Figure swap_used;
    Figure memory_high_events;
    Figure memory_limit_events;
    Figure oom_events;
    Figure oom_kills;
    Figure io_read_bytes;
    Figure io_write_bytes;
    Figure io_read_ops;
    Figure io_write_ops;
    Figure tasks_limit;
    Figure tasks_used;
};

// Where the groups of one hierarchy are seen: a group's folder is `point` + `path`.
struct CgroupHierarchy {
    std::string point;
    std::string path;  // "" or "/a/b", below the point
    // `levels` components fewer.
    std::string folder(size_t levels = 0) const;
    size_t depth() const;
};

// `self`: the text of /proc/self/cgroup. `controller`: one of version 1 ("memory"); empty: the
// hierarchy of version 2. Null where it is not mounted, or not so that the group can be seen.
std::optional<CgroupHierarchy> find_cgroup(std::string_view self, const std::vector<Mount>& mounts,
                                           std::string_view controller);

// From the server's own up to what is mounted, at most 16; files are looked for below `root`. Empty
// where there are no groups.
std::vector<CgroupFigures> read_cgroups(const std::string& root, std::string_view self,
                                        const std::vector<Mount>& mounts);

}  // namespace pganalytics::host

// Control groups. Runs in the program.
#include "pganalytics/host/cgroups.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "cgroup_files.hpp"

namespace pganalytics::host {

namespace {

constexpr size_t kLevels = 16;

// "4:memory:/a/b", "9:name=systemd:/", "0::/a/b"
std::optional<std::string_view> path_of(std::string_view self, std::string_view controller) {
    Lines lines(self);
    std::string_view line;
    while (lines.next(line)) {
        const size_t first = line.find(':');
        if (first == std::string_view::npos) continue;
        const size_t second = line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view names = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? names.empty() : has_option(names, controller)) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

void read_version_2(const CgroupFolder& group, CgroupFigures& out) {
    const std::array<Figure, 2> cpu = group.figures<2>("cpu.max");
    out.cpu_quota_us = cpu[0];
    out.cpu_period_us = cpu[1];
    group.named("cpu.stat", {{"nr_periods", &out.cpu_periods},
                             {"nr_throttled", &out.cpu_throttled_periods},
                             {"throttled_usec", &out.cpu_throttled_us},
                             {"usage_usec", &out.cpu_usage_us},
                             {"user_usec", &out.cpu_user_us},
                             {"system_usec", &out.cpu_system_us}});
    out.memory_limit = group.figure("memory.max");
    out.memory_high = group.figure("memory.high");
    out.memory_used = group.figure("memory.current");
    out.memory_peak = group.figure("memory.peak");
    group.named("memory.stat", {{"anon", &out.memory_anonymous},
                                {"file", &out.memory_file},
                                {"shmem", &out.memory_shared},
                                {"kernel", &out.memory_kernel}});
    out.swap_limit = group.figure("memory.swap.max");
    out.swap_used = group.figure("memory.swap.current");
    group.named("memory.events", {{"high", &out.memory_high_events},
                                  {"max", &out.memory_limit_events},
                                  {"oom", &out.oom_events},
                                  {"oom_kill", &out.oom_kills}});
    group.sums("io.stat", {{"rbytes=", &out.io_read_bytes},
                           {"wbytes=", &out.io_write_bytes},
                           {"rios=", &out.io_read_ops},
                           {"wios=", &out.io_write_ops}});
    out.tasks_limit = group.figure("pids.max");
    out.tasks_used = group.figure("pids.current");
}

// Version 1 says "no limit" by the largest number of pages.
Figure limit_or_null(Figure limit) {
    return limit && *limit > std::numeric_limits<int64_t>::max() / 2 ? std::nullopt : limit;
}

Figure divided(Figure value, int64_t by) { return value ? Figure(*value / by) : value; }

void read_cpu_1(const CgroupFolder& cpu, const CgroupFolder& cpuacct, CgroupFigures& out) {
    out.cpu_quota_us = cpu.figure("cpu.cfs_quota_us");  // -1, no limit, is no figure
    out.cpu_period_us = cpu.figure("cpu.cfs_period_us");
    Figure throttled_ns;
    cpu.named("cpu.stat", {{"nr_periods", &out.cpu_periods},
                           {"nr_throttled", &out.cpu_throttled_periods},
                           {"throttled_time", &throttled_ns}});
    out.cpu_throttled_us = divided(throttled_ns, 1000);
    out.cpu_usage_us = divided(cpuacct.figure("cpuacct.usage"), 1000);
    out.cpu_user_us = divided(cpuacct.figure("cpuacct.usage_user"), 1000);
    out.cpu_system_us = divided(cpuacct.figure("cpuacct.usage_sys"), 1000);
}

void read_memory_1(const CgroupFolder& memory, CgroupFigures& out) {
    out.memory_limit = limit_or_null(memory.figure("memory.limit_in_bytes"));
    out.memory_used = memory.figure("memory.usage_in_bytes");
    out.memory_peak = memory.figure("memory.max_usage_in_bytes");
    memory.named("memory.stat", {{"total_rss", &out.memory_anonymous},
                                 {"total_cache", &out.memory_file},
                                 {"total_shmem", &out.memory_shared},
                                 {"total_swap", &out.swap_used}});
    out.memory_kernel = memory.figure("memory.kmem.usage_in_bytes");
    // Here memory and swap have a limit together.
    const Figure both = limit_or_null(memory.figure("memory.memsw.limit_in_bytes"));
    if (both && out.memory_limit && *both >= *out.memory_limit)
        out.swap_limit = *both - *out.memory_limit;
    out.memory_limit_events = memory.figure("memory.failcnt");
    memory.named("memory.oom_control", {{"oom_kill", &out.oom_kills}});
}

void read_io_1(const CgroupFolder& blkio, CgroupFigures& out) {
    blkio.sums("blkio.throttle.io_service_bytes_recursive",
               {{"Read ", &out.io_read_bytes}, {"Write ", &out.io_write_bytes}});
    blkio.sums("blkio.throttle.io_serviced_recursive",
               {{"Read ", &out.io_read_ops}, {"Write ", &out.io_write_ops}});
}

std::vector<CgroupFigures> read_all_version_1(const std::string& root, std::string_view self,
                                              const std::vector<Mount>& mounts) {
    const auto find = [&](std::string_view controller) {
        return find_cgroup(self, mounts, controller);
    };
    const std::optional<CgroupHierarchy> cpu = find("cpu");
    const std::optional<CgroupHierarchy> cpuacct = find("cpuacct");
    const std::optional<CgroupHierarchy> memory = find("memory");
    const std::optional<CgroupHierarchy> blkio = find("blkio");
    const std::optional<CgroupHierarchy> pids = find("pids");
    std::vector<CgroupFigures> groups;
    for (size_t level = 0; level < kLevels; ++level) {
        // Each controller has a tree of its own; a level beyond one's top is no group of it.
        const auto folder = [&](const std::optional<CgroupHierarchy>& hierarchy) {
            if (!hierarchy || level > hierarchy->depth()) return CgroupFolder({});
            return CgroupFolder(root + hierarchy->folder(level));
        };
        const CgroupFolder memory_folder = folder(memory);
        if (!memory_folder.there() && !folder(cpu).there()) break;
        CgroupFigures& group = groups.emplace_back();
        group.level = static_cast<int64_t>(level);
        group.version = 1;
        const std::optional<CgroupHierarchy>& shown = memory_folder.there() ? memory : cpu;
        group.path = shown->folder(level).substr(shown->point.size());
        if (group.path.empty()) group.path = "/";
        read_cpu_1(folder(cpu), folder(cpuacct), group);
        read_memory_1(memory_folder, group);
        read_io_1(folder(blkio), group);
        group.tasks_limit = folder(pids).figure("pids.max");
        group.tasks_used = folder(pids).figure("pids.current");
    }
    return groups;
}

}  // namespace

std::string CgroupHierarchy::folder(size_t levels) const {
    std::string_view rest = path;
    for (; levels > 0 && !rest.empty(); --levels) rest = rest.substr(0, rest.rfind('/'));
    return point + std::string(rest);
}

size_t CgroupHierarchy::depth() const {
    return static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

std::optional<CgroupHierarchy> find_cgroup(std::string_view self, const std::vector<Mount>& mounts,
                                           std::string_view controller) {
    const std::optional<std::string_view> path = path_of(self, controller);
    // "/..": above what this control group namespace shows.
    if (!path || !path->starts_with('/') || path->starts_with("/..")) return std::nullopt;
    for (const Mount& mount : mounts) {
        const bool wanted = controller.empty()
                                ? mount.type == "cgroup2"
                                : mount.type == "cgroup" && has_option(mount.options, controller);
        if (!wanted) continue;
        std::string below(*path);
        if (mount.root != "/") {
            // Part of the tree is mounted: the group's path begins with it, or the group is seen
            // as that part itself (a container with the host's paths).
            const bool within = is_above(mount.root, *path);
            below = within ? below.substr(mount.root.size()) : std::string();
        }
        if (below == "/") below.clear();
        return CgroupHierarchy{mount.point, std::move(below)};
    }
    return std::nullopt;
}

std::vector<CgroupFigures> read_cgroups(const std::string& root, std::string_view self,
                                        const std::vector<Mount>& mounts) {
    if (find_cgroup(self, mounts, "memory") || find_cgroup(self, mounts, "cpu")) {
        return read_all_version_1(root, self, mounts);
    }
    std::vector<CgroupFigures> groups;
    const std::optional<CgroupHierarchy> hierarchy = find_cgroup(self, mounts, "");
    if (!hierarchy) return groups;
    for (size_t level = 0; level <= std::min(hierarchy->depth(), kLevels - 1); ++level) {
        const CgroupFolder folder(root + hierarchy->folder(level));
        if (!folder.there()) continue;
        CgroupFigures& group = groups.emplace_back();
        group.level = static_cast<int64_t>(level);
        group.path = hierarchy->folder(level).substr(hierarchy->point.size());
        if (group.path.empty()) group.path = "/";
        read_version_2(folder, group);
    }
    return groups;
}

}  // namespace pganalytics::host

// The rowsets of the host. Runs in the program.
#include "pganalytics/host/host_rowsets.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "pganalytics/core/utf8.hpp"
#include "pganalytics/host/cgroups.hpp"
#include "pganalytics/host/figure_rows.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/host/filesystems.hpp"
#include "pganalytics/host/multixact_members.hpp"
#include "pganalytics/host/pressure.hpp"
#include "pganalytics/host/proc_diskstats.hpp"
#include "pganalytics/host/proc_meminfo.hpp"
#include "pganalytics/host/proc_net_dev.hpp"
#include "pganalytics/host/proc_stat.hpp"
#include "pganalytics/host/proc_vmstat.hpp"
#include "pganalytics/host/server_processes.hpp"

namespace pganalytics::host {

namespace {

// Far more than any kernel writes; a file beyond it is an error, not a reason to take memory.
constexpr size_t kFileLimit = 8 << 20;
constexpr size_t kRowLimit = 20000;
constexpr int64_t kMicroseconds = 1000000;

Result<std::string> read_kernel_file(const HostFacts& facts, std::string_view path) {
    return read_file(facts.root + "/" + std::string(path), kFileLimit);
}

void put_text(RowBuilder& out, std::string_view text) {
    std::string clean;
    append_utf8_clean(clean, text);
    out.text(clean);
}

// Seconds since 1970 as a moment. Null where /proc/stat does not tell.
Figure boot_time(const HostFacts& facts) {
    const Result<std::string> text = read_kernel_file(facts, "proc/stat");
    if (!text) return std::nullopt;
    const Result<ProcStat> stat = parse_proc_stat(*text);
    return stat ? scaled(stat->boot_time, kMicroseconds) : std::nullopt;
}

Status read_cpu(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/stat");
    if (!text) return text.error();
    const Result<ProcStat> stat = parse_proc_stat(*text);
    if (!stat) return stat.error();
    for (const ProcStat::Cpu& cpu : stat->cpus) {
        if (out.count() >= kRowLimit) break;
        out.begin();
        out.text(cpu.name);
        put(out, cpu.ticks);
        out.integer(sysconf(_SC_CLK_TCK));
        put(out, scaled(stat->boot_time, kMicroseconds));
        out.end();
    }
    return {};
}

Status read_memory(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/meminfo");
    if (!text) return text.error();
    const Result<MemoryFigures> figures = parse_meminfo(*text);
    if (!figures) return figures.error();
    out.begin();
    put(out, *figures);
    out.end();
    return {};
}

Status read_paging(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/vmstat");
    if (!text) return text.error();
    const Result<PagingFigures> figures = parse_vmstat(*text);
    if (!figures) return figures.error();
    out.begin();
    put(out, *figures);
    put(out, boot_time(facts));
    out.end();
    return {};
}

// The texts of /proc/self that say where our control group is.
struct CgroupTexts {
    std::string self;
    std::vector<Mount> mounts;
};

CgroupTexts cgroup_texts(const HostFacts& facts) {
    const Result<std::string> self = read_kernel_file(facts, "proc/self/cgroup");
    const Result<std::string> mounts = read_kernel_file(facts, "proc/self/mountinfo");
    if (!self || !mounts) return {};
    return {*self, parse_mountinfo(*mounts)};
}

// A kernel without PSI has no such files, and one where it is off answers with an error.
void put_pressure(RowBuilder& out, const HostFacts& facts, std::string_view scope,
                  const std::string& path, std::string_view resource, const Figure& since) {
    const Result<std::string> text = read_kernel_file(facts, path);
    if (!text) return;
    const PressureFigures figures = parse_pressure(*text);
    if (!figures.some_us && !figures.full_us) return;
    out.begin();
    out.text(scope);
    out.text(resource);
    put(out, figures.some_us);
    put(out, figures.full_us);
    put(out, since);
    out.end();
}

Status read_pressure(const HostFacts& facts, RowBuilder& out) {
    const Figure since = boot_time(facts);
    const CgroupTexts texts = cgroup_texts(facts);
    const std::optional<CgroupHierarchy> group = find_cgroup(texts.self, texts.mounts, "");
    for (const std::string resource : {"cpu", "memory", "io", "irq"}) {
        put_pressure(out, facts, "host", "proc/pressure/" + resource, resource, since);
        if (!group) continue;
        // Since when a group counts, the kernel does not tell.
        const std::string path = group->folder() + "/" + resource + ".pressure";
        put_pressure(out, facts, "cgroup", path, resource, std::nullopt);
    }
    return {};
}

Status read_cgroup(const HostFacts& facts, RowBuilder& out) {
    const CgroupTexts texts = cgroup_texts(facts);
    for (const CgroupFigures& group : read_cgroups(facts.root, texts.self, texts.mounts)) {
        out.begin();
        out.integer(group.level);
        out.integer(group.version);
        put_text(out, group.path);
        for (const Figure& figure : {group.cpu_quota_us,       group.cpu_period_us,
                                     group.cpu_periods,        group.cpu_throttled_periods,
                                     group.cpu_throttled_us,   group.cpu_usage_us,
                                     group.cpu_user_us,        group.cpu_system_us,
                                     group.memory_limit,       group.memory_high,
                                     group.memory_used,        group.memory_peak,
                                     group.memory_anonymous,   group.memory_file,
                                     group.memory_shared,      group.memory_kernel,
                                     group.swap_limit,         group.swap_used,
                                     group.memory_high_events, group.memory_limit_events,
                                     group.oom_events,         group.oom_kills,
                                     group.io_read_bytes,      group.io_write_bytes,
                                     group.io_read_ops,        group.io_write_ops,
                                     group.tasks_limit,        group.tasks_used}) {
            put(out, figure);
        }
        out.end();
    }
    return {};
}

Status read_load(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/loadavg");
    if (!text) return text.error();
    const Result<LoadAverages> averages = parse_loadavg(*text);
    if (!averages) return averages.error();
    ProcStat stat;
    const Result<std::string> stat_text = read_kernel_file(facts, "proc/stat");
    if (stat_text) {
        Result<ProcStat> parsed = parse_proc_stat(*stat_text);
        if (parsed) stat = std::move(*parsed);
    }
    out.begin();
    for (const std::optional<double>& load : averages->loads) {
        if (load) {
            out.real(*load);
        } else {
            out.null();
        }
    }
    put(out, averages->tasks_runnable);
    put(out, averages->tasks_total);
    put(out, stat.tasks_blocked);
    put(out, stat.context_switches);
    put(out, stat.forks);
    put(out, stat.interrupts);
    put(out, scaled(stat.boot_time, kMicroseconds));
    out.end();
    return {};
}

// Whether the device is a partition, as /sys says; null where it says nothing.
std::optional<bool> is_partition(const HostFacts& facts, std::string_view device) {
    std::string name(device);
    // The one character of a name that no file can have.
    std::replace(name.begin(), name.end(), '/', '!');
    if (name == "." || name == "..") return std::nullopt;
    const std::string folder = facts.root + "/sys/class/block/" + name;
    struct stat ignored {};
    if (stat(folder.c_str(), &ignored) != 0) return std::nullopt;
    return stat((folder + "/partition").c_str(), &ignored) == 0;
}

Status read_disk_io(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/diskstats");
    if (!text) return text.error();
    const Figure since = boot_time(facts);
    for (const DiskFigures& disk : parse_diskstats(*text)) {
        if (out.count() >= kRowLimit) break;
        if (!disk.ever_used()) continue;
        out.begin();
        put_text(out, disk.device);
        out.integer(disk.major);
        out.integer(disk.minor);
        const std::optional<bool> partition = is_partition(facts, disk.device);
        if (partition) {
            out.boolean(*partition);
        } else {
            out.null();
        }
        put(out, disk.figures);
        put(out, since);
        out.end();
    }
    return {};
}

Status read_network(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/net/dev");
    if (!text) return text.error();
    const Figure since = boot_time(facts);
    for (const InterfaceFigures& interface : parse_net_dev(*text)) {
        if (out.count() >= kRowLimit) break;
        out.begin();
        put_text(out, interface.name);
        put(out, interface.figures);
        put(out, since);
        out.end();
    }
    return {};
}

Status read_processes(const HostFacts& facts, RowBuilder& out) {
    return facts.processes != nullptr ? facts.processes->read(facts.root, out) : Status();
}

Status read_disk_usage(const HostFacts& facts, RowBuilder& out) {
    const Result<std::string> text = read_kernel_file(facts, "proc/self/mountinfo");
    if (!text) return text.error();
    const auto filesystems = read_filesystems(paths_in_use(facts), parse_mountinfo(*text));
    if (!filesystems) return filesystems.error();
    for (const FilesystemFigures& filesystem : *filesystems) {
        out.begin();
        put_text(out, filesystem.mount.point);
        put_text(out, filesystem.mount.device);
        put_text(out, filesystem.mount.type);
        put_text(out, filesystem.uses);
        out.boolean(filesystem.mount.read_only);
        put(out, filesystem.total_bytes);
        put(out, filesystem.free_bytes);
        put(out, filesystem.available_bytes);
        put(out, filesystem.inodes_total);
        put(out, filesystem.inodes_free);
        put(out, filesystem.inodes_available);
        out.end();
    }
    return {};
}

Status read_members(const HostFacts& facts, RowBuilder& out) {
    const auto found = read_multixact_members(facts.data_directory, facts.server_version_num);
    if (!found) return found.error();
    out.begin();
    for (const int64_t number :
         {found->files, found->bytes, found->members, found->low, found->high})
        out.integer(number);
    put(out, found->limit);
    out.end();
    return {};
}

struct Reader {
    std::string_view plugin;
    std::string_view name;
    Status (*read)(const HostFacts&, RowBuilder&);
};

[[maybe_unused]] constexpr Reader kReaders[] = {
    {"sysstat", "cpu", read_cpu},
    {"sysstat", "memory", read_memory},
    {"sysstat", "paging", read_paging},
    {"sysstat", "pressure", read_pressure},
    {"sysstat", "cgroup", read_cgroup},
    {"sysstat", "load", read_load},
    {"sysstat", "disk_io", read_disk_io},
    {"sysstat", "network", read_network},
    {"sysstat", "processes", read_processes},
    {"disk_usage", "filesystems", read_disk_usage},
    {"pg_stats", "multixact_members", read_members},
};

}  // namespace

Status read_host_rowset(const Rowset& rowset, const HostFacts& facts, RowBuilder& out) {
#ifdef __linux__
    const auto reader = std::find_if(
        std::begin(kReaders), std::end(kReaders),
        [&](const Reader& r) { return r.plugin == rowset.plugin && r.name == rowset.name; });
    if (reader == std::end(kReaders)) {
        return make_error(sqlstate::kInternal, "rowset \"" + std::string(rowset.plugin) + "." +
                                                   std::string(rowset.name) +
                                                   "\" is not the host's");
    }
    return reader->read(facts, out);
#else
    (void)rowset, (void)facts, (void)out;
    return {};
#endif
}

}  // namespace pganalytics::host

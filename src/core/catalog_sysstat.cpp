// Plugin sysstat: the host as the kernel tells it in /proc, read by the program (src/host). Values
// are the kernel's own, counted since boot_time and never converted to rates or percentages.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Column read_key(std::string_view name, std::string_view help) {
    return key(name, kText, "", help);
}
constexpr Column ticks(std::string_view name, std::string_view help) {
    return counter(name, "ticks", "", help);
}
constexpr Column count(std::string_view name, std::string_view unit, std::string_view help) {
    return counter(name, unit, "", help);
}
constexpr Column bytes(std::string_view name, std::string_view help) {
    return gauge(name, kInt64, "bytes", "", help);
}
constexpr Column number(std::string_view name, std::string_view unit, std::string_view help) {
    return gauge(name, kInt64, unit, "", help);
}

constexpr Column kBootTime = moment("boot_time", "", "since when the counters count");

constexpr Column kCpu[] = {
    read_key("cpu", "\"all\", or the number of one processor"),
    ticks("user_ticks", "in user mode, guest_ticks included"),
    ticks("nice_ticks", "in user mode at low priority, guest_nice_ticks included"),
    ticks("system_ticks", "in the kernel"),
    ticks("idle_ticks", "idle"),
    ticks("iowait_ticks", "idle while a task waited for a disk"),
    ticks("irq_ticks", "in interrupts"),
    ticks("softirq_ticks", "in soft interrupts"),
    ticks("steal_ticks", "taken by the hypervisor for others"),
    ticks("guest_ticks", "running guests"),
    ticks("guest_nice_ticks", "running guests at low priority"),
    number("ticks_per_second", "ticks", "ticks in one second of one processor"),
    kBootTime,
};

constexpr Column kMemory[] = {
    bytes("total_bytes", "MemTotal: usable memory"),
    bytes("free_bytes", "MemFree: memory used for nothing"),
    bytes("available_bytes", "MemAvailable: what can be had without swapping, estimated"),
    bytes("buffers_bytes", "Buffers: caches of block devices"),
    bytes("cached_bytes", "Cached: page cache, shared memory included"),
    bytes("swap_cached_bytes", "SwapCached: swapped out once, and in memory"),
    bytes("active_bytes", "Active: used lately"),
    bytes("inactive_bytes", "Inactive: not used lately"),
    bytes("dirty_bytes", "Dirty: waiting to be written to disk"),
    bytes("writeback_bytes", "Writeback: being written to disk"),
    bytes("anonymous_bytes", "AnonPages: memory of processes"),
    bytes("mapped_bytes", "Mapped: files mapped into processes"),
    bytes("shared_bytes", "Shmem: shared memory and tmpfs"),
    bytes("slab_bytes", "Slab: the kernel's own structures"),
    bytes("slab_reclaimable_bytes", "SReclaimable: the part of them that can be freed"),
    bytes("kernel_stack_bytes", "KernelStack: stacks of tasks"),
    bytes("page_tables_bytes", "PageTables: page tables"),
    bytes("commit_limit_bytes", "CommitLimit: what may be promised under strict accounting"),
    bytes("committed_bytes", "Committed_AS: what was promised to processes"),
    bytes("swap_total_bytes", "SwapTotal: swap space"),
    bytes("swap_free_bytes", "SwapFree: unused swap space"),
    number("huge_pages_total", "pages", "HugePages_Total: pool of huge pages"),
    number("huge_pages_free", "pages", "HugePages_Free: not in use"),
    number("huge_pages_reserved", "pages", "HugePages_Rsvd: promised, not yet in use"),
    number("huge_pages_surplus", "pages", "HugePages_Surp: above the pool's size"),
    bytes("huge_page_bytes", "Hugepagesize: size of one"),
    bytes("active_anonymous_bytes", "Active(anon): of processes, used lately"),
    bytes("inactive_anonymous_bytes", "Inactive(anon): of processes, not used lately"),
    bytes("active_file_bytes", "Active(file): page cache used lately"),
    bytes("inactive_file_bytes", "Inactive(file): page cache not used lately"),
    bytes("unevictable_bytes", "Unevictable: can't be freed"),
    bytes("locked_bytes", "Mlocked: locked by processes"),
    bytes("anonymous_huge_bytes", "AnonHugePages: of processes, in transparent huge pages"),
    bytes("shared_huge_bytes", "ShmemHugePages: shared, in transparent huge pages"),
    bytes("file_huge_bytes", "FileHugePages: page cache in transparent huge pages"),
    bytes("huge_pool_bytes", "Hugetlb: pools of huge pages of all sizes"),
    bytes("vmalloc_used_bytes", "VmallocUsed: the kernel's large blocks"),
    bytes("per_cpu_bytes", "Percpu: the kernel's blocks for each processor"),
    bytes("secondary_page_tables_bytes", "SecPageTables: page tables of virtual machines"),
    bytes("zswap_bytes", "Zswap: compressed swap in memory, its size"),
    bytes("zswapped_bytes", "Zswapped: what is in it, before compression"),
    bytes("corrupted_bytes", "HardwareCorrupted: taken out of use"),
};

constexpr Column kPaging[] = {
    count("read_bytes", "bytes", "pgpgin: read from disks by the kernel"),
    count("written_bytes", "bytes", "pgpgout: written to disks by the kernel"),
    count("swapped_in", "pages", "pswpin: read from swap"),
    count("swapped_out", "pages", "pswpout: written to swap"),
    count("faults", "faults", "pgfault: pages mapped when touched"),
    count("major_faults", "faults", "pgmajfault: those that waited for a disk"),
    count("allocation_stalls", "stalls", "allocstall: allocations that had to free memory first"),
    count("scanned_background", "pages", "pgscan_kswapd: looked at by the kernel's own thread"),
    count("scanned_direct", "pages", "pgscan_direct: looked at by who needed memory"),
    count("freed_background", "pages", "pgsteal_kswapd: freed by the kernel's own thread"),
    count("freed_direct", "pages", "pgsteal_direct: freed by who needed memory"),
    count("compaction_stalls", "stalls", "compact_stall: waits for a large block to be made"),
    count("huge_faults", "faults", "thp_fault_alloc: transparent huge pages given"),
    count("huge_fallbacks", "faults", "thp_fault_fallback: not given for want of a large block"),
    count("oom_kills", "processes", "oom_kill: killed because there was no memory (Linux 4.13)"),
    kBootTime,
};

constexpr Column kPressure[] = {
    read_key("scope", "\"host\", or \"cgroup\": the control group that this server runs in"),
    read_key("resource", "\"cpu\", \"memory\", \"io\" or \"irq\""),
    count("some_us", "microseconds", "time in which at least one task waited for it"),
    count("full_us", "microseconds", "time in which all tasks that could run waited for it"),
    kBootTime,
};

constexpr Column kCgroup[] = {
    key("level", kInt64, "", "0: the control group that this server runs in; 1: the one above it"),
    label("version", kInt64, "", "1 or 2: of the kernel's interface"),
    label("path", kText, "", "of the group within its hierarchy (version 1: that of memory)"),
    number("cpu_quota_us", "microseconds", "processor time in a period; null: no limit"),
    number("cpu_period_us", "microseconds", "length of a period"),
    count("cpu_periods", "periods", "periods in which the group ran"),
    count("cpu_throttled_periods", "periods", "those in which it used up its quota"),
    count("cpu_throttled_us", "microseconds", "time for which it was stopped for that"),
    count("cpu_usage_us", "microseconds", "processor time used"),
    count("cpu_user_us", "microseconds", "of it in user mode"),
    count("cpu_system_us", "microseconds", "of it in the kernel"),
    bytes("memory_limit_bytes", "above it processes are killed; null: no limit"),
    bytes("memory_high_bytes", "above it the group is slowed down; null: no limit"),
    bytes("memory_used_bytes", "used, page cache included"),
    bytes("memory_peak_bytes", "the most there was"),
    bytes("memory_anonymous_bytes", "of processes"),
    bytes("memory_file_bytes", "page cache, shared memory included"),
    bytes("memory_shared_bytes", "of it shared memory and tmpfs"),
    bytes("memory_kernel_bytes", "of the kernel for the group"),
    bytes("swap_limit_bytes", "swap it may use; null: no limit"),
    bytes("swap_used_bytes", "swap it uses"),
    count("memory_high_events", "events", "slowed down for memory"),
    count("memory_limit_events", "events", "at the limit of memory"),
    count("oom_events", "events", "no memory to be had within the limit"),
    count("oom_kills", "processes", "killed for that"),
    count("io_read_bytes", "bytes", "read from all devices"),
    count("io_write_bytes", "bytes", "written to all devices"),
    count("io_read_ops", "operations", "reads"),
    count("io_write_ops", "operations", "writes"),
    number("tasks_limit", "tasks", "processes and threads it may have; null: no limit"),
    number("tasks_used", "tasks", "processes and threads it has"),
};

constexpr Column kLoad[] = {
    gauge("load_1m", kFloat64, "tasks", "", "load average of one minute"),
    gauge("load_5m", kFloat64, "tasks", "", "load average of five minutes"),
    gauge("load_15m", kFloat64, "tasks", "", "load average of fifteen minutes"),
    number("tasks_runnable", "tasks", "tasks that run or want to"),
    number("tasks_total", "tasks", "tasks there are"),
    number("tasks_blocked", "tasks", "tasks that wait for a disk"),
    count("context_switches", "switches", "changes from one task to another"),
    count("forks", "tasks", "tasks made"),
    count("interrupts", "interrupts", "interrupts served"),
    kBootTime,
};

constexpr Column kDiskIo[] = {
    read_key("device", "name of the block device"),
    label("major", kInt64, "", "its major number"),
    label("minor", kInt64, "", "its minor number"),
    label("is_partition", kBool, "",
          "whether it is a part of another device, whose counters hold its own; null: unknown"),
    count("read_ops", "operations", "reads completed"),
    count("reads_merged", "operations", "reads merged with others before"),
    count("read_sectors", "sectors", "sectors of 512 bytes read"),
    count("read_time_ms", "milliseconds", "time of all reads together"),
    count("write_ops", "operations", "writes completed"),
    count("writes_merged", "operations", "writes merged with others before"),
    count("write_sectors", "sectors", "sectors of 512 bytes written"),
    count("write_time_ms", "milliseconds", "time of all writes together"),
    number("ios_in_progress", "operations", "operations given to the device and not completed"),
    count("io_time_ms", "milliseconds", "time with at least one operation in progress"),
    count("weighted_io_time_ms", "milliseconds", "time of all operations together"),
    count("discard_ops", "operations", "discards completed (Linux 4.18)"),
    count("discards_merged", "operations", "discards merged with others before (Linux 4.18)"),
    count("discard_sectors", "sectors", "sectors of 512 bytes discarded (Linux 4.18)"),
    count("discard_time_ms", "milliseconds", "time of all discards together (Linux 4.18)"),
    count("flush_ops", "operations", "flushes completed (Linux 5.5)"),
    count("flush_time_ms", "milliseconds", "time of all flushes together (Linux 5.5)"),
    kBootTime,
};

constexpr Column kNetwork[] = {
    read_key("interface", "name of the interface"),
    count("rx_bytes", "bytes", "received"),
    count("rx_packets", "packets", "received"),
    count("rx_errors", "packets", "received with an error"),
    count("rx_dropped", "packets", "received and dropped"),
    count("rx_fifo_errors", "packets", "lost because a buffer was full"),
    count("rx_frame_errors", "packets", "received with a framing error"),
    count("rx_compressed", "packets", "received compressed"),
    count("rx_multicast", "packets", "received by multicast"),
    count("tx_bytes", "bytes", "sent"),
    count("tx_packets", "packets", "sent"),
    count("tx_errors", "packets", "not sent because of an error"),
    count("tx_dropped", "packets", "dropped instead of sent"),
    count("tx_fifo_errors", "packets", "not sent because a buffer failed"),
    count("tx_collisions", "packets", "collisions"),
    count("tx_carrier_errors", "packets", "not sent because the carrier was lost"),
    count("tx_compressed", "packets", "sent compressed"),
    kBootTime,
};

constexpr Column kProcesses[] = {
    read_key("backend_type",
             "as in pg_stat_activity, by the process title; \"background worker\": those of "
             "extensions; \"postmaster\""),
    number("processes", "processes", "that there are"),
    count("user_us", "microseconds", "processor time in user mode"),
    count("system_us", "microseconds", "processor time in the kernel"),
    count("minor_faults", "faults", "pages mapped when touched"),
    count("major_faults", "faults", "those that waited for a disk"),
    count("voluntary_switches", "switches", "times that one gave up its processor to wait"),
    count("involuntary_switches", "switches", "times that its processor was taken away"),
    count("read_bytes", "bytes", "read from devices, not from the page cache"),
    count("write_bytes", "bytes", "written, when the page cache took them"),
    bytes("private_bytes", "memory of their own in RAM, without shared memory and files"),
    bytes("largest_private_bytes", "of that the most that one process has"),
    bytes("swap_bytes", "swapped out"),
    count("ended_user_us", "microseconds",
          "of the postmaster: user time of all processes that ended, also of those that no reading "
          "saw"),
    count("ended_system_us", "microseconds", "the same, time in the kernel"),
    moment("counted_since", "", "since when the other counters count: sums of what was read"),
};

constexpr Rowset kRowsets[] = {
    {"sysstat", "cpu", Scope::kHost, 0, {}, kCpu, "processors: time by what it was spent on"},
    {"sysstat", "memory", Scope::kHost, 0, {}, kMemory, "memory of the host"},
    {"sysstat", "paging", Scope::kHost, 0, {}, kPaging, "memory's traffic: faults, swap, reclaim"},
    {"sysstat",
     "pressure",
     Scope::kHost,
     0,
     {},
     kPressure,
     "time that tasks lost waiting for a resource (PSI); no rows where the kernel does not tell"},
    {"sysstat",
     "cgroup",
     Scope::kHost,
     0,
     {},
     kCgroup,
     "limits, use and throttling of the control group that this server runs in, and of those "
     "above"},
    {"sysstat",
     "processes",
     Scope::kHost,
     0,
     {},
     kProcesses,
     "PostgreSQL's own processes by kind. A process that ends is counted up to the last reading"},
    {"sysstat", "load", Scope::kHost, 0, {}, kLoad, "load averages, tasks, switches"},
    {"sysstat",
     "disk_io",
     Scope::kHost,
     0,
     {},
     kDiskIo,
     "block devices and their partitions; those never used are left out"},
    {"sysstat",
     "network",
     Scope::kHost,
     0,
     {},
     kNetwork,
     "network interfaces of the server's network namespace"},
};

}  // namespace

std::span<const Rowset> sysstat() { return kRowsets; }

}  // namespace pganalytics::parts

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

constexpr Rowset kRowsets[] = {
    {"sysstat", "cpu", Scope::kHost, 0, {}, kCpu, "processors: time by what it was spent on"},
    {"sysstat", "memory", Scope::kHost, 0, {}, kMemory, "memory of the host"},
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

// /proc/meminfo: memory of the host. Runs in the program; pure.
#pragma once

#include <array>
#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

// The kernel's names, in the order of the columns of sysstat.memory.
inline constexpr std::array<std::string_view, 42> kMemoryNames = {
    "MemTotal",     "MemFree",          "MemAvailable",   "Buffers",        "Cached",
    "SwapCached",   "Active",           "Inactive",       "Dirty",          "Writeback",
    "AnonPages",    "Mapped",           "Shmem",          "Slab",           "SReclaimable",
    "KernelStack",  "PageTables",       "CommitLimit",    "Committed_AS",   "SwapTotal",
    "SwapFree",     "HugePages_Total",  "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp",
    "Hugepagesize", "Active(anon)",     "Inactive(anon)", "Active(file)",   "Inactive(file)",
    "Unevictable",  "Mlocked",          "AnonHugePages",  "ShmemHugePages", "FileHugePages",
    "Hugetlb",      "VmallocUsed",      "Percpu",         "SecPageTables",  "Zswap",
    "Zswapped",     "HardwareCorrupted"};

using MemoryFigures = std::array<Figure, kMemoryNames.size()>;

// Sizes in bytes, numbers of huge pages as they are. An error where there is no MemTotal.
Result<MemoryFigures> parse_meminfo(std::string_view text);

}  // namespace pganalytics::host

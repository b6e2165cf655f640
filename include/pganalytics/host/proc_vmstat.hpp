// /proc/vmstat: memory's traffic. Runs in the program; pure.
#pragma once

#include <array>
#include <string_view>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

// The kernel's names, in the order of the columns of sysstat.paging. A counter that the kernel
// keeps by zone (allocstall_normal, pgscan_direct_dma before 4.8) is the sum of those.
inline constexpr std::array<std::string_view, 15> kPagingNames = {
    "pgpgin",          "pgpgout",
    "pswpin",          "pswpout",
    "pgfault",         "pgmajfault",
    "allocstall",      "pgscan_kswapd",
    "pgscan_direct",   "pgsteal_kswapd",
    "pgsteal_direct",  "compact_stall",
    "thp_fault_alloc", "thp_fault_fallback",
    "oom_kill"};

using PagingFigures = std::array<Figure, kPagingNames.size()>;

// In bytes what the kernel counts in kilobytes (pgpgin, pgpgout), else as it counts. An error where
// there is no pgpgin.
Result<PagingFigures> parse_vmstat(std::string_view text);

}  // namespace pganalytics::host

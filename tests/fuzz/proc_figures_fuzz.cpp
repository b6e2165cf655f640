// Files of /proc with figures: a container's runtime may put anything there.
#include <algorithm>
#include <array>

#include "check.hpp"
#include "pganalytics/host/backend_title.hpp"
#include "pganalytics/host/pressure.hpp"
#include "pganalytics/host/proc_diskstats.hpp"
#include "pganalytics/host/proc_meminfo.hpp"
#include "pganalytics/host/proc_net_dev.hpp"
#include "pganalytics/host/proc_pid.hpp"
#include "pganalytics/host/proc_stat.hpp"
#include "pganalytics/host/proc_vmstat.hpp"

namespace pganalytics::host {

namespace {

void check_figures(std::span<const Figure> figures) {
    for (const Figure& figure : figures) FUZZ_CHECK(!figure || *figure >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text = fuzz_text(data, size);
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    if (const auto stat = parse_proc_stat(text)) {
        FUZZ_CHECK(!stat->cpus.empty() && stat->cpus.size() <= lines);
        for (const ProcStat::Cpu& cpu : stat->cpus) {
            FUZZ_CHECK(!cpu.name.empty());
            check_figures(cpu.ticks);
        }
    }
    if (const auto averages = parse_loadavg(text)) {
        for (const auto& load : averages->loads) FUZZ_CHECK(!load || *load >= 0);
    }
    if (const auto memory = parse_meminfo(text)) check_figures(*memory);
    if (const auto paging = parse_vmstat(text)) check_figures(*paging);
    const PressureFigures pressure = parse_pressure(text);
    check_figures(std::array{pressure.some_us, pressure.full_us});
    if (const auto stat = parse_pid_stat(text)) {
        check_figures(std::array{stat->start_ticks, stat->user_ticks, stat->children_system_ticks});
    }
    check_figures(
        std::array{parse_pid_status(text).anonymous_bytes, parse_pid_io(text).read_bytes});
    FUZZ_CHECK(backend_type(text).size() < 64);
    const auto disks = parse_diskstats(text);
    FUZZ_CHECK(disks.size() <= lines);
    for (const DiskFigures& disk : disks) {
        FUZZ_CHECK(!disk.device.empty());
        check_figures(disk.figures);
    }
    const auto interfaces = parse_net_dev(text);
    FUZZ_CHECK(interfaces.size() <= lines);
    for (const InterfaceFigures& interface : interfaces) {
        FUZZ_CHECK(!interface.name.empty());
        check_figures(interface.figures);
    }
    return 0;
}

}  // namespace pganalytics::host

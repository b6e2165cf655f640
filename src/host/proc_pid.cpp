// /proc/PID/stat, status, io. Runs in the program.
#include "pganalytics/host/proc_pid.hpp"

#include <array>

namespace pganalytics::host {

namespace {

constexpr int64_t kKilo = 1024;

}  // namespace

// pid (name) state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime
// cutime cstime priority nice threads itrealvalue starttime
Result<PidStat> parse_pid_stat(std::string_view text) {
    const size_t name_end = text.rfind(')');
    const Error nonsense = make_error(sqlstate::kInvalidText, "no process in \"/proc/PID/stat\"");
    if (name_end == std::string_view::npos) return nonsense;
    Words words(text.substr(name_end + 1, text.find('\n', name_end) - name_end - 1));
    words.next();  // state
    std::array<Figure, 19> figures;
    words.figures(figures);
    if (!figures[0] || !figures[18]) return nonsense;
    PidStat stat;
    stat.parent = *figures[0];
    stat.minor_faults = figures[6];
    stat.major_faults = figures[8];
    stat.user_ticks = figures[10];
    stat.system_ticks = figures[11];
    stat.children_user_ticks = figures[12];
    stat.children_system_ticks = figures[13];
    stat.start_ticks = figures[18];
    return stat;
}

PidStatus parse_pid_status(std::string_view text) {
    PidStatus status;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view name = words.next();
        if (name == "RssAnon:") status.anonymous_bytes = scaled(words.figure(), kKilo);
        if (name == "VmSwap:") status.swap_bytes = scaled(words.figure(), kKilo);
        if (name == "voluntary_ctxt_switches:") status.voluntary_switches = words.figure();
        if (name == "nonvoluntary_ctxt_switches:") status.involuntary_switches = words.figure();
    }
    return status;
}

PidIo parse_pid_io(std::string_view text) {
    PidIo io;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view name = words.next();
        if (name == "read_bytes:") io.read_bytes = words.figure();
        if (name == "write_bytes:") io.write_bytes = words.figure();
    }
    return io;
}

}  // namespace pganalytics::host

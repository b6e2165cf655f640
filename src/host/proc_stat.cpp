// /proc/stat and /proc/loadavg. Runs in the program.
#include "pganalytics/host/proc_stat.hpp"

namespace pganalytics::host {

namespace {

// "cpu" is "all", "cpu12" is "12"; empty for any other word.
std::string_view cpu_name(std::string_view word) {
    if (!word.starts_with("cpu")) return {};
    word.remove_prefix(3);
    if (word.empty()) return "all";
    if (word.size() > 6 || word.find_first_not_of("0123456789") != std::string_view::npos) {
        return {};
    }
    return word;
}

}  // namespace

Result<ProcStat> parse_proc_stat(std::string_view text) {
    ProcStat stat;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view first = words.next();
        if (const std::string_view name = cpu_name(first); !name.empty()) {
            ProcStat::Cpu& cpu = stat.cpus.emplace_back();
            cpu.name = name;
            words.figures(cpu.ticks);
        } else if (first == "intr") {
            stat.interrupts = words.figure();
        } else if (first == "ctxt") {
            stat.context_switches = words.figure();
        } else if (first == "btime") {
            stat.boot_time = words.figure();
        } else if (first == "processes") {
            stat.forks = words.figure();
        } else if (first == "procs_blocked") {
            stat.tasks_blocked = words.figure();
        }
    }
    if (stat.cpus.empty()) {
        return make_error(sqlstate::kInvalidText, "no processors in \"/proc/stat\"");
    }
    return stat;
}

Result<LoadAverages> parse_loadavg(std::string_view text) {
    std::string_view line;
    if (!Lines(text).next(line)) {
        return make_error(sqlstate::kInvalidText, "no line in \"/proc/loadavg\"");
    }
    LoadAverages averages;
    Words words(line);
    for (std::optional<double>& load : averages.loads) load = to_real(words.next());
    const std::string_view tasks = words.next();
    const size_t slash = tasks.find('/');
    if (slash != std::string_view::npos) {
        averages.tasks_runnable = to_figure(tasks.substr(0, slash));
        averages.tasks_total = to_figure(tasks.substr(slash + 1));
    }
    if (!averages.loads[0]) {
        return make_error(sqlstate::kInvalidText, "no load average in \"/proc/loadavg\"");
    }
    return averages;
}

}  // namespace pganalytics::host

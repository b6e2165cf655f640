// PostgreSQL's own processes (see the header). Runs in `pganalytics ship`.
#include "pganalytics/host/server_processes.hpp"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "pganalytics/host/backend_title.hpp"
#include "pganalytics/host/figure_rows.hpp"
#include "pganalytics/host/files.hpp"

namespace pganalytics::host {

namespace {

constexpr size_t kFileLimit = 1 << 20;
constexpr size_t kProcessLimit = 50'000;
constexpr int64_t kSecond = 1'000'000;

Result<std::string> read_pid_file(const std::string& root, int64_t pid, const char* file) {
    return read_file(root + "/proc/" + std::to_string(pid) + "/" + file, kFileLimit);
}

Result<PidStat> read_stat(const std::string& root, int64_t pid) {
    const Result<std::string> text = read_pid_file(root, pid, "stat");
    if (!text) return text.error();
    return parse_pid_stat(*text);
}

std::vector<int64_t> children_of(const std::string& root, int64_t pid) {
    std::vector<int64_t> children;
    const std::string file = "task/" + std::to_string(pid) + "/children";
    const Result<std::string> text = read_pid_file(root, pid, file.c_str());
    if (!text) return children;
    Words words(*text);
    for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
        const Figure child = to_figure(word);
        if (child && children.size() < kProcessLimit) children.push_back(*child);
    }
    return children;
}

// A figure counts once it is there, and never backwards.
void advance(int64_t& total, int64_t& last, const Figure& now) {
    if (!now || *now <= last) return;
    total += *now - last;
    last = *now;
}

void add(Figure& sum, const Figure& more) {
    if (more) sum = sum.value_or(0) + *more;
}

int64_t microseconds(int64_t ticks) {
    static const int64_t per_second = std::max<int64_t>(1, sysconf(_SC_CLK_TCK));
    return ticks * (kSecond / per_second);
}

}  // namespace

void ServerProcesses::read_process(const std::string& root, int64_t pid) {
    const Result<PidStat> stat = read_stat(root, pid);
    if (!stat || !stat->start_ticks) return;  // gone
    Process& process = processes_[pid];
    if (process.kind.empty() || process.start_ticks != *stat->start_ticks) {
        process = {};
        process.start_ticks = *stat->start_ticks;
    }
    if (process.kind.empty() && pid == postmaster_) process.kind = "postmaster";
    if (process.kind.empty()) {
        // Until a process has its own title it has the postmaster's: it waits for the next reading.
        const Result<std::string> title = read_pid_file(root, pid, "cmdline");
        process.kind = title ? backend_type(*title) : std::string();
        if (process.kind.empty()) return;
    }
    process.seen = true;
    const Result<std::string> status_text = read_pid_file(root, pid, "status");
    const PidStatus status = status_text ? parse_pid_status(*status_text) : PidStatus();
    const Result<std::string> io_text = read_io_ ? read_io_(pid) : read_pid_file(root, pid, "io");
    const PidIo io = io_text ? parse_pid_io(*io_text) : PidIo();
    Kind& kind = kinds_[process.kind];
    Counters& last = process.counters;
    Counters& total = kind.counters;
    advance(total.user_ticks, last.user_ticks, stat->user_ticks);
    advance(total.system_ticks, last.system_ticks, stat->system_ticks);
    advance(total.minor_faults, last.minor_faults, stat->minor_faults);
    advance(total.major_faults, last.major_faults, stat->major_faults);
    advance(total.voluntary_switches, last.voluntary_switches, status.voluntary_switches);
    advance(total.involuntary_switches, last.involuntary_switches, status.involuntary_switches);
    advance(total.read_bytes, last.read_bytes, io.read_bytes);
    advance(total.write_bytes, last.write_bytes, io.write_bytes);
    ++kind.processes;
    add(kind.anonymous_bytes, status.anonymous_bytes);
    add(kind.swap_bytes, status.swap_bytes);
    kind.largest_bytes = std::max(kind.largest_bytes, status.anonymous_bytes);
    if (pid != postmaster_) return;
    kind.children_user_ticks = stat->children_user_ticks;
    kind.children_system_ticks = stat->children_system_ticks;
}

void ServerProcesses::put(const std::string& name, const Kind& kind, RowBuilder& out) const {
    out.begin();
    out.text(name);
    out.integer(kind.processes);
    out.integer(microseconds(kind.counters.user_ticks));
    out.integer(microseconds(kind.counters.system_ticks));
    out.integer(kind.counters.minor_faults);
    out.integer(kind.counters.major_faults);
    out.integer(kind.counters.voluntary_switches);
    out.integer(kind.counters.involuntary_switches);
    out.integer(kind.counters.read_bytes);
    out.integer(kind.counters.write_bytes);
    host::put(out, kind.anonymous_bytes);
    host::put(out, kind.largest_bytes);
    host::put(out, kind.swap_bytes);
    for (const Figure& ticks : {kind.children_user_ticks, kind.children_system_ticks})
        host::put(out, ticks ? Figure(microseconds(*ticks)) : Figure());
    out.integer(since_);
    out.end();
}

Status ServerProcesses::read(const std::string& root, RowBuilder& out) {
    if (postmaster_ == 0) {
        const Result<PidStat> worker = read_stat(root, getppid());
        if (!worker) return worker.error();
        postmaster_ = worker->parent;
    }
    for (auto& [name, kind] : kinds_) {
        const Counters counters = kind.counters;
        kind = {};
        kind.counters = counters;
    }
    for (auto& [pid, process] : processes_) process.seen = false;
    for (const int64_t child : children_of(root, postmaster_)) read_process(root, child);
    const bool is_postmaster = std::any_of(processes_.begin(), processes_.end(),
                                           [](const auto& one) { return one.second.seen; });
    if (is_postmaster) read_process(root, postmaster_);
    std::erase_if(processes_, [](const auto& entry) { return !entry.second.seen; });
    if (!is_postmaster) return {};
    for (const auto& [name, kind] : kinds_) put(name, kind, out);
    return {};
}

}  // namespace pganalytics::host

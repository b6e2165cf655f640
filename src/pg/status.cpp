// pganalytics_status(): what runs, what it costs, what is wrong and what to do. The workers' own
// figures come from shared memory, also when the program is dead. Runs in sessions.
#include <fcntl.h>
#include <unistd.h>

#include "pganalytics/pg/ask.hpp"
#include "pganalytics/pg/functions.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/program.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/status_rows.hpp"

namespace pganalytics::pg {

namespace {

constexpr const char* kCollector = "collector";
constexpr const char* kVisitors = "visitors";
constexpr const char* kProgram = "program";
constexpr const char* kOwn = "own_rowset";
constexpr int kProgramMs = 2000;

// The running program's, from the kernel: nanoseconds first in the line. 0 where it is gone.
uint64_t running_cpu_us(pid_t pid) {
    char path[64];
    char text[128] = {};
    std::snprintf(path, sizeof path, "/proc/%d/schedstat", static_cast<int>(pid));
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    const ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    return count > 0 ? std::strtoull(text, nullptr, 10) / 1000 : 0;
}

const char* state_name(uint8_t state) {
    switch (static_cast<Program::State>(state)) {
        case Program::State::kIdle:
            return "not started";
        case Program::State::kStarting:
            return "starting";
        case Program::State::kRunning:
            return "running";
        case Program::State::kEnding:
            return "ending";
        case Program::State::kWaiting:
            return "waiting to be started again";
        case Program::State::kMismatched:
            return "other version";
    }
    return "";
}

const char* text_or_null(const char* text) { return text[0] != '\0' ? text : nullptr; }

// --- collector

struct Snapshot {
    pid_t pid;
    uint64_t generation;
    CollectorFigures figures;
};

Snapshot take_snapshot() {
    CollectorShared& shared = shared_state()->collector;
    const SpinLock lock(shared.mutex);
    return {shared.pid, shared.generation, shared.figures};
}

void put_collector_state(ResultRows* result, const Snapshot& snapshot) {
    const char* state = "running";
    const char* note = nullptr;
    if (snapshot.pid == 0) {
        state = "not running";
        note = "It starts by itself, after an error within 5 s; the server's log has the reason.";
    } else if (!settings().enabled) {
        state = "off";
        note = "Set pganalytics.enabled to on and reload the configuration to collect.";
    }
    put_status(result, kCollector, "state", state, nullptr, note);
    if (snapshot.pid == 0) return;
    put_status_number(result, kCollector, "pid", static_cast<uint64_t>(snapshot.pid));
    put_status_number(result, kCollector, "starts", snapshot.generation, "times");
}

void put_cycles(ResultRows* result, const CollectorFigures& figures) {
    put_status_time(result, kCollector, "started_at", figures.started_at);
    put_status_number(result, kCollector, "cycles", figures.cycles, "cycles");
    put_status_number(result, kCollector, "cycles_skipped", figures.cycles_late, "cycles",
                      figures.cycles_late > 0
                          ? "A cycle, or a wait for the program, took longer than collect_interval."
                          : nullptr);
    put_status_time(result, kCollector, "last_cycle_started", figures.last_cycle_started);
    put_status_time(result, kCollector, "last_cycle_ended", figures.last_cycle_ended);
    put_status_number(result, kCollector, "last_cycle_time",
                      static_cast<uint64_t>(figures.last_cycle_us / 1000), "milliseconds");
    put_status_number(result, kCollector, "rows", figures.rows, "rows");
    put_status_number(result, kCollector, "bytes", figures.bytes, "bytes");
    put_status_number(result, kCollector, "rowsets_read", figures.rowsets_read, "rowsets");
    put_status_number(result, kCollector, "rowsets_failed", figures.rowsets_failed, "rowsets",
                      text_or_null(figures.last_error));
    put_status_number(
        result, kCollector, "rowsets_dropped", figures.rowsets_dropped, "rowsets",
        figures.rowsets_dropped > 0 ? "The program ended while they were read." : nullptr);
    put_status_number(result, kCollector, "cpu_time", figures.worker_cpu_us / 1000, "milliseconds");
}

void put_databases(ResultRows* result, const CollectorFigures& figures) {
    put_status(result, kCollector, "database", text_or_null(figures.main_database), nullptr,
               "Here the figures of the whole server are read.");
    put_status_number(result, kCollector, "databases", figures.databases_known, "databases");
    put_status_number(
        result, kCollector, "databases_waiting", figures.databases_waiting, "databases",
        figures.databases_waiting > 0
            ? "They did not fit the last cycle's CPU budget and are first in the next."
            : nullptr);
    put_status_number(result, kCollector, "longest_wait",
                      static_cast<uint64_t>(figures.longest_wait_us / 1000), "milliseconds");
}

void put_passes(ResultRows* result, const CollectorFigures& figures) {
    put_status_number(result, kCollector, "databases_by_pass", figures.databases_by_pass,
                      "databases",
                      "A pass over the shared statistics stands in for visits to them.");
    put_status_number(result, kCollector, "passes", figures.passes, "passes");
    put_status_number(result, kCollector, "passes_failed", figures.passes_failed, "passes");
    put_status_number(result, kCollector, "pass_objects", figures.pass_objects, "objects",
                      "Tables, indexes and functions whose figures come from the pass.");
    put_status_number(result, kCollector, "pass_cpu_time", figures.pass_cpu_us / 1000,
                      "milliseconds", "Part of cpu_time.");
}

void put_visitors(ResultRows* result, const CollectorFigures& figures) {
    put_status_number(result, kVisitors, "visits", figures.visits, "visits");
    put_status_number(result, kVisitors, "visits_failed", figures.visits_failed, "visits",
                      figures.visits_failed > 0 ? text_or_null(figures.last_error) : nullptr);
    put_status_number(result, kVisitors, "visits_cut", figures.visits_cut, "visits",
                      figures.visits_cut > 0
                          ? "They left rowsets to the next cycle: visit_timeout or CPU budget."
                          : nullptr);
    put_status_number(result, kVisitors, "no_worker_slot", figures.no_worker_slot, "visits",
                      figures.no_worker_slot > 0
                          ? "No free background worker was left: raise max_worker_processes."
                          : nullptr);
    put_status_number(result, kVisitors, "cpu_time", figures.visitor_cpu_us / 1000, "milliseconds");
}

// --- users' own rowsets

void put_own(ResultRows* result, const CollectorFigures& figures) {
    if (figures.own_problem[0] != '\0')
        put_status(result, kOwn, "definitions", "not read", nullptr, figures.own_problem);
    for (uint32_t i = 0; i < figures.own_count; ++i) {
        const OwnFigure& own = figures.own[i];
        // PostgreSQL's messages may hold values of tables.
        const char* error = superuser() ? own.error : "(its message is for superusers)";
        const char* note = own.error[0] == '\0' ? nullptr : error;
        if (own.off > 0)
            note = psprintf(
                "Off in %u databases after three failures each, the last: %s Define it "
                "anew, or run pganalytics_reload(), to have it read again.",
                own.off, error);
        put_status(result, kOwn, own.name, own.state, nullptr, note);
    }
}

// --- program

const char* program_note(const CollectorFigures& figures) {
    switch (static_cast<Program::State>(figures.program_state)) {
        case Program::State::kRunning:
        case Program::State::kStarting:
            return nullptr;
        case Program::State::kMismatched:
            return "Restart the server to finish the upgrade.";
        default:
            return text_or_null(figures.program_failure);
    }
}

void put_program(ResultRows* result, const CollectorFigures& figures) {
    put_status(result, kProgram, "state", state_name(figures.program_state), nullptr,
               program_note(figures));
    uint64_t cpu_us = figures.program_cpu_us;
    if (figures.program_pid != 0) {
        put_status_number(result, kProgram, "pid", static_cast<uint64_t>(figures.program_pid));
        cpu_us += running_cpu_us(figures.program_pid);
    }
    put_status_number(result, kProgram, "starts", figures.program_starts, "times",
                      text_or_null(figures.program_failure));
    put_status_number(result, kProgram, "cpu_time", cpu_us / 1000, "milliseconds");
}

// What the program says of itself; why not, where it says nothing.
void put_programs_own(ResultRows* result) {
    FlatError error;
    StringInfo answer =
        ask_softly({.kind = RequestKind::kStatus, .timeout_ms = kProgramMs}, &error);
    if (answer == nullptr) {
        put_status(result, kProgram, "answer", "none", nullptr, pstrdup(error.message));
        return;
    }
    put_encoded_rows(result, {answer->data, static_cast<size_t>(answer->len)},
                     answer_types(RequestKind::kStatus));
}

}  // namespace

void put_status(ResultRows* result, const char* component, const char* name, const char* value,
                const char* unit, const char* note) {
    const char* values[] = {component, name, value, unit, note};
    put_text_row(result, values);
}

void put_status_number(ResultRows* result, const char* component, const char* name, uint64_t value,
                       const char* unit, const char* note) {
    char text[24];
    std::snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(value));
    put_status(result, component, name, text, unit, note);
}

void put_status_time(ResultRows* result, const char* component, const char* name, TimestampTz time,
                     const char* note) {
    const char* text = nullptr;
    if (time != 0) {
        text = DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(time)));
    }
    put_status(result, component, name, text, nullptr, note);
}

Datum sql_status(FunctionCallInfo call) {
    ResultRows result = begin_result(call);
    if (shared_state() == nullptr) {
        put_status(&result, kCollector, "state", "not loaded", nullptr,
                   "Add pganalytics to shared_preload_libraries and restart the server.");
        return Datum{0};
    }
    const Snapshot snapshot = take_snapshot();
    put_collector_state(&result, snapshot);
    put_cycles(&result, snapshot.figures);
    put_databases(&result, snapshot.figures);
    put_passes(&result, snapshot.figures);
    put_visitors(&result, snapshot.figures);
    put_own(&result, snapshot.figures);
    put_program(&result, snapshot.figures);
    put_programs_own(&result);
    put_hub_status(&result);
    return Datum{0};
}

}  // namespace pganalytics::pg

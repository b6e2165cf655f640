// The frame of a worker that stays (see the header). Runs in the collector and hub workers.
#include "pganalytics/pg/worker.hpp"

#include <unistd.h>

#include <ctime>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

// Wakes at least once in this time, whatever step() asks for: no harm comes of a missed event.
constexpr int kLongestWaitMs = 60000;
constexpr int kAfterExceptionMs = 1000;
constexpr int kEvents = 4;

// As pg_stat_activity names it.
uint32 main_wait_event = 0;

WaitEventSet* make_wait_set(int wait_fd) {
    main_wait_event = wait_event("PganalyticsMain");
    WaitEventSet* set = make_wait_event_set(kEvents);
    AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
    AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
    if (wait_fd >= 0) AddWaitEventToSet(set, WL_SOCKET_READABLE, wait_fd, nullptr, nullptr);
    return set;
}

// May raise ERROR (a cancel) or FATAL (SIGTERM).
void wait_once(WaitEventSet* set, int timeout_ms, Wakeup* wakeup) {
    WaitEvent events[kEvents];
    const int count = WaitEventSetWait(set, timeout_ms, events, kEvents, main_wait_event);
    for (int i = 0; i < count; ++i) {
        if ((events[i].events & WL_LATCH_SET) != 0) wakeup->latch = true;
        if ((events[i].events & WL_SOCKET_READABLE) != 0) wakeup->readable = true;
    }
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
        wakeup->reloaded = true;
    }
}

int64_t read_clock(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000;
}

}  // namespace

void start_worker_signals() {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
}

void report_worker(const char* application_name) {
    pgstat_report_appname(application_name);
    pgstat_report_activity(STATE_IDLE, nullptr);
}

int64_t monotonic_us() { return read_clock(CLOCK_MONOTONIC); }

uint64_t own_cpu_us() { return static_cast<uint64_t>(read_clock(CLOCK_THREAD_CPUTIME_ID)); }

bool log_program_line(std::string_view payload) {
    const auto line = decode<LogLine>(payload);
    if (!line) return false;
    const bool trouble = line->level == LogLevel::kWarning || line->level == LogLevel::kError;
    const int level = line->level == LogLevel::kDebug ? DEBUG1 : trouble ? WARNING : LOG;
    log_for_program(level, line->cause, line->message, line->detail, line->hint);
    return true;
}

std::string program_path() {
    const std::string_view server = my_exec_path;
    std::string path(server.substr(0, server.rfind('/')));
    path += "/pganalytics";
    if (access(path.c_str(), X_OK) == 0) return path;
    return PGANALYTICS_BINDIR "/pganalytics";
}

void run_worker(const WorkerLoop& loop) {
    WaitEventSet* const set = make_wait_set(loop.wait_fd);
    MemoryContext const context =
        AllocSetContextCreate(TopMemoryContext, "pganalytics worker", ALLOCSET_DEFAULT_SIZES);
    int timeout_ms = 0;
    while (true) {
        Wakeup wakeup;
        FlatError error;
        // What an error or a log line leaves behind goes each time around.
        MemoryContextReset(context);
        MemoryContextSwitchTo(context);
        if (!try_postgres([&] { wait_once(set, timeout_ms, &wakeup); }, error)) {
            recover_from_error();
            log_limited(LOG, loop.name, error.message);
        }
        timeout_ms = guarded_or(kAfterExceptionMs, [&] { return loop.step(wakeup); });
        if (timeout_ms == kBeginAnew) {
            log_limited(LOG, "begin anew", std::string(loop.name) + " ends, to begin anew");
            proc_exit(1);
        }
        timeout_ms = std::clamp(timeout_ms, 0, kLongestWaitMs);
    }
}

}  // namespace pganalytics::pg

// The worker "pganalytics collector" (see the header).
#include "pganalytics/pg/collector.hpp"

#include "pganalytics/core/frame.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/postgres.hpp"
#include "pganalytics/pg/program.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr size_t kQueueLimit = size_t{16} << 20;

// Made in run_collector(), before any PostgreSQL call that could raise; never destroyed.
Program* program = nullptr;

void on_exit(int, Datum) {
    if (program != nullptr) program->stop_now();
    const SpinLock lock(shared_state()->collector.mutex);
    shared_state()->collector.pid = 0;
    shared_state()->collector.latch = nullptr;
}

void publish_start() {
    const SpinLock lock(shared_state()->collector.mutex);
    CollectorShared& shared = shared_state()->collector;
    shared.pid = MyProcPid;
    shared.latch = MyLatch;
    ++shared.generation;
    shared.figures = CollectorFigures{};
    shared.figures.started_at = GetCurrentTimestamp();
}

void take_frames() {
    while (const auto frame = program->next()) {
        const bool good = frame->type == FrameType::kLog && log_program_line(frame->payload);
        if (!good) return program->reject("it sent a frame that is not understood");
    }
}

int step(const Wakeup&) {
    const int wait_ms = program->service(monotonic_us());
    take_frames();
    const std::string failure = program->take_failure();
    if (!failure.empty()) log_limited(LOG, "program ended", failure);
    return wait_ms;
}

}  // namespace

void run_collector() {
    start_worker_signals();
    BackgroundWorkerInitializeConnection(nullptr, nullptr, 0);
    report_worker("pganalytics collector");
    guarded([] {
        Program::Options options;
        options.path = program_path();
        options.subcommand = "ship";
        options.queue_limit = kQueueLimit;
        program = std::make_unique<Program>(std::move(options)).release();
    });
    before_shmem_exit(on_exit, 0);
    publish_start();
    run_worker({.name = "pganalytics collector", .wait_fd = program->wait_fd(), .step = step});
}

}  // namespace pganalytics::pg

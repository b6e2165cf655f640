// The worker "pganalytics collector" (see the header): the loop that ties together the program, the
// cycles and the requests of sessions.
#include "pganalytics/pg/collector.hpp"

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/pg/cycle.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/program.hpp"
#include "pganalytics/pg/requests.hpp"
#include "pganalytics/pg/self_enrolment.hpp"
#include "pganalytics/pg/server_facts.hpp"
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/worker.hpp"

namespace pganalytics::pg {

namespace {

constexpr size_t kQueueLimit = size_t{16} << 20;

class Collector {
  public:
    explicit Collector(Program::Options options)
        : program_(std::move(options)), cycle_(program_, briefing_, figures_) {
        figures_.started_at = GetCurrentTimestamp();
    }

    int wait_fd() const { return program_.wait_fd(); }
    int step(const Wakeup& wakeup);
    bool is_stuck() const { return cycle_.is_stuck(); }
    void stop() {
        cycle_.stop();
        program_.stop_now();
    }

  private:
    void recover();
    int serve_program(int64_t now_us);
    void fail_requests();
    void on_frame(const Frame& frame);
    void brief();
    void take_requests();
    void start_cycle(int64_t now_us);
    int64_t next_cycle_us() const;
    std::optional<Error> cannot_answer() const;
    void answer_or_refuse();
    void publish();

    Program program_;
    ShipBriefing briefing_;
    CollectorFigures figures_ = {};
    Cycle cycle_;
    Requests requests_;
    std::deque<Request> new_requests_;    // not yet given to the program
    std::deque<Request> cycle_requests_;  // each gets a cycle of its own
    std::string failure_;                 // of the program, the last
    int64_t cycle_due_us_ = 0;            // of the next scheduled one; 0: at once
    int interval_ms_ = 0;                 // the due time was counted with
    bool in_step_ = false;                // when one begins: an exception ended the last
};

// Made in run_collector(), before any PostgreSQL call that could raise; never destroyed.
Collector* collector = nullptr;

// --- the program

int Collector::serve_program(int64_t now_us) {
    // A server that is told not to collect starts nothing.
    if (!settings().enabled && program_.state() == Program::State::kIdle) return INT_MAX;
    const int wait_ms = program_.service(now_us);
    while (const auto frame = program_.next()) on_frame(*frame);
    if (std::string failure = program_.take_failure(); !failure.empty()) {
        log_limited(LOG, failure, failure);
        copy_text(figures_.program_failure, failure);
        failure_ = std::move(failure);
        cycle_.program_lost();
        fail_requests();
    }
    if (program_.take_started()) {
        briefing_.forget_sent();
        cycle_.forget_reads();
        cycle_due_us_ = 0;
    }
    return wait_ms;
}

void Collector::fail_requests() {
    requests_.fail_all(make_error(sqlstate::kObjectNotReady,
                                  "the program ended while the request was worked on", failure_,
                                  "Try again; it is started anew."));
    new_requests_.clear();
    cycle_requests_.clear();
}

// Of what it said, and of what it is told, something may be lost: it starts anew.
void Collector::recover() {
    program_.reject("the collector lost a part of what was said");
    briefing_.settings_reloaded();
    cycle_.program_lost();
    cycle_.forget_passes();
    fail_requests();
}

void Collector::on_frame(const Frame& frame) {
    switch (frame.type) {
        case FrameType::kLog:
            if (log_program_line(frame.payload)) return;
            break;
        case FrameType::kAnswerPart:
            if (const auto part = decode<AnswerPart>(frame.payload)) {
                return requests_.add_piece(part->number, part->bytes);
            }
            break;
        case FrameType::kAnswerEnd:
            if (const auto end = decode<AnswerEnd>(frame.payload)) return requests_.finish(*end);
            break;
        case FrameType::kNeedSelfEnrolment:
            return ask_own_hub();
        case FrameType::kNeedComplete:
            if (const auto need = decode<NeedComplete>(frame.payload)) {
                return cycle_.need_complete(need->databases);
            }
            break;
        default:
            break;
    }
    program_.reject("it sent a frame that is not understood");
}

// Settings, facts and requests go between rowsets only.
void Collector::brief() {
    if (program_.state() != Program::State::kRunning || cycle_.in_rowset()) return;
    for (std::string& frame : briefing_.due_frames()) program_.send(std::move(frame));
    if (auto enrolment = take_own_hubs_answer()) program_.send(make_frame(*enrolment));
    while (!new_requests_.empty()) {
        program_.send(make_frame(new_requests_.front()));
        new_requests_.pop_front();
    }
}

// --- requests

bool asks_for_cycle(RequestKind kind) {
    return kind == RequestKind::kCollectNow || kind == RequestKind::kPushNow ||
           kind == RequestKind::kPreview;
}

CycleOrder order_of(const Request& request) {
    CycleOrder order;
    order.request = request.number;
    switch (request.kind) {
        case RequestKind::kPushNow:
            order.purpose = CyclePurpose::kPushNow;
            break;
        case RequestKind::kPreview:
            order.purpose = CyclePurpose::kPreview;
            if (!request.arguments.empty()) order.plugin = request.arguments.front();
            break;
        default:
            order.purpose = CyclePurpose::kCollectNow;
            break;
    }
    return order;
}

// Why nothing can answer now; empty where something can, or soon will.
std::optional<Error> Collector::cannot_answer() const {
    if (!settings().enabled) {
        return make_error(sqlstate::kObjectNotReady, "pganalytics is switched off", {},
                          "Set pganalytics.enabled to on and reload the configuration.");
    }
    switch (program_.state()) {
        case Program::State::kWaiting:
        case Program::State::kEnding:
            return make_error(sqlstate::kObjectNotReady,
                              "program \"pganalytics ship\" does not run", failure_,
                              "The server's log has more; it is started again by itself.");
        case Program::State::kMismatched:
            return make_error(sqlstate::kObjectNotReady,
                              "program \"pganalytics ship\" does not run", failure_,
                              "Restart the server to finish the upgrade.");
        default:
            return std::nullopt;
    }
}

void Collector::take_requests() {
    for (Request& request : requests_.take_new()) {
        if (asks_for_cycle(request.kind)) cycle_requests_.push_back(request);
        new_requests_.push_back(std::move(request));
    }
    if (requests_.empty()) return;
    if (const auto error = cannot_answer()) {
        requests_.fail_all(*error);
        new_requests_.clear();
        cycle_requests_.clear();
    }
}

// --- cycles

void Collector::start_cycle(int64_t now_us) {
    const int64_t interval_us = int64_t{settings().collect_interval} * 1000;
    if (interval_ms_ != settings().collect_interval) {
        // Counted anew from the last cycle's time.
        if (interval_ms_ != 0 && cycle_due_us_ != 0) {
            cycle_due_us_ += interval_us - int64_t{interval_ms_} * 1000;
        }
        interval_ms_ = settings().collect_interval;
    }
    if (cycle_.active() || program_.state() != Program::State::kRunning || !settings().enabled) {
        return;
    }
    while (!cycle_requests_.empty()) {
        const Request request = std::move(cycle_requests_.front());
        cycle_requests_.pop_front();
        if (!requests_.is_waiting(request.number)) continue;
        if (cycle_.begin(order_of(request), now_us)) return;
        requests_.fail(request.number, make_error(sqlstate::kInternal, "no cycle could be begun",
                                                  {}, "The server's log has the reason."));
    }
    if (now_us < cycle_due_us_) return;
    if (cycle_due_us_ == 0) cycle_due_us_ = now_us;
    // The grid stays where it is; times that passed meanwhile are left out.
    const int64_t missed = (now_us - cycle_due_us_) / interval_us;
    if (missed > 0) figures_.cycles_late += static_cast<uint64_t>(missed);
    cycle_due_us_ += (missed + 1) * interval_us;
    cycle_.begin({}, now_us);
}

int64_t Collector::next_cycle_us() const {
    if (cycle_.active()) return cycle_.next_us();
    if (program_.state() != Program::State::kRunning || !settings().enabled) return INT64_MAX;
    return cycle_requests_.empty() ? cycle_due_us_ : 0;
}

// --- the loop

void Collector::publish() {
    figures_.worker_cpu_us = own_cpu_us();
    figures_.program_cpu_us = program_.cpu_us();
    figures_.program_pid = program_.pid();
    figures_.program_starts = program_.starts();
    figures_.program_state = static_cast<uint8_t>(program_.state());
    CollectorShared& shared = shared_state()->collector;
    const SpinLock lock(shared.mutex);
    shared.figures = figures_;
}

int Collector::step(const Wakeup& wakeup) {
    if (in_step_) recover();
    in_step_ = true;
    if (wakeup.reloaded) {
        briefing_.settings_reloaded();
        cycle_.retry_own();
    }
    const int64_t now_us = monotonic_us();
    int wait_ms = serve_program(now_us);
    take_requests();
    // Before the cycle that a request asks for.
    brief();
    start_cycle(now_us);
    cycle_.work(now_us);
    brief();
    requests_.pump();
    publish();
    in_step_ = false;
    const int64_t cycle_wait_us = std::max<int64_t>(next_cycle_us() - now_us, 0);
    if (cycle_wait_us < int64_t{wait_ms} * 1000) {
        wait_ms = static_cast<int>((cycle_wait_us + 999) / 1000);
    }
    return wait_ms;
}

int step_collector(const Wakeup& wakeup) {
    const int wait_ms = collector->step(wakeup);
    return collector->is_stuck() ? kBeginAnew : wait_ms;
}

// --- the worker's life

void wake_waiting_sessions() {
    RequestsShared& shared = shared_state()->requests;
    Latch* latches[kRequestSlots];
    size_t count = 0;
    {
        const SpinLock lock(shared.mutex);
        for (const RequestSlot& slot : shared.slots) {
            if (slot.state != SlotState::kFree) latches[count++] = slot.asker;
        }
    }
    for (size_t i = 0; i < count; ++i) SetLatch(latches[i]);
}

void on_exit(int, Datum) {
    if (collector != nullptr) guarded_or(0, [] { return collector->stop(), 0; });
    {
        CollectorShared& shared = shared_state()->collector;
        const SpinLock lock(shared.mutex);
        shared.pid = 0;
        shared.latch = nullptr;
    }
    wake_waiting_sessions();
}

void publish_start() {
    CollectorShared& shared = shared_state()->collector;
    const SpinLock lock(shared.mutex);
    shared.pid = MyProcPid;
    shared.latch = MyLatch;
    ++shared.generation;
    shared.figures = CollectorFigures{};
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
        collector = std::make_unique<Collector>(std::move(options)).release();
    });
    before_shmem_exit(on_exit, 0);
    publish_start();
    run_worker(
        {.name = "pganalytics collector", .wait_fd = collector->wait_fd(), .step = step_collector});
}

}  // namespace pganalytics::pg

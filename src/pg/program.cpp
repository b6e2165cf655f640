// A program of ours under a worker (see the header). Runs in the collector and hub workers.
#include "pganalytics/pg/program.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <system_error>
#include <utility>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/pg/frame_link.hpp"
#include "pganalytics/pg/program_start.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kStuckUs = 5 * kSecond;
constexpr int64_t kHeartbeatEveryUs = 5 * kSecond;
constexpr int64_t kHeartbeatLimitUs = 10 * kSecond;
constexpr int64_t kHelloLimitUs = 10 * kSecond;
constexpr int64_t kGraceUs = 1 * kSecond;
constexpr int64_t kGoodRunUs = 10 * kSecond;
constexpr int64_t kFirstWaitUs = kSecond / 2;
constexpr int64_t kLongestWaitUs = 30 * kSecond;
// How often to look where the kernel gives no pidfd; and where something is owed, so that the waits
// this process makes and the time it was away can be told apart.
constexpr int64_t kLookUs = 1 * kSecond;
constexpr int64_t kLookEndingUs = kSecond / 10;
constexpr int64_t kLatenessUs = 1 * kSecond;
constexpr int64_t kLongestCallUs = 60 * kSecond;
constexpr int64_t kNever = INT64_MAX;

// Not read further while this much waits for next().
constexpr size_t kReadLimit = 4 * kMaxFrameBytes;

constexpr int kStopMs = 200;
constexpr int kKillMs = 100;

}  // namespace

struct Program::Run {
    Options options;
    State state = State::kIdle;
    int epoll = -1;
    FrameLink link;

    // of the run
    pid_t pid = 0;
    int pidfd = -1;
    bool write_armed = false;
    int64_t started_us = 0;
    int64_t ending_us = 0;    // when it began to end
    int64_t progress_us = 0;  // when it last took bytes, or had none to take
    bool said_hello = false;
    bool killed = false;
    bool read_dry = false;  // by the last service(): what was said until then is in the splitter
    std::string killed_because;
    State after_end = State::kWaiting;
    int64_t heartbeat_sent_us = 0;  // of the one not answered; 0: none
    int64_t heartbeat_next_us = 0;
    uint64_t heartbeat_number = 0;

    // over all runs
    int64_t clock_us = 0;     // of the last service()
    int64_t expected_us = 0;  // of the next, at the latest
    int64_t wait_until_us = 0;
    int64_t wait_us = 0;  // the last back-off
    bool started_flag = false;
    std::string failure;
    uint64_t starts = 0;
    uint64_t dropped = 0;
    uint64_t cpu_us = 0;

    std::string name() const { return "program \"pganalytics " + options.subcommand + "\""; }

    // --- descriptors

    void watch(int descriptor, int operation, uint32_t events) const {
        epoll_event event = {};
        event.events = events;
        event.data.fd = descriptor;
        epoll_ctl(epoll, operation, descriptor, &event);
    }

    void arm_write(bool wanted) {
        if (!link.is_open() || wanted == write_armed) return;
        watch(link.socket(), EPOLL_CTL_MOD, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
        write_armed = wanted;
    }

    void close_link() {
        if (link.is_open()) watch(link.socket(), EPOLL_CTL_DEL, 0);
        link.close();
        write_armed = false;
    }

    void close_pidfd() {
        if (pidfd < 0) return;
        watch(pidfd, EPOLL_CTL_DEL, 0);
        close(pidfd);
        pidfd = -1;
    }

    void enqueue(std::string frame) {
        // Nothing was owed until now.
        if (link.queued() == 0) progress_us = clock_us;
        link.enqueue(std::move(frame));
        arm_write(true);
    }

    // --- start

    void start() {
        ++starts;
        said_hello = killed = read_dry = false;
        killed_because.clear();
        after_end = State::kWaiting;
        heartbeat_sent_us = 0;
        started_us = progress_us = clock_us;
        const StartedProgram program = start_program(options.path, options.subcommand);
        if (program.pid == 0) {
            failure =
                name() + " could not be started: " + std::generic_category().message(program.error);
            wait_before_next();
            return;
        }
        pid = program.pid;
        pidfd = program.pidfd;
        link.open(program.socket);
        watch(link.socket(), EPOLL_CTL_ADD, EPOLLIN);
        if (pidfd >= 0) watch(pidfd, EPOLL_CTL_ADD, EPOLLIN);
        state = State::kStarting;
        Hello hello;
        hello.version = kVersion;
        hello.catalog_digest = catalog_digest();
        enqueue(make_frame(hello));
    }

    void wait_before_next() {
        state = after_end;
        if (state != State::kWaiting) return;
        if (!options.restart) {
            wait_until_us = kNever;
            return;
        }
        if (said_hello && clock_us - started_us >= kGoodRunUs) {
            wait_us = 0;
        } else {
            wait_us = wait_us == 0 ? kFirstWaitUs : std::min(wait_us * 2, kLongestWaitUs);
        }
        wait_until_us = clock_us + wait_us;
    }

    // Where this process itself was late (busy, stopped, swapped out), that is not the program's
    // fault.
    void forgive(int64_t now) {
        const int64_t late = now - expected_us;
        if (expected_us == 0 || late < kLatenessUs) return;
        progress_us += late;
        started_us += late;
        ending_us += late;
        if (heartbeat_sent_us != 0) heartbeat_sent_us += late;
    }

    // --- the end

    void kill_program(std::string why) {
        if (pid == 0) return;
        // What else it said is not heard.
        link.forget_input();
        if (killed_because.empty()) killed_because = std::move(why);
        // It, not its group; SIGKILL ends a stopped one too. Not reaped yet, so the pid is still
        // its.
        kill(pid, SIGKILL);
        killed = true;
        begin_ending();
    }

    void begin_ending() {
        // At once: at end of file it stays readable, and a loop would spin on it.
        close_link();
        if (state == State::kEnding) return;
        state = State::kEnding;
        ending_us = clock_us;
    }

    void reap() {
        const ProgramEnd end = reap_program(pid);
        if (!end.ended) return;
        if (link.is_open()) link.read_some(SIZE_MAX);
        cpu_us += end.cpu_us;
        close_link();
        close_pidfd();
        pid = 0;
        wait_before_next();
        if (!killed_because.empty()) {
            failure = name() + " was killed: " + killed_because;
        } else if (options.restart || end.status != 0) {
            failure = name() + " " + describe_end(end.status);
        }
    }

    void look_after() {
        if (link.is_open() && !link.read_some(kReadLimit)) begin_ending();
        read_dry = link.buffered() < kReadLimit;
        if (link.malformed()) kill_program("it sent a malformed frame");
        if (link.write_some() > 0) progress_us = clock_us;
        if (link.queued() == 0) arm_write(false);
        reap();
        if (pid != 0) check_limits();
    }

    void check_limits() {
        if (state == State::kEnding) {
            if (!killed && clock_us - ending_us >= kGraceUs) {
                kill_program("it did not end by itself");
            }
            return;
        }
        if (link.queued() > 0 && clock_us - progress_us >= kStuckUs) {
            return kill_program("it took nothing for 5 s");
        }
        const bool due = heartbeat_sent_us == 0 && clock_us >= heartbeat_next_us;
        if (state == State::kRunning && due) {
            heartbeat_sent_us = clock_us;
            enqueue(make_frame(Heartbeat{++heartbeat_number}));
        }
    }

    // Once all that it said until the last service() has been heard; before that its Hello or its
    // answer may lie unread while this process was busy with other things.
    void check_silence() {
        if (!read_dry) return;
        if (state == State::kStarting && clock_us - started_us >= kHelloLimitUs) {
            kill_program("it did not say hello within 10 s");
        } else if (state == State::kRunning && heartbeat_sent_us != 0 &&
                   clock_us - heartbeat_sent_us >= kHeartbeatLimitUs) {
            kill_program("it did not answer for 10 s");
        }
    }

    int64_t next_deadline() const {
        switch (state) {
            case State::kIdle:
                return clock_us;
            case State::kWaiting:
                return wait_until_us;
            case State::kMismatched:
                return kNever;
            case State::kEnding:
                if (pidfd < 0) return clock_us + kLookEndingUs;
                return killed ? clock_us + kLookUs : ending_us + kGraceUs;
            case State::kStarting:
            case State::kRunning:
                break;
        }
        const bool look =
            pidfd < 0 || state == State::kStarting || heartbeat_sent_us != 0 || link.queued() > 0;
        return look ? clock_us + kLookUs : heartbeat_next_us;
    }

    // --- frames of the supervision itself

    void on_hello(std::string_view payload) {
        const auto hello = decode<Hello>(payload);
        if (!hello || state != State::kStarting) {
            return kill_program("it sent a malformed frame");
        }
        if (hello->protocol != kProtocolNumber || hello->version != kVersion ||
            hello->catalog_digest != catalog_digest()) {
            after_end = State::kMismatched;
            return kill_program("it is version " + hello->version.substr(0, 40) +
                                ", the server's library is " + std::string(kVersion) +
                                "; restart the server to finish the upgrade");
        }
        state = State::kRunning;
        said_hello = started_flag = true;
        heartbeat_next_us = clock_us + kHeartbeatEveryUs;
    }

    void on_heartbeat_answer(std::string_view payload) {
        const auto answer = decode<HeartbeatAnswer>(payload);
        if (!answer || heartbeat_sent_us == 0 || answer->number != heartbeat_number) {
            return kill_program("it answered a heartbeat that was not sent");
        }
        heartbeat_sent_us = 0;
        heartbeat_next_us = clock_us + kHeartbeatEveryUs;
    }
};

Program::Program(Options options) : run_(std::make_unique<Run>()) {
    run_->options = std::move(options);
    run_->epoll = epoll_create1(EPOLL_CLOEXEC);
}

Program::~Program() {
    stop_now();
    if (run_->epoll >= 0) close(run_->epoll);
}

int Program::wait_fd() const { return run_->epoll; }

int Program::service(int64_t now) {
    Run& run = *run_;
    run.forgive(now);
    run.clock_us = now;
    const bool waited = run.state == State::kWaiting && now >= run.wait_until_us;
    if (run.state == State::kIdle || waited) run.start();
    if (run.pid != 0) run.look_after();
    const int64_t wait = std::clamp<int64_t>(run.next_deadline() - now, 0, kLongestCallUs);
    run.expected_us = now + wait;
    return static_cast<int>((wait + 999) / 1000);
}

std::optional<Frame> Program::next() {
    Run& run = *run_;
    while (auto frame = run.link.next()) {
        if (frame->type == FrameType::kHello) {
            run.on_hello(frame->payload);
        } else if (frame->type == FrameType::kHeartbeatAnswer) {
            run.on_heartbeat_answer(frame->payload);
        } else {
            return frame;
        }
    }
    run.check_silence();
    return std::nullopt;
}

void Program::reject(std::string why) { run_->kill_program(std::move(why)); }

bool Program::send(std::string frame) {
    Run& run = *run_;
    if (run.state != State::kRunning ||
        run.link.queued() + frame.size() > run.options.queue_limit) {
        ++run.dropped;
        return false;
    }
    run.enqueue(std::move(frame));
    return true;
}

size_t Program::queued() const { return run_->link.queued(); }

bool Program::has_room() const { return run_->link.queued() <= run_->options.queue_limit / 4; }

bool Program::take_started() { return std::exchange(run_->started_flag, false); }

std::string Program::take_failure() { return std::exchange(run_->failure, {}); }

Program::State Program::state() const { return run_->state; }
pid_t Program::pid() const { return run_->pid; }
uint64_t Program::starts() const { return run_->starts; }
uint64_t Program::dropped() const { return run_->dropped; }
uint64_t Program::cpu_us() const { return run_->cpu_us; }

void Program::stop_now() {
    Run& run = *run_;
    if (run.pid == 0) return;
    const std::string farewell = std::string(run.link.rest_of_frame()) + make_frame(Stop{});
    if (!end_program(run.pid, run.pidfd, run.link.socket(), farewell, kStopMs)) {
        kill(run.pid, SIGKILL);
        end_program(run.pid, run.pidfd, -1, {}, kKillMs);
    }
    run.close_link();
    run.close_pidfd();
    run.pid = 0;
    run.state = State::kWaiting;
    run.wait_until_us = kNever;
}

}  // namespace pganalytics::pg

// A program of ours under a worker (see the header). Runs in the collector and hub workers.
#include "pganalytics/pg/program.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <deque>
#include <system_error>
#include <utility>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/version.hpp"
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
constexpr int64_t kReapPollUs = kSecond / 10;
constexpr int64_t kLatenessUs = 1 * kSecond;
constexpr int64_t kLongestCallUs = 60 * kSecond;
constexpr int64_t kNever = INT64_MAX;

constexpr size_t kWriteBytes = 256 * 1024;
constexpr size_t kWriteFrames = 32;
constexpr size_t kReadBytes = 64 * 1024;
// Not read further while this much waits for next().
constexpr size_t kReadLimit = 4 * kMaxFrameBytes;

constexpr int kStopMs = 200;
constexpr int kKillMs = 100;

int64_t now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * kSecond + now.tv_nsec / 1000;
}

}  // namespace

struct Program::Run {
    Options options;
    State state = State::kIdle;
    int epoll = -1;

    // of the run
    pid_t pid = 0;
    int socket = -1;
    int pidfd = -1;
    bool write_armed = false;
    int64_t started_us = 0;
    int64_t ending_us = 0;  // when it began to end
    bool killed = false;
    State after_end = State::kWaiting;
    std::string killed_because;

    // frames to the program
    std::deque<std::string> queue;
    size_t front_taken = 0;  // bytes of queue.front() already written
    size_t queued_bytes = 0;
    int64_t progress_us = 0;  // when it last took bytes, or had none to take

    // frames from the program
    FrameSplitter splitter;

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

    void watch(int descriptor, uint32_t events) const {
        epoll_event event = {};
        event.events = events;
        event.data.fd = descriptor;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
            epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event);
        }
    }

    void arm_write(bool wanted) {
        if (socket < 0 || wanted == write_armed) return;
        watch(socket, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
        write_armed = wanted;
    }

    void close_descriptor(int& descriptor) const {
        if (descriptor < 0) return;
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nullptr);
        close(descriptor);
        descriptor = -1;
    }

    void close_socket() {
        close_descriptor(socket);
        write_armed = false;
        queue.clear();
        front_taken = queued_bytes = 0;
    }

    void enqueue(std::string frame) {
        // Nothing was owed until now.
        if (queue.empty()) progress_us = clock_us;
        queued_bytes += frame.size();
        queue.push_back(std::move(frame));
        arm_write(true);
    }

    // --- start

    void start() {
        ++starts;
        splitter = FrameSplitter();
        killed = false;
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
        socket = program.socket;
        pidfd = program.pidfd;
        watch(socket, EPOLLIN);
        if (pidfd >= 0) watch(pidfd, EPOLLIN);
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
        if (clock_us - started_us >= kGoodRunUs) {
            wait_us = 0;
        } else {
            wait_us = wait_us == 0 ? kFirstWaitUs : std::min(wait_us * 2, kLongestWaitUs);
        }
        wait_until_us = clock_us + wait_us;
    }

    // --- the socket

    void write_some() {
        if (socket < 0 || queue.empty()) return;
        iovec pieces[kWriteFrames];
        size_t count = 0;
        size_t bytes = 0;
        for (std::string& frame : queue) {
            if (count == kWriteFrames || bytes >= kWriteBytes) break;
            const size_t skip = count == 0 ? front_taken : 0;
            pieces[count].iov_base = frame.data() + skip;
            pieces[count].iov_len = std::min(frame.size() - skip, kWriteBytes - bytes);
            bytes += pieces[count].iov_len;
            ++count;
        }
        msghdr message = {};
        message.msg_iov = pieces;
        message.msg_iovlen = count;
        const ssize_t written = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written > 0) {
            progress_us = clock_us;
            taken(static_cast<size_t>(written));
        }
        // Any other error shows as end of file.
        if (queue.empty()) arm_write(false);
    }

    void taken(size_t bytes) {
        queued_bytes -= bytes;
        front_taken += bytes;
        while (!queue.empty() && front_taken >= queue.front().size()) {
            front_taken -= queue.front().size();
            queue.pop_front();
        }
    }

    // False at end of file.
    bool read_some(size_t limit) {
        char bytes[kReadBytes];
        while (splitter.buffered() < limit) {
            const ssize_t count = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
            if (count > 0) {
                splitter.feed({bytes, static_cast<size_t>(count)});
            } else if (count < 0 && errno == EINTR) {
                continue;
            } else {
                return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
            }
        }
        return true;
    }

    // Where this process itself was late (stopped, swapped out), that is not the program's fault.
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
        splitter = FrameSplitter();
        if (killed_because.empty()) killed_because = std::move(why);
        // It, not its group; SIGKILL ends a stopped one too. Not reaped yet, so the pid is still
        // its.
        kill(pid, SIGKILL);
        killed = true;
        begin_ending();
    }

    void begin_ending() {
        // At once: at end of file it stays readable, and a loop would spin on it.
        close_socket();
        if (state == State::kEnding) return;
        state = State::kEnding;
        ending_us = clock_us;
    }

    void reap() {
        const ProgramEnd end = reap_program(pid);
        if (!end.ended) return;
        if (socket >= 0) read_some(SIZE_MAX);
        cpu_us += end.cpu_us;
        close_socket();
        close_descriptor(pidfd);
        pid = 0;
        if (!killed_because.empty()) {
            failure = name() + " was killed: " + killed_because;
        } else if (options.restart || end.status != 0) {
            failure = name() + " " + describe_end(end.status);
        }
        wait_before_next();
    }

    void look_after() {
        if (socket >= 0 && !read_some(kReadLimit)) begin_ending();
        if (splitter.failed()) kill_program("it sent a malformed frame");
        write_some();
        if (pid != 0) check_limits();
        if (pid != 0) reap();
    }

    void check_limits() {
        if (state == State::kEnding) {
            if (!killed && clock_us - ending_us >= kGraceUs) {
                kill_program("it did not end by itself");
            }
            return;
        }
        if (state == State::kStarting && clock_us - started_us >= kHelloLimitUs) {
            return kill_program("it did not say hello within 10 s");
        }
        if (!queue.empty() && clock_us - progress_us >= kStuckUs) {
            return kill_program("it took nothing for 5 s");
        }
        if (state != State::kRunning) return;
        if (heartbeat_sent_us != 0) {
            if (clock_us - heartbeat_sent_us >= kHeartbeatLimitUs) {
                kill_program("it did not answer for 10 s");
            }
        } else if (clock_us >= heartbeat_next_us) {
            heartbeat_sent_us = clock_us;
            enqueue(make_frame(Heartbeat{++heartbeat_number}));
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
                if (pidfd < 0) return clock_us + kReapPollUs;
                return killed ? clock_us + kSecond : ending_us + kGraceUs;
            case State::kStarting:
            case State::kRunning:
                break;
        }
        int64_t deadline = pidfd < 0 ? clock_us + kSecond : kNever;
        if (!queue.empty()) deadline = std::min(deadline, progress_us + kStuckUs);
        if (state == State::kStarting) return std::min(deadline, started_us + kHelloLimitUs);
        return std::min(deadline, heartbeat_sent_us != 0 ? heartbeat_sent_us + kHeartbeatLimitUs
                                                         : heartbeat_next_us);
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
        started_flag = true;
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

    // --- orderly end

    // What is left of the frame on its way, then Stop.
    std::string farewell() {
        std::string bytes;
        if (front_taken > 0) bytes = queue.front().substr(front_taken);
        return bytes + make_frame(Stop{});
    }

    bool wait_end(int limit_ms, std::string_view to_write) {
        const int64_t deadline = now_us() + int64_t{limit_ms} * 1000;
        while (true) {
            if (!to_write.empty() && socket >= 0) {
                const ssize_t written =
                    ::send(socket, to_write.data(), to_write.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
                if (written > 0) to_write.remove_prefix(static_cast<size_t>(written));
                if (to_write.empty()) shutdown(socket, SHUT_WR);
            }
            if (reap_program(pid).ended) return true;
            const int64_t left = deadline - now_us();
            if (left <= 0) return false;
            pollfd waits[2] = {{pidfd, POLLIN, 0}, {to_write.empty() ? -1 : socket, POLLOUT, 0}};
            // Without a pidfd, or while the socket is full, look each few milliseconds.
            const int slice = pidfd < 0 ? 5 : 20;
            poll(waits, 2, std::min(slice, static_cast<int>(left / 1000) + 1));
        }
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
    const bool may_start = run.state == State::kIdle || run.state == State::kWaiting;
    if (may_start && (run.state == State::kIdle || now >= run.wait_until_us)) run.start();
    if (run.pid != 0) run.look_after();
    const int64_t wait = std::clamp<int64_t>(run.next_deadline() - now, 0, kLongestCallUs);
    run.expected_us = now + wait;
    return static_cast<int>((wait + 999) / 1000);
}

std::optional<Frame> Program::next() {
    Run& run = *run_;
    while (auto frame = run.splitter.next()) {
        if (frame->type == FrameType::kHello) {
            run.on_hello(frame->payload);
        } else if (frame->type == FrameType::kHeartbeatAnswer) {
            run.on_heartbeat_answer(frame->payload);
        } else {
            return frame;
        }
    }
    return std::nullopt;
}

void Program::reject(std::string why) { run_->kill_program(std::move(why)); }

bool Program::send(std::string frame) {
    Run& run = *run_;
    if (run.state != State::kRunning || run.queued_bytes + frame.size() > run.options.queue_limit) {
        ++run.dropped;
        return false;
    }
    run.enqueue(std::move(frame));
    return true;
}

size_t Program::queued() const { return run_->queued_bytes; }

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
    const std::string farewell = run.farewell();
    if (!run.wait_end(kStopMs, farewell)) {
        kill(run.pid, SIGKILL);
        run.wait_end(kKillMs, {});
    }
    run.close_socket();
    run.close_descriptor(run.pidfd);
    run.pid = 0;
    run.after_end = State::kWaiting;
    run.state = State::kWaiting;
    run.wait_until_us = kNever;
}

}  // namespace pganalytics::pg

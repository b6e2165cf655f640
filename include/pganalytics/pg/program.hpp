// A program of ours under a worker: started, fed, listened to, killed, started again; never waited
// for. Runs in the collector and hub workers. Nothing here calls into PostgreSQL or raises ERROR,
// so the object may live across calls that do (it belongs to the worker's main function and is
// reached through a static pointer; the worker's before_shmem_exit callback calls stop_now()).
//
// State machine:
//
//   idle --service()--> starting --Hello of our version--> running
//   starting, running --end of file or pidfd--> ending (socket closed at once, reaped through the
//       pidfd, SIGKILL after 1 s) --reaped--> waiting (0 after a run of 10 s or more, else 0.5 s,
//       1 s, ... 30 s) --> starting
//   running --nothing taken for 5 s while frames wait, or no heartbeat answer for 10 s--> SIGKILL
//       (silence is judged when next() has handed out all that was said; time that the worker was
//       busy elsewhere does not count)
//   starting --Hello of another version--> mismatched (stays; "restart the server")
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pganalytics/core/frame.hpp"

namespace pganalytics::pg {

class Program {
  public:
    enum class State : uint8_t { kIdle, kStarting, kRunning, kEnding, kWaiting, kMismatched };

    struct Options {
        std::string path;        // absolute, of the executable
        std::string subcommand;  // "ship", "serve", "keys"
        size_t queue_limit = 0;  // bytes of frames not yet taken by the program
        bool restart = true;     // false: one run ("keys"), then kWaiting for ever
    };

    explicit Program(Options options);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    // Becomes readable when service() has something to do; one descriptor for the object's life
    // (a nested epoll descriptor, so that a WaitEventSet is made once).
    int wait_fd() const;

    // All due work, without blocking: start, read, write, heartbeat, kill, reap. `now_us` is
    // monotonic. Returns the milliseconds after which it wants to be called again at the latest.
    int service(int64_t now_us);

    // The next frame from the program but Hello and HeartbeatAnswer, which are handled inside: call
    // it until it is empty after each service(). The view lives until the next call of service() or
    // next(). Frames a program sent before it ended are still handed out.
    std::optional<Frame> next();

    // Kills a program that sent what it must not; `why` becomes the failure.
    void reject(std::string why);

    // Queues a frame made by make_frame(). False where the queue is full or the program is not
    // running; the frame is then dropped and counted (dropped()).
    bool send(std::string frame);

    // Bytes queued and not yet taken. Feeders of rows stop above a quarter of queue_limit, that is,
    // where there is no room.
    size_t queued() const;
    bool has_room() const;

    // True once after each (re)start of the program, when Hello has been exchanged: the worker then
    // sends settings and facts again.
    bool take_started();

    // Text of the last thing that went wrong since the last call ("program ended by signal 9"), for
    // the worker to log; empty: nothing.
    std::string take_failure();

    State state() const;
    pid_t pid() const;  // 0: none
    uint64_t starts() const;
    uint64_t dropped() const;  // frames
    // Of all runs that ended; the running one's is in /proc/<pid>/schedstat.
    uint64_t cpu_us() const;

    // Orderly end: Stop frame, at most 200 ms, SIGKILL, reaped. For before_shmem_exit.
    void stop_now();

  private:
    struct Run;
    std::unique_ptr<Run> run_;
};

}  // namespace pganalytics::pg

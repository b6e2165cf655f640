// The program's end of the frame socket (descriptor 3). Runs in ship, serve and keys. Never blocks
// but in exchange_hello() and drain(). Bytes from the worker are bounded and checked; what waits to
// be written is bounded, too.
//
// State machine: open --end of file, or a read or write error--> ended
//                open --bytes that are no frame--> failed
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/result.hpp"

namespace pganalytics::net {

inline constexpr int kFrameDescriptor = 3;

class FrameSocket {
  public:
    enum class State : uint8_t { kOpen, kEnded, kFailed };

    // Does not own `descriptor`. `write_limit`: bytes that may wait to be written.
    explicit FrameSocket(int descriptor = kFrameDescriptor, size_t write_limit = 8u << 20);

    int descriptor() const { return descriptor_; }
    State state() const { return state_; }
    // POLLIN, and POLLOUT while something waits to be written. Without POLLIN while frames that
    // were read wait to be taken, so that a slow consumer slows the worker and not the memory.
    short events() const;

    // Reads what is there (256 KB at most a call) and writes what can be written.
    void service();
    // The next frame; Heartbeat is answered inside and never seen here. The view lives until the
    // next call of next() or service().
    std::optional<Frame> next();

    // Queues a frame made by make_frame() and tries to write at once. False, and counted, where it
    // would go beyond the limit or the socket is not open.
    bool send(std::string frame);
    template <class Message>
    bool send_message(const Message& message) {
        return send(make_frame(message));
    }
    size_t queued() const { return queued_; }
    uint64_t dropped() const { return dropped_; }

    // First thing of every program: sends our Hello, waits for theirs. An error (after which the
    // program ends) where it does not come in time, or is of another version.
    Result<Hello> exchange_hello(const Hello& ours, int timeout_ms = 10'000);
    // Writes what waits, for programs that end after an answer. False: not all of it.
    bool drain(int timeout_ms);
    // Waits for a frame, for programs without an event loop. Empty: time over, end of file, failed.
    std::optional<Frame> wait_frame(int timeout_ms);

  private:
    void read_some();
    void write_some();
    bool wait_ready(short events, int timeout_ms) const;

    int descriptor_;
    size_t write_limit_;
    State state_ = State::kOpen;
    FrameSplitter splitter_;
    std::deque<std::string> waiting_;
    size_t written_of_first_ = 0;
    size_t queued_ = 0;
    uint64_t dropped_ = 0;
};

}  // namespace pganalytics::net

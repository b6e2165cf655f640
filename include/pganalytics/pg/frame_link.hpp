// The worker's end of the socket to a program: frames waiting to be taken, bytes coming in. Never
// blocks; calls nothing of PostgreSQL. Kept as a list of frames, because a single growing buffer
// makes the worker stand still while it is copied.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/frame.hpp"

namespace pganalytics::pg {

class FrameLink {
  public:
    FrameLink() = default;
    ~FrameLink() { close(); }
    FrameLink(const FrameLink&) = delete;
    FrameLink& operator=(const FrameLink&) = delete;

    // Takes a connected, non-blocking stream socket; what an earlier one left is forgotten.
    void open(int socket);
    // Frames not yet taken are dropped; those that came in whole can still be read with next().
    void close();
    bool is_open() const { return socket_ >= 0; }
    int socket() const { return socket_; }

    void enqueue(std::string frame);
    size_t queued() const { return queued_; }
    // One write of at most 256 KB. Answers the bytes taken.
    size_t write_some();

    // Reads until nothing is there or `limit` bytes wait for next(). False at end of file.
    bool read_some(size_t limit);
    std::optional<Frame> next() { return splitter_.next(); }
    size_t buffered() const { return splitter_.buffered(); }  // bytes that wait for next()
    bool malformed() const { return splitter_.failed(); }
    void forget_input() { splitter_ = FrameSplitter(); }

    // What is left of the frame on its way.
    std::string_view rest_of_frame() const;

  private:
    void drop_taken(size_t bytes);
    int socket_ = -1;
    std::deque<std::string> queue_;
    size_t front_taken_ = 0;  // bytes of queue_.front() already written
    size_t queued_ = 0;
    FrameSplitter splitter_;
};

}  // namespace pganalytics::pg

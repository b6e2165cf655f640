// A WorkerLink and the hub worker at its other end, played by the test: it reads frames when it is
// told to, and answers what it is told to answer. For tests of what goes through the link.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/net/frame_socket.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

class PlayedWorker {
  public:
    // `buffer`: bytes that the socket takes before the worker reads, about; 0: as it is.
    explicit PlayedWorker(int buffer = 0) {
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0);
        if (buffer > 0) setsockopt(ends_[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        socket_.emplace(ends_[0]);
        link_.emplace(io_, *socket_, [](const Frame&) { return true; });
        asio::co_spawn(io_, link_->run(), [this](const std::exception_ptr&) { over_ = true; });
        turn();
    }
    ~PlayedWorker() {
        link_.reset();
        close(ends_[0]);
        close(ends_[1]);
    }
    PlayedWorker(const PlayedWorker&) = delete;
    PlayedWorker& operator=(const PlayedWorker&) = delete;

    asio::io_context& io() { return io_; }
    WorkerLink& link() { return *link_; }
    // The front's conversation with its worker has ended, and the front with it.
    bool over() const { return over_; }
    // What the worker has of pushes, and of certificates asked for.
    size_t pushes_begun() const { return begun_; }
    const std::vector<uint64_t>& pushes() const { return pushes_; }
    const std::vector<uint64_t>& registers() const { return registers_; }

    // All that the front can do now.
    void turn() {
        try {
            io_.restart();
            size_t steps = 0;
            while (steps < kMostSteps && io_.poll_one() > 0) ++steps;
            EXPECT_LT(steps, kMostSteps) << "it turns in a circle";
        } catch (const std::bad_alloc&) {
            over_ = true;
        }
    }
    // The worker reads what has been sent.
    void read() {
        char piece[64 * 1024];
        for (ssize_t count; (count = recv(ends_[1], piece, sizeof piece, MSG_DONTWAIT)) > 0;) {
            from_front_.feed({piece, static_cast<size_t>(count)});
            while (const std::optional<Frame> frame = from_front_.next()) take(*frame);
        }
    }
    template <class Message>
    void send(const Message& message) {
        const std::string bytes = make_frame(message);
        EXPECT_EQ(::send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    void stored(uint64_t number) {
        PushResult result;
        result.number = number;
        result.outcome = PushOutcome::kStored;
        send(result);
    }
    void enrolled(uint64_t number) {
        RegisterResult result;
        result.number = number;
        result.status = 200;
        send(result);
    }
    // Both in turns until `done`; false: not in `limit`.
    bool until(const std::function<bool()>& done, milliseconds limit = seconds(30)) {
        const Clock::time_point end = Clock::now() + limit;
        while (!done()) {
            if (Clock::now() > end) return false;
            io_.restart();
            io_.run_one_for(milliseconds(5));
            read();
        }
        return true;
    }

  private:
    static constexpr size_t kMostSteps = 10'000;

    void take(const Frame& frame) {
        if (frame.type == FrameType::kPushBegin) ++begun_;
        if (frame.type == FrameType::kPushEnd) {
            pushes_.push_back(decode<PushEnd>(frame.payload)->number);
        }
        if (frame.type == FrameType::kRegister) {
            registers_.push_back(decode<Register>(frame.payload)->number);
        }
    }

    int ends_[2] = {-1, -1};
    asio::io_context io_;
    std::optional<net::FrameSocket> socket_;
    std::optional<WorkerLink> link_;
    FrameSplitter from_front_;
    bool over_ = false;
    size_t begun_ = 0;
    std::vector<uint64_t> pushes_;
    std::vector<uint64_t> registers_;
};

}  // namespace pganalytics::serve

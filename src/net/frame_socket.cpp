// The program's end of the frame socket (see the header).
#include "pganalytics/net/frame_socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace pganalytics::net {

namespace {

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point end) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    return left > 0 ? static_cast<int>(left) : 0;
}

}  // namespace

FrameSocket::FrameSocket(int descriptor, size_t write_limit)
    : descriptor_(descriptor), write_limit_(write_limit) {}

short FrameSocket::events() const {
    if (state_ != State::kOpen) return 0;
    short wanted = splitter_.buffered() < kMaxFrameBytes + kFrameHeaderBytes ? POLLIN : 0;
    if (queued_ > 0) wanted = static_cast<short>(wanted | POLLOUT);
    return wanted;
}

void FrameSocket::service() {
    if ((events() & POLLIN) != 0) read_some();
    if (state_ == State::kOpen && queued_ > 0) write_some();
}

void FrameSocket::read_some() {
    char piece[64 * 1024];
    for (int round = 0; round < 4 && (events() & POLLIN) != 0; ++round) {
        const ssize_t count = recv(descriptor_, piece, sizeof piece, MSG_DONTWAIT);
        if (count > 0) {
            splitter_.feed({piece, static_cast<size_t>(count)});
            continue;
        }
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        state_ = State::kEnded;
        return;
    }
}

void FrameSocket::write_some() {
    while (!waiting_.empty()) {
        const std::string_view rest = std::string_view(waiting_.front()).substr(written_of_first_);
        const ssize_t count =
            ::send(descriptor_, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) state_ = State::kEnded;
            return;
        }
        queued_ -= static_cast<size_t>(count);
        written_of_first_ += static_cast<size_t>(count);
        if (written_of_first_ < waiting_.front().size()) return;
        waiting_.pop_front();
        written_of_first_ = 0;
    }
}

std::optional<Frame> FrameSocket::next() {
    while (auto frame = splitter_.next()) {
        if (frame->type != FrameType::kHeartbeat) return frame;
        const auto heartbeat = decode<Heartbeat>(frame->payload);
        if (!heartbeat) {
            state_ = State::kFailed;
            return std::nullopt;
        }
        send_message(HeartbeatAnswer{.number = heartbeat->number});
    }
    if (splitter_.failed()) state_ = State::kFailed;
    return std::nullopt;
}

bool FrameSocket::send(std::string frame) {
    if (state_ != State::kOpen || frame.size() > write_limit_ - std::min(queued_, write_limit_)) {
        ++dropped_;
        return false;
    }
    const size_t size = frame.size();
    waiting_.push_back(std::move(frame));  // counted once it is there: it may lack memory
    queued_ += size;
    write_some();
    return true;
}

Result<Hello> FrameSocket::exchange_hello(const Hello& ours, int timeout_ms) {
    send_message(ours);
    const auto frame = wait_frame(timeout_ms);
    if (!frame || frame->type != FrameType::kHello) {
        return make_error(sqlstate::kProtocolViolation, "no greeting from the server's worker", {},
                          "This program is started by the server; it does nothing by hand.");
    }
    auto theirs = decode<Hello>(frame->payload);
    if (!theirs) {
        return make_error(sqlstate::kProtocolViolation, "malformed greeting from the server");
    }
    if (theirs->protocol != ours.protocol || theirs->version != ours.version ||
        theirs->catalog_digest != ours.catalog_digest) {
        // Our own greeting tells the worker the same.
        drain(timeout_ms);
        return make_error(
            sqlstate::kObjectNotReady, "library and program differ in version",
            "The library is " + theirs->version + ", the program is " + ours.version + ".",
            "Restart the server to finish the upgrade.");
    }
    return *std::move(theirs);
}

bool FrameSocket::drain(int timeout_ms) {
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    while (state_ == State::kOpen && queued_ > 0) {
        const int left = milliseconds_until(end);
        if (left == 0 || !wait_ready(POLLOUT, left)) break;
        write_some();
    }
    return queued_ == 0;
}

std::optional<Frame> FrameSocket::wait_frame(int timeout_ms) {
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    while (true) {
        if (auto frame = next()) return frame;
        if (state_ != State::kOpen) return std::nullopt;
        const int left = milliseconds_until(end);
        if (left == 0) return std::nullopt;
        wait_ready(events(), left);
        service();
    }
}

bool FrameSocket::wait_ready(short wanted, int timeout_ms) const {
    pollfd entry{.fd = descriptor_, .events = wanted, .revents = 0};
    return poll(&entry, 1, timeout_ms) > 0;
}

}  // namespace pganalytics::net

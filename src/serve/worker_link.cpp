// Frames to and from the hub worker (see the header). Runs in `pganalytics serve`.
#include "pganalytics/serve/worker_link.hpp"

#include <poll.h>

#include <utility>

namespace pganalytics::serve {

namespace {

// Frames that may wait for the socket before the next one is made.
constexpr size_t kQueuedFrames = size_t{1} << 20;

}  // namespace

WorkerLink::WorkerLink(asio::io_context& io, net::FrameSocket& socket,
                       std::function<bool(const Frame&)> on_frame)
    : io_(io),
      socket_(socket),
      descriptor_(io, socket.descriptor()),
      on_frame_(std::move(on_frame)),
      changed_(io),
      last_heard_(Clock::now()) {}

bool WorkerLink::worker_away() const { return Clock::now() - last_heard_ > kWorkerAway; }

Task<> WorkerLink::run() {
    error_code error;
    while (!error) {
        while (const std::optional<Frame> frame = socket_.next()) {
            if (!dispatch(*frame)) co_return;
        }
        if (socket_.state() != net::FrameSocket::State::kOpen) co_return;
        write_later();
        co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                                        asio::redirect_error(asio::use_awaitable, error));
        last_heard_ = Clock::now();
        socket_.service();
    }
}

// Sees to it that what waits is written when the socket takes it. Where memory is short for that,
// the next frame from the worker or to it begins anew.
void WorkerLink::write_later() {
    if (writing_ || (socket_.events() & POLLOUT) == 0) return;
    writing_ = true;
    try {
        asio::co_spawn(io_, write_loop(), [this](const std::exception_ptr& failure) {
            if (failure) writing_ = false;
        });
    } catch (const std::bad_alloc&) {
        writing_ = false;
    }
}

Task<> WorkerLink::write_loop() {
    error_code error;
    while (!error && socket_.state() == net::FrameSocket::State::kOpen &&
           (socket_.events() & POLLOUT) != 0) {
        co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                                        asio::redirect_error(asio::use_awaitable, error));
        socket_.service();
        pump();
    }
    writing_ = false;
}

void WorkerLink::log(LogLevel level, std::string cause, std::string message, std::string detail,
                     std::string hint) {
    send(LogLine{level, std::move(cause), std::move(message), std::move(detail), std::move(hint)});
}

bool WorkerLink::dispatch(const Frame& frame) {
    if (frame.type == FrameType::kPushResult) {
        auto result = decode<PushResult>(frame.payload);
        if (!result) return false;
        take_result(*std::move(result));
        return true;
    }
    if (frame.type == FrameType::kRegisterResult) {
        auto result = decode<RegisterResult>(frame.payload);
        if (!result) return false;
        const auto waiting = enrolments_.find(result->number);
        if (waiting != enrolments_.end()) waiting->second = *std::move(result);
        changed_.notify();
        return true;
    }
    return on_frame_(frame);
}

Task<std::optional<WorkerLink::Slot>> WorkerLink::take_slot() {
    const Clock::time_point deadline = Clock::now() + kPushSlotWait;
    while (slots_taken_ >= kPushesInMemory) {
        if (Clock::now() >= deadline) co_return std::nullopt;
        co_await changed_.wait(deadline);
    }
    co_return Slot(*this);
}

// Room in the window; a push alone always has it.
Task<bool> WorkerLink::admit(size_t bytes) {
    const Clock::time_point deadline = Clock::now() + kPushSlotWait;
    while (outstanding_ > 0 && outstanding_ + bytes > kWorkerWindow) {
        if (Clock::now() >= deadline) co_return false;
        co_await changed_.wait(deadline);
    }
    outstanding_ += bytes;
    co_return true;
}

// noexcept, as pump(): a push that is begun and not ended would keep its collector out for good.
std::shared_ptr<WorkerLink::Job> WorkerLink::start_job(PushBegin begin, PushFrames frames,
                                                       Slot slot, size_t bytes) noexcept {
    auto job = std::make_shared<Job>();
    job->begin = std::move(begin);
    job->frames.emplace(std::move(frames));
    job->slot.emplace(std::move(slot));
    job->bytes = bytes;
    to_send_.push_back(job);
    awaiting_.emplace(job->begin.number, job);
    pump();
    return job;
}

Task<std::optional<PushResult>> WorkerLink::store(PushBegin begin, PushFrames frames, Slot slot) {
    const size_t bytes = frames.bytes_at_most();
    bool admitted = false;
    try {
        admitted = co_await admit(bytes);
    } catch (const std::bad_alloc&) {
    }
    if (!admitted) {
        end_ingest(begin.collector_id);
        co_return std::nullopt;
    }
    const auto job = start_job(std::move(begin), std::move(frames), std::move(slot), bytes);
    const Clock::time_point deadline = Clock::now() + kWorkerTime;
    while (!job->result && Clock::now() < deadline) co_await changed_.wait(deadline);
    co_return job->result;
}

// Makes and sends frames while the socket takes them. Out of memory in the midst of a push the
// front ends, and another begins: the worker has a part of that push, and nobody knows which.
void WorkerLink::pump() noexcept {
    while (!to_send_.empty() && socket_.queued() < kQueuedFrames) {
        Job& job = *to_send_.front();
        if (!job.begun) {
            socket_.send_message(job.begin);
            job.begun = true;
        } else if (std::optional<std::string> frame = job.frames->next()) {
            socket_.send(*std::move(frame));
        } else {
            socket_.send_message(PushEnd{job.begin.number, job.frames->rows()});
            job.frames.reset();
            job.slot.reset();
            to_send_.pop_front();
        }
    }
    write_later();
}

void WorkerLink::take_result(PushResult result) {
    const auto found = awaiting_.find(result.number);
    if (found == awaiting_.end()) return;
    const std::shared_ptr<Job> job = std::move(found->second);
    awaiting_.erase(found);
    outstanding_ -= job->bytes;
    end_ingest(job->begin.collector_id);
    job->result = std::move(result);
    changed_.notify();
}

Task<std::optional<RegisterResult>> WorkerLink::enrol(Register request) {
    return ask_for_certificate(std::move(request));
}

Task<std::optional<RegisterResult>> WorkerLink::renew(Renew request) {
    return ask_for_certificate(std::move(request));
}

template <class Message>
Task<std::optional<RegisterResult>> WorkerLink::ask_for_certificate(Message request) {
    if (enrolments_.size() >= kRegistersWaiting) co_return std::nullopt;
    request.number = next_number();
    const auto place = enrolments_.try_emplace(request.number).first;
    try {
        send(request);
        const Clock::time_point deadline = Clock::now() + kWorkerTime;
        while (!place->second && Clock::now() < deadline) co_await changed_.wait(deadline);
    } catch (...) {
        enrolments_.erase(place);
        throw;
    }
    co_return std::move(enrolments_.extract(place).mapped());
}

}  // namespace pganalytics::serve

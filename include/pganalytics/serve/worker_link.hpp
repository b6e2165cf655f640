// The front's side of the frame socket: pushes and enrolments go to the hub worker, its answers
// come back to who waits for them; everything else it says goes to the front. Runs in
// `pganalytics serve`.
//
// A push: admitted (window) --its turn--> being sent --PushEnd--> awaiting --PushResult--> over.
// Whoever sent it may stop waiting at any time; it goes on to its end all the same, since half a
// push can't be taken back.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/net/frame_socket.hpp"
#include "pganalytics/serve/asio.hpp"
#include "pganalytics/serve/limits.hpp"
#include "pganalytics/serve/push_frames.hpp"

namespace pganalytics::serve {

class WorkerLink {
  public:
    // `on_frame` takes every frame but PushResult and RegisterResult; false ends the conversation.
    WorkerLink(asio::io_context& io, net::FrameSocket& socket,
               std::function<bool(const Frame&)> on_frame);

    // Until the worker ends the conversation.
    Task<> run();

    // No sign of life for kWorkerAway.
    bool worker_away() const;

    // --- pushes

    // A place among those in memory: inflated, parsed, not yet with the worker. Given back when it
    // goes out of scope. Empty: none came free in kPushSlotWait.
    class Slot {
      public:
        explicit Slot(WorkerLink& link) : link_(&link) { ++link_->slots_taken_; }
        ~Slot() { release(); }
        Slot(Slot&& other) noexcept : link_(std::exchange(other.link_, nullptr)) {}
        Slot& operator=(Slot&&) = delete;

      private:
        void release() {
            if (link_ == nullptr) return;
            --link_->slots_taken_;
            link_->changed_.notify();
        }
        WorkerLink* link_;
    };
    Task<std::optional<Slot>> take_slot();

    // One push at a time for a collector: from begin_ingest() to end_ingest(), or to the worker's
    // answer where store() was reached. False: one is on its way.
    bool begin_ingest(const Uuid& collector_id) { return ingesting_.insert(collector_id).second; }
    void end_ingest(const Uuid& collector_id) { ingesting_.erase(collector_id); }

    uint64_t next_number() { return ++last_number_; }

    // The worker's answer, or empty: no room in the window, or no answer in kWorkerTime.
    Task<std::optional<PushResult>> store(PushBegin begin, PushFrames frames, Slot slot);

    // --- enrolment and renewal

    // Empty: too many wait already, or no answer in kWorkerTime. Sets `number`.
    Task<std::optional<RegisterResult>> enrol(Register request);
    Task<std::optional<RegisterResult>> renew(Renew request);

    template <class Message>
    void send(const Message& message) {
        socket_.send_message(message);
        write_later();
    }
    void log(LogLevel level, std::string cause, std::string message, std::string detail = {},
             std::string hint = {});

  private:
    struct Job {
        PushBegin begin;
        std::optional<PushFrames> frames;  // gone once sent, like its slot
        std::optional<Slot> slot;
        size_t bytes = 0;
        bool begun = false;
        std::optional<PushResult> result;
    };

    Task<> write_loop();
    void write_later();
    std::shared_ptr<Job> start_job(PushBegin begin, PushFrames frames, Slot slot,
                                   size_t bytes) noexcept;
    void pump() noexcept;
    bool dispatch(const Frame& frame);
    void take_result(PushResult result);
    Task<bool> admit(size_t bytes);
    template <class Message>
    Task<std::optional<RegisterResult>> ask_for_certificate(Message request);

    asio::io_context& io_;
    net::FrameSocket& socket_;
    asio::posix::stream_descriptor descriptor_;
    std::function<bool(const Frame&)> on_frame_;
    Signal changed_;  // slots, window, results
    bool writing_ = false;
    Clock::time_point last_heard_;
    uint64_t last_number_ = 0;
    size_t slots_taken_ = 0;
    size_t outstanding_ = 0;  // bytes of all jobs
    std::deque<std::shared_ptr<Job>> to_send_;
    std::map<uint64_t, std::shared_ptr<Job>> awaiting_;
    std::map<uint64_t, std::optional<RegisterResult>> enrolments_;
    std::set<Uuid> ingesting_;
};

}  // namespace pganalytics::serve

// Questions to `pganalytics keys`, the only process that opens the CA's private key: one run for
// each, one after the other, while the worker goes on. Calls nothing of PostgreSQL. Runs in the hub
// worker.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/pg/program.hpp"

namespace pganalytics::pg {

class HubKeys {
  public:
    // One at a time is asked; of those that wait there are never more than this.
    static constexpr size_t kWaiting = 32;

    // `poll` is the worker's epoll descriptor.
    HubKeys(int poll, std::string program) : poll_(poll), program_(std::move(program)) {}

    // A number for the answer; 0: too many wait.
    uint64_t ask(const KeysInit& question);
    uint64_t ask(const KeysSign& question);

    struct Answer {
        uint64_t number = 0;
        // Text: why there is no answer.
        std::variant<std::string, KeysInitResult, KeysSignResult> result;
    };
    // Work that is due; returns the milliseconds until the next call at the latest.
    int service(int64_t now_us);
    std::optional<Answer> take_answer();
    // A LogLine frame's payload, to be written; empty: none.
    std::optional<std::string> take_line();

    void stop_now();

  private:
    struct Question {
        uint64_t number;
        std::string frame;
    };
    uint64_t enqueue(std::string frame);
    void start(int64_t now_us);
    void take_frames(int64_t now_us);
    void finish(Answer answer);
    void end_run();

    int poll_;
    std::string program_;
    uint64_t last_number_ = 0;
    std::deque<Question> questions_;
    std::deque<Answer> answers_;
    std::deque<std::string> lines_;
    std::unique_ptr<Program> run_;
    uint64_t asked_ = 0;       // number of the question the run is for
    bool answered_ = false;    // it was; what is left is its end
    int64_t deadline_us_ = 0;  // of the run
};

}  // namespace pganalytics::pg

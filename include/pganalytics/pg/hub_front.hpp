// `pganalytics serve` under the hub worker: started, told who may come in and where rows go, told
// again after each start. Calls nothing of PostgreSQL. Runs in the hub worker.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/pg/program.hpp"

namespace pganalytics::pg {

class HubFront {
  public:
    // `poll` is the worker's epoll descriptor.
    HubFront(int poll, std::string program) : poll_(poll), program_path_(std::move(program)) {}

    // What it is to know; told to a running front at once where it changed.
    void set_settings(const ServeSettings& settings);
    // The next ones are sent even if they are the same: the files they name may be others.
    void send_settings_again() { again_ = true; }
    void set_targets(std::vector<ServeTarget> targets);
    void set_collectors(const std::vector<CollectorState>& collectors);
    void set_health(const HubHealth& health);

    void start();
    // Kills it within 0.3 s.
    void stop();
    bool started() const { return program_ != nullptr; }

    // Work that is due; returns the milliseconds until the next call at the latest.
    int service(int64_t now_us);
    // True once after each of its ends: whoever waits for an answer waits no more.
    bool take_ended();
    std::optional<Frame> next();
    template <class Message>
    bool send(const Message& message) {
        return program_ && program_->send(make_frame(message));
    }
    void reject(std::string why);
    std::string take_failure();

    pid_t pid() const { return program_ ? program_->pid() : 0; }
    uint64_t starts() const { return starts_before_ + (program_ ? program_->starts() : 0); }
    uint64_t cpu_us() const { return cpu_before_ + (program_ ? program_->cpu_us() : 0); }

  private:
    void tell_all();
    bool running() const {
        return told_ && program_ && program_->state() == Program::State::kRunning;
    }

    int poll_;
    std::string program_path_;
    std::unique_ptr<Program> program_;
    bool told_ = false;  // this run of it knows everything
    bool ended_ = false;
    uint64_t starts_before_ = 0;
    uint64_t cpu_before_ = 0;

    std::string settings_;  // frames
    bool again_ = false;
    std::string targets_;
    std::string health_;
    std::map<Uuid, std::string> collectors_;
};

}  // namespace pganalytics::pg

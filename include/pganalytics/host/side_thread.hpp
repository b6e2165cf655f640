// A thread beside an event loop, for calls that may never return: a volume that hangs holds
// whoever asks it for something. Runs in ship.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "pganalytics/host/files.hpp"

namespace pganalytics::host {

// Does one job at a time; each job has a thread of its own, which ends with it. What loop and job
// both use is the job's until it has ended, and the job has to own it: it may outlive the loop.
class SideThread {
  public:
    SideThread();

    // Becomes readable when a job has ended.
    int descriptor() const { return ended_->number(); }
    // Not while one runs. A job that throws has ended. False: no thread can be had.
    bool start(std::function<void()> job);
    bool running();
    // The same, but waits so long for its end.
    bool running_after(int64_t patience_us);

  private:
    struct Job;

    std::shared_ptr<Descriptor> ended_;  // eventfd
    std::shared_ptr<Job> job_;
};

}  // namespace pganalytics::host

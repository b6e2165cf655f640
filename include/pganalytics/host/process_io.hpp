// /proc/PID/io of the server's processes, read by a helper process. Landlock lets nobody inside it
// look into a process outside, which this file counts as, so ship forks the helper before it enters
// its sandbox. The helper reads this one file and nothing else, for whatever number it is asked,
// under a filter of system calls of its own, and ends with ship. Runs in `pganalytics ship`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/files.hpp"

namespace pganalytics::host {

class ProcessIoHelper {
  public:
    ProcessIoHelper() = default;
    ProcessIoHelper(ProcessIoHelper&&) = default;
    ProcessIoHelper& operator=(ProcessIoHelper&&) = default;
    // Its end of the socket closes, so it ends.
    ~ProcessIoHelper() = default;

    // Call with one thread, before any sandbox.
    Status start();
    bool started() const { return pid_ != 0; }
    pid_t pid() const { return pid_; }
    // It was there and does not answer any more.
    bool lost() const { return pid_ != 0 && !socket_; }

    // The file's text; waits a second at most.
    Result<std::string> read(int64_t pid);

  private:
    Descriptor socket_;
    pid_t pid_ = 0;
};

}  // namespace pganalytics::host

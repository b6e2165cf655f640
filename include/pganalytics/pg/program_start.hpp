// fork and exec of a program under a worker. Calls nothing of PostgreSQL.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace pganalytics::pg {

struct StartedProgram {
    pid_t pid = 0;    // 0: not started, `error` is errno
    int socket = -1;  // our end: non-blocking, close-on-exec
    int pidfd = -1;   // -1 where the kernel has none: poll waitpid then
    int error = 0;
};

// Starts `path subcommand` in a session of its own that dies with this process, with a stream
// socket as descriptor 3, /dev/null as 0 to 2, nothing else open, default signals, an environment
// of PATH and LC_ALL only, and a raised OOM score. Where exec fails the child exits with 128 +
// errno.
StartedProgram start_program(const std::string& path, const std::string& subcommand);

// --- helpers for who looks after it; none but end_program() blocks

// Of a descriptor from pidfd_open.
struct ProgramEnd {
    bool ended = false;
    int status = 0;  // as from waitpid
    uint64_t cpu_us = 0;
};
ProgramEnd reap_program(pid_t pid);

// Writes `farewell` (with a socket that is not -1), then waits for the program's end and reaps it;
// false when the time is over. `pidfd` may be -1.
bool end_program(pid_t pid, int pidfd, int socket, std::string_view farewell, int limit_ms);

// "ended by signal 9", "exited with code 1", "could not be executed: No such file or directory".
std::string describe_end(int status);

}  // namespace pganalytics::pg

// The program as a process: what it inherits is closed, reset or checked before anything else runs;
// it limits itself and leaves last words when it dies of a fault. Runs in every sub-command.
#pragma once

#include <cstdint>
#include <string>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

// For ship, serve, keys: refuses to run unless descriptor 3 is a socket; closes every other one
// above 2; default signals, empty mask, SIGPIPE ignored; environment empty but PATH and LC_ALL=C;
// umask 077; no core file, not dumpable; OOM score raised; dies with its parent; "/" as directory.
Status start_under_worker();

// For tools a person runs: the same without descriptor 3, the parent's death and the OOM score;
// keeps 0-2 and the working directory.
Status start_as_tool();

// RLIMIT_DATA. From then on an allocation beyond it fails with std::bad_alloc.
Status limit_memory(uint64_t bytes);

// What malloc has of the system now, used or not; of what limit_memory() counts nearly all.
size_t heap_bytes();
// Pages that malloc keeps for later, where they are many.
void give_back_memory();

// From here on a fatal signal or an uncaught exception appends a few lines (time, part, cause) to
// `<state_directory>/<part>.last_words`, 64 KB at most; the file is empty or absent while all is
// well. Call once, after the state directory exists.
Status keep_last_words(const std::string& state_directory, const std::string& part);

struct SelfUsage {
    uint64_t cpu_us = 0;  // user and system, of all threads
    uint64_t resident_bytes = 0;
    uint64_t private_bytes = 0;  // 0 where the kernel does not tell
};
SelfUsage self_usage();

// Seconds and microseconds since 1970, and microseconds of a clock that never steps.
int64_t now_seconds();
int64_t now_us();
int64_t monotonic_us();

}  // namespace pganalytics::host

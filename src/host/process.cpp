// The program as a process (see the header). Last words are in last_words.cpp.
#include "pganalytics/host/process.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/proc_text.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

constexpr int kFrameDescriptor = 3;
constexpr std::string_view kOomScore = "500";
#ifdef PGANALYTICS_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

bool is_socket(int descriptor) {
    struct stat facts {};
    return fstat(descriptor, &facts) == 0 && S_ISSOCK(facts.st_mode);
}

void close_from(unsigned first) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
    const long most = sysconf(_SC_OPEN_MAX);
    const long end = most > 0 && most < 65536 ? most : 65536;
    for (long descriptor = first; descriptor < end; ++descriptor) {
        close(static_cast<int>(descriptor));
    }
}

// A later open() must never become standard output by chance.
Status fill_standard_descriptors() {
    for (int descriptor = 0; descriptor <= 2; ++descriptor) {
        if (fcntl(descriptor, F_GETFD) >= 0) continue;
        if (open("/dev/null", O_RDWR) != descriptor) {
            return system_error("could not open file", "/dev/null", errno);
        }
    }
    return {};
}

void reset_signals() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) sigaction(number, &action, nullptr);
    // A closed connection is an error of the call, not an end of the process.
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Names that libraries obey (proxies, key logs, configuration of OpenSSL, resolver options) are
// gone with the rest.
void reset_environment() {
    clearenv();
    setenv("PATH", "/usr/bin:/bin", 1);
    setenv("LC_ALL", "C", 1);
}

void limit_memory_habits() {
    // Threads are libcurl's name look-ups only: one arena, small stacks. Large buffers go back to
    // the system at once.
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_setstacksize(&attributes, size_t{512} * 1024);
        pthread_setattr_default_np(&attributes);
        pthread_attr_destroy(&attributes);
    }
}

Status reset_process() {
    reset_signals();
    reset_environment();
    umask(077);
    const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return make_error(sqlstate::kInternal, "could not give up privileges");
    }
    limit_memory_habits();
    return {};
}

// Linux kills this process before others when memory runs out: a server must never be the victim.
void raise_oom_score() {
    const Descriptor file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (file && write(file.number(), kOomScore.data(), kOomScore.size()) < 0) {
        // Where it can't be written the kernel's own choice stands.
    }
}

}  // namespace

Status start_under_worker() {
    if (!is_socket(kFrameDescriptor)) {
        return make_error(sqlstate::kObjectNotReady,
                          "this command is started by the server and does nothing by hand");
    }
    close_from(kFrameDescriptor + 1);
    if (Status filled = fill_standard_descriptors(); !filled) return filled;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // The worker may have died before that; it is never process 1.
    if (getppid() == 1) return make_error(sqlstate::kObjectNotReady, "the worker is gone");
    raise_oom_score();
    if (chdir("/") != 0) return system_error("could not change to directory", "/", errno);
    return reset_process();
}

Status start_as_tool() {
    close_from(3);
    if (Status filled = fill_standard_descriptors(); !filled) return filled;
    return reset_process();
}

Status limit_memory(uint64_t bytes) {
    // What the address sanitizer keeps for itself would count.
    if (kSanitized) return {};
    rlimit limit{};
    if (getrlimit(RLIMIT_DATA, &limit) != 0) {
        return make_error(sqlstate::kInternal, "could not read the limit of memory");
    }
    // A harder limit from outside stays.
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_DATA, &limit) != 0) {
        return make_error(sqlstate::kInternal, "could not limit memory");
    }
    return {};
}

size_t heap_bytes() {
    const struct mallinfo2 told = mallinfo2();
    return told.arena + told.hblkhd;
}

void give_back_memory() {
    constexpr size_t kMany = size_t{8} << 20;
    if (mallinfo2().fordblks > kMany) malloc_trim(0);
}

namespace {

uint64_t microseconds(const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
}

template <class Clock>
int64_t microseconds_of(std::chrono::time_point<Clock> time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

}  // namespace

SelfUsage self_usage() {
    SelfUsage usage;
    rusage times{};
    if (getrusage(RUSAGE_SELF, &times) == 0) {
        usage.cpu_us = microseconds(times.ru_utime) + microseconds(times.ru_stime);
    }
    // Not smaps, for which the kernel looks at every page. Pages in all, resident, of these of
    // files and shared memory.
    const auto memory = read_file("/proc/self/statm", 256);
    if (!memory) return usage;
    Words pages(*memory);
    pages.next();
    const Figure resident = pages.figure();
    const Figure shared = pages.figure();
    if (!resident || !shared) return usage;
    const int64_t page = sysconf(_SC_PAGESIZE);
    usage.resident_bytes = static_cast<uint64_t>(*resident * page);
    usage.private_bytes = static_cast<uint64_t>((*resident - std::min(*resident, *shared)) * page);
    return usage;
}

int64_t now_us() { return microseconds_of(std::chrono::system_clock::now()); }
int64_t now_seconds() { return now_us() / 1'000'000; }
int64_t monotonic_us() { return microseconds_of(std::chrono::steady_clock::now()); }

}  // namespace pganalytics::host

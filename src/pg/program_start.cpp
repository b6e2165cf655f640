// fork and exec of a program (see the header). Runs in the collector and hub workers; what stands
// in run_child() runs in the child, which shares nothing but a copy of our memory and may call
// async-signal-safe functions only.
#include "pganalytics/pg/program_start.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <system_error>

namespace pganalytics::pg {

namespace {

constexpr int kProgramSocket = 3;
constexpr int kExecFailed = 128;

// Everything the child needs, made before the fork.
struct ChildPlan {
    const char* path;
    char* argv[3];
    char* envp[3];
    int socket;
    pid_t parent;
    int open_max;
};

void default_signals() {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &action, nullptr);
}

void raise_oom_score() {
    const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    const ssize_t ignored = write(file, "500", 3);
    static_cast<void>(ignored);
    close(file);
}

// The number of a descriptor by its name in /proc/self/fd; -1: none.
int descriptor_number(const char* name) {
    int number = -1;
    for (; *name >= '0' && *name <= '9'; ++name)
        number = (number < 0 ? 0 : number * 10) + (*name - '0');
    return number;
}

// For kernels without close_range. Where a limit is a thousand million descriptors, trying each
// would take minutes; where /proc is not there, nothing else is left.
void close_one_by_one(int first, int open_max) {
    const int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        for (int descriptor = first; descriptor < open_max; ++descriptor) close(descriptor);
        return;
    }
    // As linux_dirent64: the record's length at 16, the name from 19 on. Entries are in the order
    // of the numbers, so closing one moves no other.
    alignas(8) char entries[1024];
    while (true) {
        const long bytes = syscall(SYS_getdents64, folder, entries, sizeof entries);
        if (bytes <= 0) break;
        for (long at = 0; at < bytes;) {
            unsigned short length = 0;
            std::memcpy(&length, entries + at + 16, sizeof length);
            const int descriptor = descriptor_number(entries + at + 19);
            if (descriptor >= first && descriptor != folder) close(descriptor);
            at += length;
        }
    }
    close(folder);
}

void arrange_descriptors(const ChildPlan& plan) {
    if (plan.socket == kProgramSocket) {
        fcntl(kProgramSocket, F_SETFD, 0);
    } else {
        dup2(plan.socket, kProgramSocket);
    }
    const int null = open("/dev/null", O_RDWR);
    for (int target = 0; target <= 2; ++target) dup2(null, target);
    if (syscall(SYS_close_range, kProgramSocket + 1, ~0U, 0) == 0) return;
    close_one_by_one(kProgramSocket + 1, plan.open_max);
}

[[noreturn]] void run_child(const ChildPlan& plan) {
    default_signals();
    // Else pg_cancel_backend on the worker, which signals its process group, would end the program.
    setsid();
    // End of file alone leaves a stopped program behind for ever.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan.parent) _exit(0);
    raise_oom_score();
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    arrange_descriptors(plan);
    if (chdir("/") != 0) _exit(kExecFailed + errno);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execve(plan.path, plan.argv, plan.envp);
    _exit(kExecFailed + (errno < 100 ? errno : 100));
}

pid_t fork_blocked(const ChildPlan& plan) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    const pid_t pid = fork();
    if (pid == 0) run_child(plan);
    const int error = errno;
    sigprocmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return pid;
}

int64_t now_ms() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

}  // namespace

StartedProgram start_program(const std::string& path, const std::string& subcommand) {
    StartedProgram started;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        started.error = errno;
        return started;
    }
    std::string argument0 = path;
    std::string argument1 = subcommand;
    char search[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char locale[] = "LC_ALL=C";
    ChildPlan plan = {};
    plan.path = path.c_str();
    plan.argv[0] = argument0.data();
    plan.argv[1] = argument1.data();
    plan.envp[0] = search;
    plan.envp[1] = locale;
    plan.socket = ends[1];
    plan.parent = getpid();
    plan.open_max = static_cast<int>(sysconf(_SC_OPEN_MAX));

    const pid_t pid = fork_blocked(plan);
    close(ends[1]);
    if (pid < 0) {
        started.error = errno;
        close(ends[0]);
        return started;
    }
    fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
    started.pid = pid;
    started.socket = ends[0];
    started.pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    return started;
}

ProgramEnd reap_program(pid_t pid) {
    ProgramEnd end;
    rusage usage = {};
    if (wait4(pid, &end.status, WNOHANG, &usage) != pid) return end;
    end.ended = true;
    const auto micros = [](const timeval& time) {
        return static_cast<uint64_t>(time.tv_sec) * 1000000 + static_cast<uint64_t>(time.tv_usec);
    };
    end.cpu_us = micros(usage.ru_utime) + micros(usage.ru_stime);
    return end;
}

bool end_program(pid_t pid, int pidfd, int socket, std::string_view farewell, int limit_ms) {
    const int64_t deadline = now_ms() + limit_ms;
    while (true) {
        if (!farewell.empty() && socket >= 0) {
            const ssize_t written =
                ::send(socket, farewell.data(), farewell.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (written > 0) farewell.remove_prefix(static_cast<size_t>(written));
            if (farewell.empty()) shutdown(socket, SHUT_WR);
        }
        if (reap_program(pid).ended) return true;
        const int64_t left_ms = deadline - now_ms();
        if (left_ms <= 0) return false;
        pollfd waits[2] = {{pidfd, POLLIN, 0}, {farewell.empty() ? -1 : socket, POLLOUT, 0}};
        // Without a pidfd look each few milliseconds.
        poll(waits, 2, static_cast<int>(pidfd < 0 ? 5 : left_ms));
    }
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
    const int code = WEXITSTATUS(status);
    if (code <= kExecFailed) return "exited with code " + std::to_string(code);
    return "could not be executed: " + std::generic_category().message(code - kExecFailed);
}

}  // namespace pganalytics::pg

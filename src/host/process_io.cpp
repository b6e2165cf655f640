// The helper that reads /proc/PID/io (see the header). What stands in serve_readings() runs in the
// helper, the rest in ship.
#include "pganalytics/host/process_io.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

constexpr size_t kAnswerBytes = 1024;
// As the answer: the file could not be read.
constexpr char kNothing[] = "!";

size_t read_io(int64_t pid, char* answer) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%" PRId64 "/io", pid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t count = file >= 0 ? read(file, answer, kAnswerBytes) : -1;
    if (file >= 0) close(file);
    if (count > 0) return static_cast<size_t>(count);
    answer[0] = kNothing[0];
    return 1;
}

// In process listings it is "pganalytics proc": the word after the program's name, which has as
// many letters, stands right behind it.
void take_own_name() {
    char* const role = program_invocation_name + std::strlen(program_invocation_name) + 1;
    if (std::strcmp(role, "ship") == 0) std::memcpy(role, "proc", 4);
    prctl(PR_SET_NAME, "pganalytics-io", 0, 0, 0);
}

[[noreturn]] void serve_readings(int socket, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(0);
    take_own_name();
    // Nothing of ship's is held open here.
    constexpr int kOwn = 3;
    if (socket != kOwn && dup2(socket, kOwn) < 0) _exit(1);
    if (syscall(SYS_close_range, kOwn + 1, ~0U, 0) != 0) {
        for (int descriptor = kOwn + 1; descriptor < 1024; ++descriptor) close(descriptor);
    }
    // Without the filter it reads this one file all the same.
    const Status filtered = filter_system_calls(SandboxRole::kReader);
    static_cast<void>(filtered);
    while (true) {
        int64_t pid = 0;
        const ssize_t count = recv(kOwn, &pid, sizeof pid, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count != sizeof pid) _exit(0);
        char answer[kAnswerBytes];
        if (send(kOwn, answer, read_io(pid, answer), MSG_NOSIGNAL) < 0) _exit(0);
    }
}

}  // namespace

Status ProcessIoHelper::start() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return system_error("could not make a socket for the reader of", "/proc/PID/io", errno);
    }
    Descriptor ours(ends[0]);
    const Descriptor theirs(ends[1]);
    const timeval patience{.tv_sec = 1, .tv_usec = 0};
    setsockopt(ours.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child < 0) return system_error("could not start the reader of", "/proc/PID/io", errno);
    if (child == 0) serve_readings(theirs.number(), self);
    socket_ = std::move(ours);
    pid_ = child;
    return {};
}

Result<std::string> ProcessIoHelper::read(int64_t pid) {
    const Error gone = make_error(sqlstate::kIoError, "the reader of \"/proc/PID/io\" is gone");
    if (!socket_) return gone;
    char answer[kAnswerBytes];
    ssize_t count = send(socket_.number(), &pid, sizeof pid, MSG_NOSIGNAL);
    if (count == sizeof pid) count = recv(socket_.number(), answer, sizeof answer, 0);
    if (count <= 0) {
        // What it says late would be taken for the answer to another question.
        socket_ = Descriptor();
        return gone;
    }
    const std::string_view text(answer, static_cast<size_t>(count));
    if (text == kNothing) {
        return make_error(sqlstate::kIoError,
                          "could not read \"/proc/" + std::to_string(pid) + "/io\"");
    }
    return std::string(text);
}

}  // namespace pganalytics::host

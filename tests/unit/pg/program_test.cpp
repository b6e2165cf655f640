// Supervision of a program, against real processes judged by /proc. Time is the argument of
// service(), so limits of seconds are met without waiting for them.
#include "pganalytics/pg/program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace pganalytics::pg {
namespace {

constexpr int64_t kSecond = 1000000;
using Clock = std::chrono::steady_clock;

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string status_line(pid_t pid, const std::string& key) {
    std::istringstream lines(read_file("/proc/" + std::to_string(pid) + "/status"));
    for (std::string line; std::getline(lines, line);) {
        if (line.rfind(key + ":", 0) == 0) return line.substr(key.size() + 2);
    }
    return "";
}

bool is_alive(pid_t pid) {
    const std::string state = status_line(pid, "State");
    return !state.empty() && state[0] != 'Z' && state[0] != 'X';
}

class ProgramTest : public testing::Test {
  protected:
    Program::Options peer(const std::string& mode, size_t limit = 1 << 20) {
        return {.path = std::filesystem::read_symlink("/proc/self/exe"),
                .subcommand = "peer-" + mode,
                .queue_limit = limit};
    }

    // Serves the program on the simulated clock until `done`, for ten real seconds at most.
    template <class Done>
    bool serve_until(Program& program, Done done) {
        const auto deadline = Clock::now() + std::chrono::seconds(10);
        while (Clock::now() < deadline) {
            program.service(now_);
            while (const auto frame = program.next()) {
                if (frame->type == FrameType::kLog) {
                    lines_.push_back(decode<LogLine>(frame->payload).value().message);
                }
            }
            if (done()) return true;
            pollfd wait = {program.wait_fd(), POLLIN, 0};
            poll(&wait, 1, 20);
        }
        return false;
    }
    bool serve_until(Program& program, Program::State state) {
        return serve_until(program, [&] { return program.state() == state; });
    }

    // What ended it; empty where nothing does.
    std::string failure_of(Program& program) {
        std::string failure;
        serve_until(program, [&] {
            failure = program.take_failure();
            return !failure.empty();
        });
        return failure;
    }

    // Lets simulated time pass in steps that count as punctual.
    void pass(Program& program, int64_t time) {
        for (const int64_t end = now_ + time; now_ < end;) {
            now_ = std::min(end, now_ + kSecond / 2);
            pollfd wait = {program.wait_fd(), POLLIN, 0};
            poll(&wait, 1, 2);
            program.service(now_);
            while (program.next()) continue;
        }
    }

    int64_t now_ = 1000 * kSecond;
    std::vector<std::string> lines_;
};

TEST_F(ProgramTest, StartsAndTalks) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    EXPECT_TRUE(program.take_started());
    EXPECT_FALSE(program.take_started());
    LogLine line;
    line.message = "echo";
    EXPECT_TRUE(program.send(make_frame(line)));
    ASSERT_TRUE(serve_until(program, [&] { return !lines_.empty(); }));
    EXPECT_EQ(lines_.front(), "echo");
    EXPECT_EQ(program.queued(), 0u);
    EXPECT_EQ(program.take_failure(), "");
}

TEST_F(ProgramTest, InheritsNothing) {
    ASSERT_EQ(setenv("HOME", "/secret", 1), 0);
    const int open_here = open("/proc/self/maps", O_RDONLY);
    signal(SIGPIPE, SIG_IGN);
    Program program(peer("environment"));
    ASSERT_TRUE(serve_until(program, [&] { return !lines_.empty(); }));
    close(open_here);
    EXPECT_EQ(lines_.front(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|C|");

    const pid_t pid = program.pid();
    const std::string proc = "/proc/" + std::to_string(pid);
    std::set<std::string> descriptors;
    for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
        descriptors.insert(entry.path().filename());
    }
    EXPECT_EQ(descriptors, (std::set<std::string>{"0", "1", "2", "3"}));
    EXPECT_EQ(std::filesystem::read_symlink(proc + "/fd/0"), "/dev/null");
    EXPECT_EQ(std::filesystem::read_symlink(proc + "/cwd"), "/");
    EXPECT_EQ(getsid(pid), pid);
    EXPECT_EQ(getpgid(pid), pid);
    EXPECT_EQ(read_file(proc + "/oom_score_adj"), "500\n");
    EXPECT_EQ(status_line(pid, "SigBlk"), "0000000000000000");
    // But for glibc's own two.
    EXPECT_EQ(std::stoull(status_line(pid, "SigIgn"), nullptr, 16) & 0x7fffffff, 0u);
}

// Makes close_range fail as on a kernel that does not know it, here and in children.
bool forbid_close_range() {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {std::size(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

size_t count_descriptors(pid_t pid) {
    size_t count = 0;
    const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        count += entry.exists() || entry.is_symlink() ? 1 : 0;
    }
    return count;
}

TEST_F(ProgramTest, InheritsNothingWhereTheKernelIsOld) {
    // In a process of its own: the filter stays.
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 200; ++i) {
            if (open("/dev/null", O_RDONLY) < 0) _exit(10);
        }
        if (!forbid_close_range()) _exit(11);
        if (syscall(SYS_close_range, 1000, 1001, 0) != -1 || errno != ENOSYS) _exit(12);
        Program program(peer("plain"));
        if (!serve_until(program, Program::State::kRunning)) _exit(13);
        const size_t count = count_descriptors(program.pid());
        program.stop_now();
        _exit(count == 4 ? 0 : 14);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ProgramTest, KilledProgramIsStartedAgainWithBackOff) {
    Program program(peer("plain"));
    const int64_t expected_waits[] = {kSecond / 2, kSecond, 2 * kSecond, 4 * kSecond};
    for (const int64_t wait : expected_waits) {
        ASSERT_TRUE(serve_until(program, Program::State::kRunning));
        ASSERT_EQ(kill(program.pid(), SIGKILL), 0);
        ASSERT_TRUE(serve_until(program, Program::State::kWaiting));
        EXPECT_EQ(program.take_failure(), "program \"pganalytics peer-plain\" ended by signal 9");
        EXPECT_EQ(program.pid(), 0);
        now_ += wait - 1;
        program.service(now_);
        EXPECT_EQ(program.state(), Program::State::kWaiting);
        now_ += 1;
    }
    // A good run ends the back-off.
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    pass(program, 10 * kSecond);
    ASSERT_EQ(kill(program.pid(), SIGKILL), 0);
    ASSERT_TRUE(serve_until(program, [&] { return program.starts() == 6; }));
}

TEST_F(ProgramTest, BackOffEndsAt30Seconds) {
    Program program(peer("dies"));
    for (uint64_t starts = 1; starts < 12; ++starts) {
        ASSERT_TRUE(serve_until(program, Program::State::kWaiting));
        EXPECT_EQ(program.starts(), starts);
        EXPECT_EQ(program.take_failure(), "program \"pganalytics peer-dies\" exited with code 7");
        EXPECT_LE(program.service(now_), 30000);
        now_ += 30 * kSecond;
        program.service(now_);
    }
}

TEST_F(ProgramTest, StoppedProgramStallsNobodyAndIsKilled) {
    Program program(peer("plain", size_t{8} << 20));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    const pid_t pid = program.pid();
    ASSERT_EQ(kill(pid, SIGSTOP), 0);
    const std::string frame = make_frame(FrameType::kRowsetRows, std::string(200000, 'x'));
    const auto before = Clock::now();
    for (int i = 0; i < 60; ++i) {
        program.send(frame);
        program.service(now_);
    }
    EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(500));
    EXPECT_GT(program.dropped(), 0u);
    EXPECT_LE(program.queued(), size_t{8} << 20);
    pass(program, 5 * kSecond - 1);
    EXPECT_EQ(program.state(), Program::State::kRunning);
    pass(program, 1);
    EXPECT_NE(program.state(), Program::State::kRunning);
    ASSERT_TRUE(serve_until(program, Program::State::kWaiting));
    EXPECT_FALSE(is_alive(pid));
    EXPECT_EQ(program.take_failure(),
              "program \"pganalytics peer-plain\" was killed: it took nothing for 5 s");
}

TEST_F(ProgramTest, NoHeartbeatAnswerEndsIt) {
    Program program(peer("deaf"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    pass(program, 15 * kSecond - 1);
    EXPECT_EQ(program.state(), Program::State::kRunning);
    pass(program, 1);
    EXPECT_NE(program.state(), Program::State::kRunning);
    EXPECT_NE(failure_of(program).find("did not answer for 10 s"), std::string::npos);
}

// It takes a byte now and then: progress for ever, so only the heartbeat can tell.
TEST_F(ProgramTest, DrippingEndsIt) {
    Program program(peer("drip", size_t{8} << 20));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    for (int i = 0; i < 40; ++i) {
        program.send(make_frame(FrameType::kRowsetRows, std::string(100000, 'x')));
    }
    for (int i = 0; i < 100 && program.state() == Program::State::kRunning; ++i) {
        // Long enough for it to take a byte of the socket's buffer.
        usleep(20000);
        pass(program, kSecond);
    }
    const std::string failure = failure_of(program);
    EXPECT_TRUE(failure.find("for 10 s") != std::string::npos ||
                failure.find("nothing for 5 s") != std::string::npos)
        << failure;
}

TEST_F(ProgramTest, AnsweringProgramStays) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    pass(program, 300 * kSecond);
    EXPECT_EQ(program.state(), Program::State::kRunning);
    EXPECT_EQ(program.starts(), 1u);
}

TEST_F(ProgramTest, OwnLatenessIsForgiven) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    now_ += 5 * kSecond;
    program.service(now_);  // heartbeat sent
    now_ += 3600 * kSecond;
    program.service(now_);
    EXPECT_EQ(program.state(), Program::State::kRunning);
}

// The worker was busy: the answer has come long ago and lies in the socket.
TEST_F(ProgramTest, AnswerNotYetReadIsNoSilence) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    now_ += 5 * kSecond;
    program.service(now_);  // heartbeat queued
    program.service(now_);  // and written
    pollfd wait = {program.wait_fd(), POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, 10000), 1);
    now_ += 10 * kSecond + kSecond / 2;
    program.service(now_);
    EXPECT_EQ(program.state(), Program::State::kRunning);
    EXPECT_FALSE(program.next());
    EXPECT_EQ(program.state(), Program::State::kRunning);
    pass(program, 60 * kSecond);
    EXPECT_EQ(program.starts(), 1u);
    EXPECT_EQ(program.take_failure(), "");
}

// Read, but nobody has asked for frames: punctual all the time, and still no silence.
TEST_F(ProgramTest, AnswerNotYetHandedOutIsNoSilence) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    now_ += 5 * kSecond;
    for (int i = 0; i < 30; ++i) {
        program.service(now_);
        pollfd wait = {program.wait_fd(), POLLIN, 0};
        poll(&wait, 1, i < 2 ? 10000 : 0);
        now_ += kSecond / 2;
    }
    EXPECT_EQ(program.state(), Program::State::kRunning);
    EXPECT_FALSE(program.next());
    EXPECT_EQ(program.state(), Program::State::kRunning);
    EXPECT_EQ(program.take_failure(), "");
}

TEST_F(ProgramTest, HelloNotYetReadIsNoSilence) {
    Program program(peer("plain"));
    program.service(now_);
    pollfd wait = {program.wait_fd(), POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, 10000), 1);
    now_ += 10 * kSecond + kSecond / 2;
    program.service(now_);
    EXPECT_EQ(program.state(), Program::State::kStarting);
    EXPECT_FALSE(program.next());
    EXPECT_EQ(program.state(), Program::State::kRunning);
}

// What the worker was away for does not count; the rest does.
TEST_F(ProgramTest, SilentProgramIsKilledAfterLateness) {
    Program program(peer("deaf"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    pass(program, 5 * kSecond);  // heartbeat sent
    now_ += 60 * kSecond;
    program.service(now_);
    EXPECT_FALSE(program.next());
    EXPECT_EQ(program.state(), Program::State::kRunning);
    pass(program, 8 * kSecond);
    EXPECT_EQ(program.state(), Program::State::kRunning);
    pass(program, 2 * kSecond);
    EXPECT_NE(failure_of(program).find("did not answer for 10 s"), std::string::npos);
}

// A worker that is late again and again still gets rid of it.
TEST_F(ProgramTest, SilentProgramIsKilledByABusyWorker) {
    Program program(peer("deaf"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    pass(program, 5 * kSecond);
    for (int i = 0; i < 20 && program.state() == Program::State::kRunning; ++i) {
        program.service(now_ += 12 * kSecond);
        while (program.next()) continue;
    }
    EXPECT_NE(failure_of(program).find("did not answer for 10 s"), std::string::npos);
}

TEST_F(ProgramTest, MuteProgramIsKilled) {
    Program program(peer("mute"));
    program.service(now_);
    pass(program, 10 * kSecond - 1);
    EXPECT_EQ(program.state(), Program::State::kStarting);
    pass(program, 1);
    EXPECT_NE(failure_of(program).find("did not say hello"), std::string::npos);
}

TEST_F(ProgramTest, OtherVersionStaysAway) {
    Program program(peer("other-version"));
    ASSERT_TRUE(serve_until(program, Program::State::kMismatched));
    EXPECT_NE(program.take_failure().find("restart the server to finish the upgrade"),
              std::string::npos);
    for (int i = 0; i < 3; ++i) program.service(now_ += 60 * kSecond);
    EXPECT_EQ(program.state(), Program::State::kMismatched);
    EXPECT_EQ(program.starts(), 1u);
    EXPECT_FALSE(program.send(make_frame(Stop{})));
}

TEST_F(ProgramTest, MalformedFrameEndsIt) {
    Program program(peer("malformed"));
    EXPECT_NE(failure_of(program).find("malformed frame"), std::string::npos);
}

TEST_F(ProgramTest, LastWordsAreHeard) {
    auto options = peer("last-words");
    options.restart = false;
    Program program(options);
    ASSERT_TRUE(serve_until(program, Program::State::kWaiting));
    ASSERT_EQ(lines_.size(), 1u);
    EXPECT_EQ(lines_.front(), "last words");
    EXPECT_EQ(program.take_failure(), "");
    program.service(now_ += 1000 * kSecond);
    EXPECT_EQ(program.starts(), 1u);
}

TEST_F(ProgramTest, MissingExecutableIsNamed) {
    Program program({.path = "/nonexistent/pganalytics", .subcommand = "ship", .queue_limit = 1});
    ASSERT_TRUE(serve_until(program, Program::State::kWaiting));
    EXPECT_EQ(program.take_failure(),
              "program \"pganalytics ship\" could not be executed: No such file or directory");
}

TEST_F(ProgramTest, RejectedProgramIsKilled) {
    Program program(peer("plain"));
    ASSERT_TRUE(serve_until(program, Program::State::kRunning));
    program.reject("it sent a frame that is not understood");
    EXPECT_NE(failure_of(program).find("not understood"), std::string::npos);
}

TEST_F(ProgramTest, StopIsQuickWhateverTheProgramDoes) {
    for (const char* mode : {"plain", "stubborn", "stopped"}) {
        Program program(peer(std::string(mode) == "stopped" ? "plain" : mode));
        ASSERT_TRUE(serve_until(program, Program::State::kRunning));
        const pid_t pid = program.pid();
        program.send(make_frame(FrameType::kRowsetRows, std::string(500000, 'x')));
        program.service(now_);
        if (std::string(mode) == "stopped") kill(pid, SIGSTOP);
        const auto before = Clock::now();
        program.stop_now();
        EXPECT_LT(Clock::now() - before, std::chrono::milliseconds(600)) << mode;
        EXPECT_FALSE(is_alive(pid)) << mode;
        EXPECT_EQ(program.pid(), 0);
        program.service(now_ += 1000 * kSecond);
        EXPECT_EQ(program.starts(), 1u);
    }
}

// The parent is killed while the program is stopped: end of file alone would leave it behind.
TEST_F(ProgramTest, DiesWithItsParent) {
    int report[2];
    ASSERT_EQ(pipe(report), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        Program program(peer("plain"));
        serve_until(program, Program::State::kRunning);
        const pid_t pid = program.pid();
        kill(pid, SIGSTOP);
        static_cast<void>(!write(report[1], &pid, sizeof pid));
        pause();
        _exit(0);
    }
    pid_t pid = 0;
    ASSERT_EQ(read(report[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    close(report[0]);
    close(report[1]);
    ASSERT_GT(pid, 1);
    ASSERT_TRUE(is_alive(pid));
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    const auto deadline = Clock::now() + std::chrono::seconds(5);
    while (is_alive(pid) && Clock::now() < deadline) usleep(1000);
    EXPECT_FALSE(is_alive(pid));
}

}  // namespace
}  // namespace pganalytics::pg

// Processes made by the test, looked at from inside through /proc and from outside.
#include "pganalytics/host/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <new>
#include <stdexcept>

#include "support/command.hpp"

extern char** environ;

namespace pganalytics::host {
namespace {

using testing::read_text;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// Runs `body` in a child whose descriptor 3 is a socket; what it writes there is the answer.
struct ChildEnd {
    int status = 0;
    std::string answer;
};

ChildEnd in_child(const std::function<void()>& body, bool socket_at_three = true) {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (socket_at_three) {
            dup2(ends[1], 3);
        } else {
            dup2(open("/dev/null", O_RDWR), 3);
        }
        body();
        _exit(0);
    }
    close(ends[1]);
    ChildEnd end;
    char piece[4096];
    while (const ssize_t count = read(ends[0], piece, sizeof piece)) {
        if (count < 0) break;
        end.answer.append(piece, static_cast<size_t>(count));
    }
    close(ends[0]);
    waitpid(child, &end.status, 0);
    return end;
}

void say(const std::string& text) {
    if (write(3, text.data(), text.size()) < 0) _exit(9);
}

std::string field(const std::string& text, const std::string& name) {
    const size_t at = text.find("\n" + name + ":");
    if (at == std::string::npos) return "missing";
    const size_t begin = text.find_first_not_of(" \t", at + name.size() + 2);
    return text.substr(begin, text.find('\n', begin) - begin);
}

TEST(Process, UnderAWorkerNothingIsInherited) {
    setenv("SSLKEYLOGFILE", "/tmp/keys", 1);
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    const ChildEnd end = in_child([] {
        signal(SIGINT, SIG_IGN);
        signal(SIGUSR1, [](int) {});
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, nullptr);
        for (int i = 0; i < 20; ++i) static_cast<void>(dup(3));
        static_cast<void>(dup2(3, 200));
        if (!start_under_worker()) say("refused");
        std::string text = "\n" + read_text("/proc/self/status");
        text += "\nOom: " + read_text("/proc/self/oom_score_adj");
        for (int i = 0; i < 1024; ++i) {
            if (fcntl(i, F_GETFD) >= 0) text += "\nFd" + std::to_string(i) + ": open";
        }
        for (char** name = environ; *name != nullptr; ++name)
            text += std::string("\nEnv: ") + *name;
        char directory[64] = "";
        if (getcwd(directory, sizeof directory) == nullptr) _exit(8);
        text += std::string("\nCwd: ") + directory;
        int death = 0;
        prctl(PR_GET_PDEATHSIG, &death);
        text += "\nDeath: " + std::to_string(death);
        text += "\nDump: " + std::to_string(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
        text += "\nMask: " + std::to_string(umask(0));
        text += "\nLimits: " + read_text("/proc/self/limits");
        say(text + "\n");
    });
    unsetenv("SSLKEYLOGFILE");
    unsetenv("https_proxy");
    EXPECT_EQ(end.status, 0);
    const std::string& text = end.answer;
    EXPECT_EQ(field(text, "SigBlk"), "0000000000000000");
    // 32 and 33 are the C library's own: whoever was started by its posix_spawn() has them ignored,
    // and no program can reach them.
    const uint64_t ignored = std::stoull(field(text, "SigIgn"), nullptr, 16);
    EXPECT_EQ(ignored & ~(uint64_t{3} << 31), uint64_t{1} << (SIGPIPE - 1));
    EXPECT_EQ(field(text, "SigCgt"), "0000000000000000");
    EXPECT_EQ(field(text, "NoNewPrivs"), "1");
    EXPECT_EQ(field(text, "Oom"), "500");
    EXPECT_EQ(field(text, "Cwd"), "/");
    EXPECT_EQ(field(text, "Death"), std::to_string(SIGKILL));
    EXPECT_EQ(field(text, "Dump"), "0");
    EXPECT_EQ(field(text, "Mask"), std::to_string(077));
    for (const int number : {0, 1, 2, 3}) {
        EXPECT_EQ(field(text, "Fd" + std::to_string(number)), "open") << number;
    }
    for (int number = 4; number < 1024; ++number) {
        EXPECT_EQ(field(text, "Fd" + std::to_string(number)), "missing") << number;
    }
    EXPECT_NE(text.find("\nEnv: PATH=/usr/bin:/bin\nEnv: LC_ALL=C\n"), std::string::npos) << text;
    EXPECT_EQ(text.find("SSLKEYLOGFILE"), std::string::npos);
    EXPECT_EQ(text.find("proxy"), std::string::npos);
    EXPECT_NE(text.find("Max core file size        0                    0 "), std::string::npos);
}

TEST(Process, WithoutAFrameSocketItDoesNotStart) {
    for (const bool socket : {false, true}) {
        const ChildEnd end = in_child([] { _exit(start_under_worker() ? 0 : 7); }, socket);
        EXPECT_EQ(WEXITSTATUS(end.status), socket ? 0 : 7);
    }
}

TEST(Process, DiesWithItsParent) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        const pid_t child = fork();
        if (child == 0) {
            dup2(ends[1], 3);
            if (!start_under_worker()) _exit(1);
            say("started");
            raise(SIGSTOP);  // does not read, does not look
            pause();
            _exit(0);
        }
        pause();
        _exit(0);
    }
    close(ends[1]);
    char piece[16];
    ASSERT_EQ(read(ends[0], piece, 7), 7);
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    // End of file comes when the stopped child is gone, too.
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(read(ends[0], piece, sizeof piece), 0);
    close(ends[0]);
}

TEST(Process, ToolsKeepStandardDescriptorsAndDirectory) {
    const ChildEnd end = in_child([] {
        // The answer's way survives as standard output.
        dup2(3, 1);
        close(0);
        if (!start_as_tool()) _exit(1);
        char directory[256] = "";
        if (getcwd(directory, sizeof directory) == nullptr) _exit(8);
        const std::string text = std::string(directory) + (fcntl(3, F_GETFD) < 0 ? " closed" : "") +
                                 (fcntl(0, F_GETFD) >= 0 ? " filled" : "") +
                                 (getenv("HOME") == nullptr ? " clean" : "");
        if (write(1, text.data(), text.size()) < 0) _exit(9);
    });
    EXPECT_EQ(end.answer, std::filesystem::current_path().string() + " closed filled clean");
}

TEST(Process, MemoryIsLimited) {
    if (kSanitized) {
        const ChildEnd end = in_child([] {
            if (!limit_memory(96 << 20)) _exit(1);
            say("\n" + read_text("/proc/self/limits"));
        });
        EXPECT_NE(end.answer.find("Max data size             100663296"), std::string::npos);
        return;
    }
    const ChildEnd end = in_child([] {
        if (!limit_memory(96 << 20)) _exit(1);
        try {
            const std::string large(200 << 20, 'x');
            say(large.substr(0, 5));
        } catch (const std::bad_alloc&) {
            say("refused");
        }
    });
    EXPECT_EQ(end.answer, "refused");
}

// A call, so that the compiler does not see where it leads.
void hurl(const std::function<void()>& thrower) { thrower(); }

class LastWords : public ::testing::Test {
  protected:
    std::string path() { return folder_ / "ship.last_words"; }
    ChildEnd dying(const std::function<void()>& way) {
        return in_child([&] {
            // The sanitizers' own report is not wanted here.
            dup2(open("/dev/null", O_RDWR), 2);
            if (!keep_last_words(folder_.path(), "ship")) _exit(1);
            way();
        });
    }
    testing::TemporaryFolder folder_;
};

TEST_F(LastWords, NoneWhereAllIsWell) {
    EXPECT_EQ(dying([] {}).status, 0);
    EXPECT_EQ(read_text(path()), "");
    EXPECT_EQ(testing::run_command("stat -c %a " + path()).output, "600\n");
}

TEST_F(LastWords, OfSignals) {
    const ChildEnd end = dying([] { raise(SIGSEGV); });
    // The worker sees the true cause.
    EXPECT_TRUE(WIFSIGNALED(end.status));
    EXPECT_EQ(WTERMSIG(end.status), SIGSEGV);
    const std::string words = read_text(path());
    EXPECT_TRUE(words.starts_with("ship process ")) << words;
    EXPECT_NE(words.find("s since 1970: signal 11 at address 0x"), std::string::npos) << words;
    EXPECT_TRUE(words.ends_with("\n"));
    EXPECT_EQ(WTERMSIG(dying([] { abort(); }).status), SIGABRT);
    EXPECT_NE(read_text(path()).find("signal 6\n"), std::string::npos);
}

TEST_F(LastWords, OfAnOverflownStack) {
    static const std::function<int(int)> endless = [](int depth) {
        volatile char room[4096];
        room[0] = static_cast<char>(depth);
        return endless(depth + 1) + room[0];
    };
    const ChildEnd end = dying([] { _exit(endless(0)); });
    EXPECT_TRUE(WIFSIGNALED(end.status));
    EXPECT_NE(read_text(path()).find("signal 11 at address 0x"), std::string::npos)
        << read_text(path());
}

TEST_F(LastWords, OfExceptions) {
    const ChildEnd end =
        dying([]() noexcept { hurl([] { throw std::runtime_error("the\ncause"); }); });
    EXPECT_TRUE(WIFSIGNALED(end.status));
    EXPECT_EQ(WTERMSIG(end.status), SIGABRT);
    const std::string words = read_text(path());
    EXPECT_NE(words.find("uncaught exception: the?cause\n"), std::string::npos) << words;
    EXPECT_EQ(std::count(words.begin(), words.end(), '\n'), 1);
    dying([]() noexcept { hurl([] { throw std::bad_alloc(); }); });
    EXPECT_NE(read_text(path()).find("uncaught exception: std::bad_alloc"), std::string::npos);
    dying([]() noexcept { hurl([] { throw std::runtime_error(std::string(5000, 'x')); }); });
    EXPECT_LT(read_text(path()).size(), 1000U);
}

TEST_F(LastWords, FileStaysBounded) {
    std::string old;
    for (int i = 0; i < 20'000; ++i) old += "line " + std::to_string(i) + "\n";
    testing::write_text(path(), old);
    dying([] { abort(); });
    const std::string words = read_text(path());
    EXPECT_LT(words.size(), 64U * 1024);
    EXPECT_NE(words.find("line 19999\n"), std::string::npos);
    EXPECT_NE(words.find("signal 6\n"), std::string::npos);
}

TEST_F(LastWords, LinksAreNotFollowed) {
    ASSERT_EQ(symlink("/etc/passwd", path().c_str()), 0);
    EXPECT_FALSE(keep_last_words(folder_.path(), "ship"));
}

TEST(SelfUsage, AgreesWithProc) {
    const SelfUsage before = self_usage();
    // The kernel's other clock of the same time.
    const auto cpu_us = [] {
        timespec time{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
    };
    const int64_t begin = cpu_us();
    while (cpu_us() - begin < 50'000) continue;
    const SelfUsage after = self_usage();
    EXPECT_GE(after.cpu_us + 1000, before.cpu_us + 50'000);
    const std::string status = "\n" + read_text("/proc/self/status");
    const uint64_t resident = std::stoull(field(status, "VmRSS")) * 1024;
    EXPECT_GT(after.resident_bytes, resident / 2);
    EXPECT_LT(after.resident_bytes, resident * 2);
    EXPECT_GT(after.private_bytes, 0U);
    EXPECT_LE(after.private_bytes, after.resident_bytes);
}

TEST(Clocks, Agree) {
    EXPECT_NEAR(static_cast<double>(now_seconds()),
                std::stod(testing::run_command("date +%s").output), 2.0);
    EXPECT_LE(now_us() / 1'000'000 - now_seconds(), 1);
    const int64_t first = monotonic_us();
    EXPECT_LE(first, monotonic_us());
}

}  // namespace
}  // namespace pganalytics::host

// Children enter the sandbox and try what it forbids; what became of them is the answer.
#include "pganalytics/host/sandbox.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process_io.hpp"
#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using testing::read_text;
using testing::TemporaryFolder;
using testing::write_text;

// Exit statuses of a child.
constexpr int kDone = 0;
constexpr int kRefused = 1;
constexpr int kNoSandbox = 77;

int in_child(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

bool done(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == kDone; }
bool refused(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == kRefused; }
bool killed(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

int outcome(bool succeeded) { return succeeded ? kDone : kRefused; }
int outcome(long result) { return outcome(result >= 0); }

bool opens(const std::string& path, int flags) {
    const int file = open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
    return file >= 0;
}

int socket_of(int family, int type = SOCK_STREAM) { return socket(family, type | SOCK_CLOEXEC, 0); }

int connects_to(uint16_t port) {
    const int end = socket_of(AF_INET);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const int result = connect(end, reinterpret_cast<sockaddr*>(&address), sizeof address);
    return result == 0 ? 0 : errno;
}

class SandboxTest : public ::testing::TestWithParam<SandboxRole> {
  protected:
    void SetUp() override {
#ifdef PGANALYTICS_COVERAGE
        GTEST_SKIP() << "this build has no sandbox";
#endif
        if (landlock_version() < 2)
            GTEST_SKIP() << "this kernel has no Landlock; take Linux 5.19 or later, with landlock "
                            "among the names in /sys/kernel/security/lsm";
        ASSERT_TRUE(make_state_directory(folder_ / "state", false));
        mkdir((folder_ / "state/identity.new").c_str(), 0700);
        mkdir((folder_ / "state/hub").c_str(), 0700);
        mkdir((folder_ / "given").c_str(), 0755);
        mkdir((folder_ / "data").c_str(), 0700);
        write_text(folder_ / "state/hub/ca.key", "CA's");
        write_text(folder_ / "state/hub/server.key", "server's");
        write_text(folder_ / "given/cert", "first");
        write_text(folder_ / "data/PG_VERSION", "15");
        write_text(folder_ / "data/table", "rows");
        write_text(folder_ / "outside", "outside");
    }

    SandboxPlan plan(SandboxRole role) const {
        SandboxPlan plan;
        plan.role = role;
        plan.kept_out = {folder_ / "state/hub"};
        plan.files = {folder_ / "given/cert"};
        plan.resolves_names = role != SandboxRole::kKeys;
        if (role == SandboxRole::kServe) plan.files.push_back(folder_ / "state/hub/server.key");
        if (role == SandboxRole::kShip) {
            plan.list = {"/"};
            plan.read = {"/proc"};
            plan.change = {folder_ / "state"};
            for (const char* part : {"identity", "identity.new", "config", "spool"})
                plan.write.push_back(folder_ / "state/" + part);
        }
        if (role == SandboxRole::kKeys) {
            plan.list = {folder_ / "state"};
            plan.write = {folder_ / "state/hub"};
        }
        return plan;
    }

    // What became of a child that tried it inside.
    int tries(SandboxRole role, const std::function<int(const Sandbox&)>& body) const {
        return in_child([&] {
            Sandbox sandbox;
            sandbox.enter(plan(role));
            return sandbox.missing().empty() ? body(sandbox) : kNoSandbox;
        });
    }
    int tries(SandboxRole role, const std::function<int()>& body) const {
        return tries(role, [&body](const Sandbox&) { return body(); });
    }

    TemporaryFolder folder_;
};

std::string role_name(const ::testing::TestParamInfo<SandboxRole>& info) {
    constexpr const char* kNames[] = {"Ship", "Serve", "Keys"};
    return kNames[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Roles, SandboxTest,
                         ::testing::Values(SandboxRole::kShip, SandboxRole::kServe,
                                           SandboxRole::kKeys),
                         role_name);

TEST_P(SandboxTest, IsCompleteHere) {
    EXPECT_TRUE(done(tries(GetParam(), [] { return kDone; })))
        << "this kernel lacks Landlock or seccomp: nothing else here can be shown";
}

TEST_P(SandboxTest, WhatOnlyAnIntruderDoesEndsTheProcess) {
    const auto calls = {
        +[] { return syscall(SYS_execve, "/bin/true", nullptr, nullptr); },
        +[] { return syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0); },
        +[] { return syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); },
        +[] { return syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); },
        +[] { return syscall(SYS_process_vm_writev, getppid(), nullptr, 0, nullptr, 0, 0); },
        +[] { return syscall(SYS_mount, "none", "/", "tmpfs", 0, nullptr); },
        +[] { return syscall(SYS_umount2, "/", 0); },
        +[] { return syscall(SYS_chroot, "/"); },
        +[] { return syscall(SYS_bpf, 0, nullptr, 0); },
        +[] { return syscall(SYS_keyctl, 0, 0, 0, 0, 0); },
        +[] { return syscall(SYS_init_module, nullptr, 0, ""); },
        +[] { return syscall(SYS_unshare, 0x10000000); },
        +[] { return syscall(SYS_setns, 0, 0); },
        +[] { return syscall(SYS_setuid, getuid()); },
        +[] { return syscall(SYS_setresuid, -1, -1, -1); },
        +[] { return syscall(SYS_setgroups, 0, nullptr); },
        +[] { return syscall(SYS_capset, nullptr, nullptr); },
        +[] { return syscall(SYS_reboot, 0, 0, 0, nullptr); },
        +[] { return syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); },
        +[] { return syscall(SYS_userfaultfd, 0); },
    };
    int number = 0;
    for (const auto call : calls) {
        ++number;
        EXPECT_TRUE(killed(tries(GetParam(), [call] { return outcome(call()); })))
            << "call " << number << " of the list";
    }
}

TEST_P(SandboxTest, ForeignSystemCallsEndTheProcess) {
#ifdef __x86_64__
    constexpr long kX32 = 0x40000000;
    EXPECT_TRUE(killed(tries(GetParam(), [] { return outcome(syscall(kX32 + SYS_getpid)); })));
    EXPECT_TRUE(killed(tries(GetParam(), [] {
        long result = SYS_getpid;
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
        return outcome(result);
    })));
#endif
}

TEST_P(SandboxTest, WhatItDoesNotNeedIsRefused) {
    const pid_t parent = getpid();
    const std::function<int()> attempts[] = {
#ifdef SYS_fork
        [] { return outcome(long{syscall(SYS_fork)}); },
#endif
        [] { return outcome(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); },
        [] { return outcome(syscall(SYS_clone3, nullptr, 0)); },
        [parent] { return outcome(kill(parent, SIGCONT) == 0); },
        [parent] { return outcome(syscall(SYS_tgkill, parent, parent, SIGCONT)); },
        [parent] { return outcome(syscall(SYS_pidfd_open, parent, 0)); },
        [parent] { return outcome(fcntl(0, F_SETOWN, parent) == 0); },
        [] { return outcome(fcntl(0, F_SETSIG, SIGKILL) == 0); },
        [] { return outcome(socket_of(AF_UNIX) >= 0); },
        [] { return outcome(socket_of(AF_UNIX, SOCK_DGRAM) >= 0); },
        [] { return outcome(socket_of(AF_PACKET, SOCK_RAW) >= 0); },
        [] { return outcome(socket_of(AF_INET, SOCK_RAW) >= 0); },
        [] { return outcome(socket(AF_NETLINK, SOCK_RAW, 9) >= 0); },  // audit
        [] { return outcome(socket_of(AF_ALG, SOCK_SEQPACKET) >= 0); },
        [] { return outcome(socket_of(40 /* AF_VSOCK */) >= 0); },
        [] { return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0); },
        [] { return outcome(syscall(SYS_io_uring_setup, 1, nullptr)); },
        [] {
            return outcome(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        },
        [] {
            void* page =
                mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            return outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
        },
        [this] { return outcome(chmod((folder_ / "given/cert").c_str(), 04755) == 0); },
        [this] { return outcome(chown((folder_ / "given/cert").c_str(), 0, 0) == 0); },
        [this] { return outcome(symlink("/etc/shadow", (folder_ / "state/s").c_str()) == 0); },
        [this] { return outcome(mkfifo((folder_ / "state/fifo").c_str(), 0600) == 0); },
        [this] { return outcome(opens(folder_ / "outside", O_RDONLY)); },
        [this] { return outcome(opens(folder_ / "outside", O_WRONLY)); },
        [this] { return outcome(opens(folder_ / "new", O_WRONLY | O_CREAT)); },
        [this] { return outcome(opens(folder_ / "given/cert", O_RDWR)); },
        [this] { return outcome(opens(folder_ / "given/new", O_WRONLY | O_CREAT)); },
        [this] { return outcome(opens(folder_ / "data/table", O_RDONLY)); },
        [] { return outcome(opens("/etc/passwd", O_RDONLY)); },
        [] { return outcome(opens("/etc/shadow", O_RDONLY)); },
        [parent] { return outcome(opens("/proc/" + std::to_string(parent) + "/mem", O_RDONLY)); },
        [] { return outcome(opens("/proc/self/oom_score_adj", O_WRONLY)); },
        [this] { return outcome(truncate((folder_ / "data/table").c_str(), 0) == 0); },
        [this] { return outcome(unlink((folder_ / "outside").c_str()) == 0); },
    };
    int number = 0;
    for (const auto& attempt : attempts) {
        const int status = tries(GetParam(), attempt);
        EXPECT_TRUE(refused(status)) << "attempt " << number << " of the list: status " << status;
        ++number;
    }
    EXPECT_EQ(read_text(folder_ / "outside"), "outside");
    EXPECT_EQ(read_text(folder_ / "data/table"), "rows");
}

// Root may look into every process; so it is nobody, of whom there are two.
class LookingOutsideTest : public SandboxTest {
  protected:
    // `body` gets the number of a process outside, of the same user.
    static int as_nobody(const std::function<int(pid_t outside)>& body) {
        return in_child([&] {
            constexpr uid_t kNobody = 65534;
            if (geteuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) return kNoSandbox;
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
            const pid_t outside = getpid();
            const int status = in_child([&] { return body(outside); });
            return WIFEXITED(status) ? WEXITSTATUS(status) : kNoSandbox;
        });
    }
    static bool opens_of(pid_t pid, const std::string& file) {
        return opens("/proc/" + std::to_string(pid) + "/" + file, O_RDONLY);
    }
};

TEST_F(LookingOutsideTest, ProcessesOutsideAreNotLookedInto) {
    for (const char* file : {"environ", "mem", "maps"}) {
        const auto tries_it = [this, file](SandboxRole role, bool inside) {
            return as_nobody([&](pid_t outside) {
                Sandbox sandbox;
                if (inside) sandbox.enter(plan(role));
                return outcome(opens_of(outside, file));
            });
        };
        EXPECT_TRUE(done(tries_it(SandboxRole::kShip, false))) << file;
        EXPECT_TRUE(refused(tries_it(SandboxRole::kShip, true))) << file;
        EXPECT_TRUE(refused(tries_it(SandboxRole::kServe, true))) << file;
    }
}

// The same attempts outside, so that what is refused is refused by the sandbox.
TEST_F(SandboxTest, OutsideItTheyWork) {
    EXPECT_TRUE(done(in_child([this] { return outcome(opens(folder_ / "outside", O_RDWR)); })));
    EXPECT_TRUE(
        done(in_child([this] { return outcome(opens(folder_ / "new", O_WRONLY | O_CREAT)); })));
    EXPECT_TRUE(done(in_child([] { return outcome(opens("/etc/passwd", O_RDONLY)); })));
    EXPECT_TRUE(done(in_child([] { return outcome(socket_of(AF_UNIX) >= 0); })));
    EXPECT_TRUE(done(in_child([] { return outcome(long{kill(getppid(), SIGCONT)}); })));
    EXPECT_TRUE(done(in_child([] {
        return outcome(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    })));
}

TEST_P(SandboxTest, ItsOwnWorkGoesOn) {
    EXPECT_TRUE(done(tries(GetParam(), [this] {
        bool works = read_text(folder_ / "given/cert") == "first";
        // What replaces it is read, too.
        pthread_t thread;
        works =
            works && pthread_create(
                         &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) == 0;
        works = works && pthread_join(thread, nullptr) == 0;
        struct stat facts {};
        works = works && stat("/etc/passwd", &facts) == 0;
        raise(SIGCONT);
        return outcome(works && !std::vector<int>(1000, 7).empty());
    })));
}

TEST_F(SandboxTest, WhatReplacesAGivenFileIsRead) {
    EXPECT_TRUE(done(tries(SandboxRole::kServe, [this](const Sandbox& sandbox) {
        // Somebody outside replaces it; here the test itself, by its parent's hand.
        return outcome(sandbox.covers_file(folder_ / "given/cert") && !sandbox.outdated() &&
                       sandbox.covers_file(folder_ / "given/other"));
    })));
    const int status = in_child([this] {
        Sandbox sandbox;
        int ends[2];
        if (pipe(ends) != 0) return kRefused;
        const pid_t other = fork();
        if (other == 0) {
            char byte = 0;
            if (read(ends[0], &byte, 1) < 0) _exit(1);
            write_text(folder_ / "given/cert.new", "second");
            rename((folder_ / "given/cert.new").c_str(), (folder_ / "given/cert").c_str());
            write_text(folder_ / "state/hub/key.new", "second");
            rename((folder_ / "state/hub/key.new").c_str(),
                   (folder_ / "state/hub/server.key").c_str());
            _exit(0);
        }
        sandbox.enter(plan(SandboxRole::kServe));
        const bool before =
            !sandbox.outdated() && read_text(folder_ / "state/hub/server.key") == "server's";
        if (!before || write(ends[1], "x", 1) != 1) return kRefused;
        for (int i = 0; i < 500 && !sandbox.outdated(); ++i) usleep(20'000);
        // In a directory of its own: read. Beside the CA's key: only by a new process, and said.
        return outcome(read_text(folder_ / "given/cert") == "second" && sandbox.outdated() &&
                       !opens(folder_ / "state/hub/server.key", O_RDONLY));
    });
    EXPECT_TRUE(done(status));
}

TEST_F(SandboxTest, OnlyKeysOpensTheKeyOfTheAuthority) {
    const auto open_it = [this] { return outcome(opens(folder_ / "state/hub/ca.key", O_RDONLY)); };
    EXPECT_TRUE(refused(tries(SandboxRole::kServe, open_it)));
    EXPECT_TRUE(refused(tries(SandboxRole::kShip, open_it)));
    EXPECT_TRUE(done(tries(SandboxRole::kKeys, open_it)));
    // Nor does it come to where ship may read; and what ship makes of the directory's name stays
    // what it is.
    EXPECT_TRUE(done(tries(SandboxRole::kShip, [this] {
        const std::string state = folder_ / "state";
        const std::string key = state + "/hub/ca.key";
        const std::string there = state + "/spool/taken";
        const bool moved = rename(key.c_str(), there.c_str()) == 0;
        const bool linked = link(key.c_str(), there.c_str()) == 0;
        const bool followed = symlink(key.c_str(), there.c_str()) == 0 && opens(there, O_RDONLY);
        const auto swap = [&state] {
            return renameat2(AT_FDCWD, (state + "/hub").c_str(), AT_FDCWD,
                             (state + "/config").c_str(), RENAME_EXCHANGE) == 0;
        };
        const bool swapped = swap() && opens(state + "/config/ca.key", O_RDONLY);
        swap();
        return outcome(!moved && !linked && !followed && !swapped);
    })));
    // Its neighbour is the front's.
    EXPECT_TRUE(done(tries(SandboxRole::kServe, [this] {
        return outcome(opens(folder_ / "state/hub/server.key", O_RDONLY));
    })));
}

TEST_F(SandboxTest, ShipWritesItsDirectoryAndListsTheRest) {
    EXPECT_TRUE(done(tries(SandboxRole::kShip, [this](const Sandbox& sandbox) {
        const std::string state = folder_ / "state";
        return outcome(
            make_state_directory(state, false) &&
            write_file_durably(state + "/spool/1", "pushes") &&
            remove_file_durably(state + "/spool/1") &&
            write_file_durably(state + "/own_rowsets", "names") &&
            write_file_durably(state + "/own_rowsets", "others") &&
            !opens(state + "/own_rowsets", O_RDONLY) && FileLock::take(state + "/ship.lock") &&
            sandbox.covers_tree(state) && !sandbox.covers_tree(folder_ / "data") &&
            opens(folder_ / "data", O_RDONLY | O_DIRECTORY) && opens("/proc/meminfo", O_RDONLY));
    })));
    EXPECT_TRUE(refused(tries(SandboxRole::kServe, [this] {
        return outcome(opens(folder_ / "data", O_RDONLY | O_DIRECTORY));
    })));
}

// The next identity is written beside the one in force, and changes places with it.
TEST_F(SandboxTest, ShipReadsTheIdentityItWrote) {
    const std::string state = folder_ / "state";
    const auto exchange = [&state] {
        return renameat2(AT_FDCWD, (state + "/identity.new").c_str(), AT_FDCWD,
                         (state + "/identity").c_str(), RENAME_EXCHANGE) == 0;
    };
    EXPECT_TRUE(done(tries(SandboxRole::kShip, [&](const Sandbox& sandbox) {
        for (const char* key : {"first", "second", "third"}) {
            if (!write_file_durably(state + "/identity.new/key.pem", key) || !exchange() ||
                read_text(state + "/identity/key.pem") != key || sandbox.outdated())
                return kRefused;
        }
        return kDone;
    })));
    // One that somebody else put there is for a new process.
    EXPECT_TRUE(done(tries(SandboxRole::kShip, [&](const Sandbox& sandbox) {
        const bool before = sandbox.outdated();
        rename((state + "/identity").c_str(), (state + "/elsewhere").c_str());
        mkdir((state + "/identity").c_str(), 0700);
        return outcome(!before && sandbox.outdated() &&
                       write_file_durably(state + "/identity/key.pem", "x") &&
                       !opens(state + "/identity/key.pem", O_RDONLY));
    })));
}

// A listener of the test's stands for the server's own port, open to its own user.
TEST_F(SandboxTest, WhoConnectsAndWhoListens) {
    const int listener = socket_of(AF_INET);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
    ASSERT_EQ(listen(listener, 5), 0);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
    const uint16_t port = ntohs(address.sin_port);
    const auto connects = [port] { return outcome(connects_to(port) == 0); };
    const auto listens = [] {
        const int end = socket_of(AF_INET);
        sockaddr_in any{};
        any.sin_family = AF_INET;
        return outcome(end >= 0 && bind(end, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 &&
                       listen(end, 1) == 0);
    };
    EXPECT_TRUE(done(tries(SandboxRole::kShip, connects)));
    EXPECT_TRUE(refused(tries(SandboxRole::kShip, listens)));
    EXPECT_TRUE(done(tries(SandboxRole::kServe, listens)));
    EXPECT_TRUE(refused(tries(SandboxRole::kKeys, connects)));
    EXPECT_TRUE(refused(tries(SandboxRole::kKeys, listens)));
    // Ports are Landlock's since version 4.
    if (landlock_version() >= 4) {
        EXPECT_TRUE(refused(tries(SandboxRole::kServe, connects)));
    }
    close(listener);
}

TEST_F(SandboxTest, WithoutLandlockTheFilterAloneKeepsServeFromWriting) {
    const auto filtered = [this](int flags) {
        return in_child([this, flags] {
            if (!filter_system_calls(SandboxRole::kServe)) return kNoSandbox;
            return outcome(opens(folder_ / "outside", flags));
        });
    };
    EXPECT_TRUE(done(filtered(O_RDONLY)));
    EXPECT_TRUE(refused(filtered(O_RDWR)));
    EXPECT_TRUE(refused(filtered(O_WRONLY | O_CREAT)));
    EXPECT_TRUE(refused(filtered(O_RDONLY | O_TRUNC)));
}

TEST_F(SandboxTest, WhatIsMissingIsSaid) {
    const int status = in_child([] {
        // A filter from outside, as of a container, that has no Landlock: simulated by a plan that
        // can't be enforced, in a process that has given up all descriptors.
        const rlimit none{.rlim_cur = 0, .rlim_max = 0};
        setrlimit(RLIMIT_NOFILE, &none);
        Sandbox sandbox;
        sandbox.enter({});
        return outcome(sandbox.missing().find("landlock: could not") == 0 &&
                       sandbox.text().find("system_call_filter on") != std::string::npos);
    });
    EXPECT_TRUE(done(status));
}

TEST_F(LookingOutsideTest, TheHelperReadsOneFileOfAnyProcess) {
    EXPECT_TRUE(done(as_nobody([this](pid_t outside) {
        ProcessIoHelper helper;
        if (!helper.start()) return kNoSandbox;
        Sandbox sandbox;
        sandbox.enter(plan(SandboxRole::kShip));
        const Result<std::string> text = helper.read(outside);
        // Not from inside, but through it; and it says so where there is no such process.
        const bool reads = text && text->find("read_bytes: ") != std::string::npos;
        // The kernel refuses when it is read.
        return outcome(read_text("/proc/" + std::to_string(outside) + "/io").empty() && reads &&
                       !helper.read(1 << 30) && !helper.lost());
    })));
}

TEST_F(SandboxTest, TheHelperCanDoNothingElseAndEndsWithItsOwner) {
    ProcessIoHelper helper;
    ASSERT_TRUE(helper.start());
    const std::string folder = "/proc/" + std::to_string(helper.pid());
    ASSERT_TRUE(helper.read(getpid()));
    EXPECT_NE(read_text(folder + "/status").find("Seccomp:\t2"), std::string::npos);
    helper = ProcessIoHelper();
    int status = 0;
    EXPECT_GT(waitpid(-1, &status, 0), 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// End of file ends no process that was stopped.
TEST_F(SandboxTest, AStoppedHelperEndsWithItsOwner) {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    EXPECT_TRUE(done(in_child([&] {
        ProcessIoHelper helper;
        if (!helper.start()) return kNoSandbox;
        const pid_t pid = helper.pid();
        if (!helper.read(pid) || write(ends[1], &pid, sizeof pid) < 0) return kRefused;
        kill(pid, SIGSTOP);
        Sandbox sandbox;
        sandbox.enter(plan(SandboxRole::kShip));
        return kDone;
    })));
    pid_t helper = 0;
    ASSERT_EQ(read(ends[0], &helper, sizeof helper), static_cast<ssize_t>(sizeof helper));
    int status = 0;
    for (int i = 0; i < 500 && waitpid(helper, &status, WNOHANG) == 0; ++i) usleep(20'000);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    kill(helper, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

TEST_F(SandboxTest, AHelperThatIsGoneIsNoticed) {
    ProcessIoHelper helper;
    ASSERT_TRUE(helper.start());
    kill(helper.pid(), SIGKILL);
    int status = 0;
    waitpid(helper.pid(), &status, 0);
    EXPECT_FALSE(helper.read(getpid()));
    EXPECT_TRUE(helper.lost());
}

}  // namespace
}  // namespace pganalytics::host

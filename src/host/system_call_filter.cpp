// The system call filter (see sandbox.hpp), made with libseccomp. Runs in the program.
//
// Default: ENOSYS, which libraries take as "an older kernel" and find another way. The numbers of
// other architectures, x32 among them, end the process.
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

// No library makes these behind our back: who calls them is not our code any more.
constexpr std::string_view kDeadly =
    "execve execveat ptrace process_vm_readv process_vm_writev mount umount2 pivot_root "
    "chroot move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr bpf keyctl "
    "add_key request_key init_module finit_module delete_module kexec_load kexec_file_load "
    "reboot swapon swapoff unshare setns setuid setgid setreuid setregid setresuid setresgid "
    "setgroups setfsuid setfsgid capset userfaultfd iopl ioperm acct quotactl settimeofday "
    "clock_settime adjtimex clock_adjtime sethostname setdomainname open_by_handle_at "
    "pidfd_getfd process_madvise perf_event_open";

// Refused as something that is there but not for us.
constexpr std::string_view kRefused =
    "fork vfork tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open chown "
    "fchown lchown fchownat mknod mknodat symlink symlinkat setxattr fsetxattr lsetxattr "
    "io_uring_setup io_uring_enter io_uring_register personality shmget shmat shmctl semget "
    "semop msgget";

// Bytes of what is open; what files are like; waiting and time; memory and threads (mmap, mprotect,
// clone, prctl: below); signals to oneself (kill, tgkill: below); who one is.
constexpr std::string_view kEverybody =
    "read write readv writev pread64 pwrite64 close lseek _llseek sendto recvfrom sendmsg "
    "recvmsg shutdown dup dup2 dup3 fstat fstat64 newfstatat fstatat64 stat "
    "stat64 lstat lstat64 statx statfs statfs64 fstatfs fstatfs64 access faccessat faccessat2 "
    "readlink readlinkat getdents64 getcwd umask poll ppoll epoll_create1 epoll_create "
    "epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 timerfd_create timerfd_settime "
    "timerfd_gettime select pselect6 _newselect clock_gettime clock_gettime64 clock_getres "
    "clock_nanosleep nanosleep gettimeofday time times restart_syscall munmap mremap brk "
    "madvise mincore futex futex_waitv set_robust_list get_robust_list set_tid_address rseq "
    "sched_yield sched_getaffinity getrandom membarrier exit exit_group arch_prctl "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigreturn sigaltstack getpid gettid getppid "
    "getuid geteuid getgid getegid getuid32 geteuid32 getrusage getrlimit ugetrlimit "
    "setrlimit sysinfo uname getcpu fadvise64";

constexpr std::string_view kFilesWritten =
    "rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir link linkat fsync "
    "fdatasync ftruncate ftruncate64 fallocate flock sync_file_range";

// socketpair: how libcurl wakes itself up; it reaches nobody else.
constexpr std::string_view kSockets =
    "connect bind getsockopt setsockopt getsockname getpeername sendmmsg recvmmsg socketpair "
    "pipe2";

constexpr std::string_view kListening = "listen accept accept4";

constexpr std::string_view kReaderCalls =
    "read write close recvfrom sendto recvmsg sendmsg exit exit_group rt_sigreturn "
    "restart_syscall brk munmap madvise";

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PGANALYTICS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PGANALYTICS_SANITIZED 1
#endif
#endif

#ifdef PGANALYTICS_SANITIZED
// What the sanitizers' runtime needs beside that.
constexpr std::string_view kSanitizers =
    "pipe pipe2 sched_getparam sched_getscheduler mlock munlock mmap futex sigaltstack "
    "rt_sigaction rt_sigprocmask getpid gettid readlink";
#else
constexpr std::string_view kSanitizers;
#endif

class Filter {
  public:
    explicit Filter(uint32_t otherwise) : context_(seccomp_init(otherwise), seccomp_release) {
        if (context_ == nullptr) failure_ = ENOMEM;
    }

    void all(std::string_view names, uint32_t action) {
        while (!names.empty()) {
            const size_t end = std::min(names.find(' '), names.size());
            add(std::string(names.substr(0, end)).c_str(), action, {});
            names.remove_prefix(std::min(end + 1, names.size()));
        }
    }
    void allow(std::string_view names) { all(names, SCMP_ACT_ALLOW); }
    // A call that the kernel of this architecture, or this library, does not know is no failure.
    void add(const char* name, uint32_t action, std::span<const scmp_arg_cmp> arguments) {
        const int number = seccomp_syscall_resolve_name(name);
        if (failure_ != 0 || number == __NR_SCMP_ERROR) return;
        const int added =
            seccomp_rule_add_array(context_.get(), action, number,
                                   static_cast<unsigned>(arguments.size()), arguments.data());
        if (added != 0 && added != -EDOM && added != -EEXIST) failure_ = -added;
    }
    template <class... Comparison>
    void allow_where(const char* name, Comparison... comparison) {
        const scmp_arg_cmp arguments[] = {comparison...};
        add(name, SCMP_ACT_ALLOW, arguments);
    }
    void set(scmp_filter_attr attribute, uint32_t value) {
        if (failure_ == 0) failure_ = -seccomp_attr_set(context_.get(), attribute, value);
    }
    int load() {
        if (failure_ == 0) failure_ = -seccomp_load(context_.get());
        return failure_;
    }

  private:
    std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
    int failure_ = 0;
};

scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}
// Of an int, whose upper half in the register may be anything.
scmp_arg_cmp equal(unsigned argument, uint64_t value) {
    return masked(argument, 0xffffffff, value);
}

// No memory that can be written and run; what is run comes from a file (a library of the resolver).
void allow_memory(Filter& filter) {
    for (const char* map : {"mmap", "mmap2"}) {
        filter.allow_where(map, masked(2, PROT_EXEC, 0));
        filter.allow_where(map, masked(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
                           masked(3, MAP_ANONYMOUS, 0));
    }
    filter.allow_where("mprotect", masked(2, PROT_EXEC, 0));
}

// Threads, but no processes. clone3 keeps its flags in memory, where no filter can look; without it
// the C library takes clone.
void allow_own_affairs(Filter& filter) {
    constexpr uint64_t kThread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    constexpr uint64_t kSpaces = CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID;
    filter.allow_where("clone", masked(0, kThread | kSpaces, kThread));
    for (const unsigned operation :
         {unsigned{PR_SET_NAME}, unsigned{PR_GET_NAME}, 0x53564d41U /* names of memory */}) {
        filter.allow_where("prctl", equal(0, operation));
    }
    // Not those that have the kernel send signals to others (F_SETOWN, F_SETSIG).
    for (const int command : {F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
                              F_SETLKW, F_DUPFD_CLOEXEC}) {
        filter.allow_where("fcntl", equal(1, static_cast<uint64_t>(command)));
    }
    // Limits of its own only.
    filter.allow_where("prlimit64", equal(0, 0));
    filter.allow_where("prlimit64", equal(0, static_cast<uint64_t>(getpid())));
}

void allow_reading(Filter& filter) {
    constexpr uint64_t kChanging = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
    filter.allow_where("open", masked(1, kChanging, 0));
    filter.allow_where("openat", masked(2, kChanging, 0));
}

void allow_writing(Filter& filter) {
    filter.allow(kFilesWritten);
    filter.allow("open openat");
    // Not set-user-id, nor anything for others.
    constexpr uint64_t kForbidden = 07022;
    filter.allow_where("fchmod", masked(1, kForbidden, 0));
}

void allow_sockets(Filter& filter) {
    filter.allow(kSockets);
    for (const int family : {AF_INET, AF_INET6}) {
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            filter.allow_where("socket", equal(0, static_cast<uint64_t>(family)),
                               masked(1, 0xf, static_cast<uint64_t>(type)));
        }
    }
    // The resolver asks which families this machine has addresses of.
    filter.allow_where("socket", equal(0, AF_NETLINK), equal(2, NETLINK_ROUTE));
}

void allow_by_role(Filter& filter, SandboxRole role) {
    filter.allow(kEverybody);
    allow_memory(filter);
    allow_own_affairs(filter);
    for (const uint64_t request : {uint64_t{FIONBIO}, uint64_t{FIONREAD}}) {
        filter.allow_where("ioctl", equal(1, request));
    }
    if (role == SandboxRole::kServe) {
        allow_reading(filter);
    } else {
        allow_writing(filter);
    }
    if (role != SandboxRole::kKeys) allow_sockets(filter);
    if (role == SandboxRole::kServe) filter.allow(kListening);
}

// A process signals nobody but itself.
void forbid(Filter& filter) {
    const scmp_arg_cmp self = equal(0, static_cast<uint64_t>(getpid()));
    for (const char* name : {"kill", "tgkill"}) filter.add(name, SCMP_ACT_ALLOW, {&self, 1});
    filter.all(kRefused, SCMP_ACT_ERRNO(EPERM));
    const scmp_arg_cmp local = equal(0, AF_UNIX);
    filter.add("socket", SCMP_ACT_ERRNO(EACCES), {&local, 1});
    filter.all(kDeadly, SCMP_ACT_KILL_PROCESS);
}

}  // namespace

Status filter_system_calls(SandboxRole role) {
    Filter filter(SCMP_ACT_ERRNO(ENOSYS));
    filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
    if (role == SandboxRole::kReader) {
        filter.allow(kReaderCalls);
        filter.allow(kSanitizers);
        allow_reading(filter);
    } else {
        allow_by_role(filter, role);
    }
    forbid(filter);
    if (const int failure = filter.load(); failure != 0) {
        return system_error("could not install the filter of system calls", "", failure);
    }
    return {};
}

std::string filter_library_text() {
    const scmp_version* version = seccomp_version();
    return "libseccomp " + std::to_string(version->major) + "." + std::to_string(version->minor) +
           "." + std::to_string(version->micro);
}

}  // namespace pganalytics::host

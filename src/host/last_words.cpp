// Last words: what a dying program leaves behind. Part of host/process.hpp. The handlers use
// async-signal-safe calls and preallocated memory only.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <string_view>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

// A file larger than this is cut to its end when the next run starts; one run adds a few hundred
// bytes at most.
constexpr off_t kMostBytes = off_t{64} * 1024;
constexpr off_t kBytesKept = off_t{16} * 1024;
constexpr std::array kFatalSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};

int words_file = -1;
char part_name[32];
std::atomic<bool> spoken = false;
alignas(16) char signal_stack[64 * 1024];

// One line, cut where it is full.
class Line {
  public:
    void text(std::string_view text) {
        const size_t room = sizeof bytes_ - used_ - 1;
        const size_t count = text.size() < room ? text.size() : room;
        std::memcpy(bytes_ + used_, text.data(), count);
        used_ += count;
    }
    void number(uint64_t value, unsigned base = 10) {
        char digits[24];
        size_t at = sizeof digits;
        do {
            digits[--at] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        text({digits + at, sizeof digits - at});
    }
    void write_out(int file) {
        for (size_t i = 0; i < used_; ++i) {
            if (static_cast<unsigned char>(bytes_[i]) < 0x20) bytes_[i] = '?';
        }
        bytes_[used_++] = '\n';
        if (write(file, bytes_, used_) < 0) {
            // Nobody is left to tell.
        }
    }

  private:
    char bytes_[512];
    size_t used_ = 0;
};

void begin(Line& line) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    line.text(part_name);
    line.text(" process ");
    line.number(static_cast<uint64_t>(getpid()));
    line.text(" at ");
    line.number(static_cast<uint64_t>(now.tv_sec));
    line.text(" s since 1970: ");
}

void on_fatal_signal(int number, siginfo_t* info, void*) {
    if (!spoken.exchange(true)) {
        Line line;
        begin(line);
        line.text("signal ");
        line.number(static_cast<uint64_t>(number));
        if (number == SIGSEGV || number == SIGBUS) {
            line.text(" at address 0x");
            line.number(reinterpret_cast<uintptr_t>(info->si_addr), 16);
        }
        line.write_out(words_file);
    }
    // The default action again, so that the worker sees the true cause.
    signal(number, SIG_DFL);
    raise(number);
}

void on_terminate() {
    if (!spoken.exchange(true)) {
        Line line;
        begin(line);
        line.text("uncaught exception: ");
        try {
            if (const auto exception = std::current_exception()) std::rethrow_exception(exception);
            line.text("none");
        } catch (const std::exception& exception) {
            line.text(exception.what());
        } catch (...) {
            line.text("of an unknown type");
        }
        line.write_out(words_file);
    }
    std::abort();
}

Status cut_to_end(int file, const std::string& path) {
    struct stat facts {};
    if (fstat(file, &facts) != 0) return system_error("could not look at file", path, errno);
    if (facts.st_size <= kMostBytes - kBytesKept) return {};
    std::string kept(static_cast<size_t>(kBytesKept), '\0');
    const ssize_t count = pread(file, kept.data(), kept.size(), facts.st_size - kBytesKept);
    if (count < 0 || ftruncate(file, 0) != 0 ||
        write(file, kept.data(), static_cast<size_t>(count)) != count) {
        return system_error("could not shorten file", path, errno);
    }
    return {};
}

void catch_fatal_signals() {
    stack_t stack{};
    stack.ss_sp = signal_stack;
    stack.ss_size = sizeof signal_stack;
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_fatal_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    for (const int number : kFatalSignals) sigaction(number, &action, nullptr);
}

}  // namespace

Status keep_last_words(const std::string& state_directory, const std::string& part) {
    const std::string path = state_directory + "/" + part + ".last_words";
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return system_error("could not open file", path, errno);
    if (Status cut = cut_to_end(file.number(), path); !cut) return cut;
    std::strncpy(part_name, part.c_str(), sizeof part_name - 1);
    if (words_file >= 0) close(words_file);
    words_file = file.release();
    catch_fatal_signals();
    std::set_terminate(on_terminate);
    return {};
}

}  // namespace pganalytics::host

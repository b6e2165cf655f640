// Makes calls for files fail. Loaded (LD_PRELOAD) into `pganalytics ship`; which calls, how often
// and with which error is said in a file that it maps (harness/failing_disk.py writes it).
//
// Only what writes: an open for writing or of a new file, write (before it, or after half of the
// bytes), fsync, rename, unlink, link, ftruncate; and only on regular files and directories, so
// that the talk with the collector and the hub goes on.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "preload.hpp"

namespace {

// As harness/failing_disk.py has it.
enum Call : uint32_t {
    kOpen = 1,
    kWrite = 2,
    kSync = 4,
    kRename = 8,
    kUnlink = 16,
    kTruncate = 32
};

struct Control {
    std::atomic<uint32_t> calls;  // 0: none fails
    uint32_t error;
    uint32_t per_thousand;
    uint32_t padding;
    std::atomic<uint64_t> failed;
    std::atomic<uint64_t> random;
};

Control* control = nullptr;
__thread bool torn = false;  // half of the last write is there

template <class Function>
Function next(Function, const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

__attribute__((constructor)) void begin() { control = preload::map_control<Control>("FAIL_DISK"); }

// xorshift64*
uint64_t draw() {
    uint64_t x = control->random.load(std::memory_order_relaxed) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    control->random.store(x, std::memory_order_relaxed);
    return (x * 0x2545F4914F6CDD1D) >> 33;
}

bool fails(Call call) {
    if (control == nullptr || (control->calls.load() & call) == 0) return false;
    if (draw() % 1000 >= control->per_thousand) return false;
    ++control->failed;
    errno = static_cast<int>(control->error);
    return true;
}

bool is_file(int descriptor) {
    struct stat facts;
    return fstat(descriptor, &facts) == 0 && (S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode));
}

bool opening_fails(int flags) {
    return (flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0 && (flags & O_TMPFILE) != O_TMPFILE &&
           fails(kOpen);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = va_arg(more, mode_t);
    va_end(more);
    static const auto real = next(&open, "open");
    return opening_fails(flags) ? -1 : real(path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = va_arg(more, mode_t);
    va_end(more);
    static const auto real = next(&openat, "openat");
    return opening_fails(flags) ? -1 : real(directory, path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t count) {
    static const auto real = next(&write, "write");
    if (control == nullptr || !is_file(file)) return real(file, bytes, count);
    if (torn || fails(kWrite)) {
        // The disk is full in the middle of it: a part is written, and what comes then is refused.
        if (!torn && count > 1 && (draw() & 1) != 0) {
            torn = true;
            return real(file, bytes, count / 2);
        }
        torn = false;
        errno = static_cast<int>(control->error);
        return -1;
    }
    return real(file, bytes, count);
}

int fsync(int file) {
    static const auto real = next(&fsync, "fsync");
    return fails(kSync) ? -1 : real(file);
}

int fdatasync(int file) {
    static const auto real = next(&fdatasync, "fdatasync");
    return fails(kSync) ? -1 : real(file);
}

int ftruncate(int file, off_t bytes) {
    static const auto real = next(&ftruncate, "ftruncate");
    return fails(kTruncate) ? -1 : real(file, bytes);
}

int rename(const char* from, const char* to) {
    static const auto real = next(&rename, "rename");
    return fails(kRename) ? -1 : real(from, to);
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) {
    static const auto real = next(&renameat, "renameat");
    return fails(kRename) ? -1 : real(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
    static const auto real = next(&renameat2, "renameat2");
    return fails(kRename) ? -1 : real(from_directory, from, to_directory, to, flags);
}

int link(const char* from, const char* to) {
    static const auto real = next(&link, "link");
    return fails(kRename) ? -1 : real(from, to);
}

int unlink(const char* path) {
    static const auto real = next(&unlink, "unlink");
    return fails(kUnlink) ? -1 : real(path);
}

int unlinkat(int directory, const char* path, int flags) {
    static const auto real = next(&unlinkat, "unlinkat");
    return fails(kUnlink) ? -1 : real(directory, path, flags);
}
}

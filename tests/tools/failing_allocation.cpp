// Makes one allocation of one process fail. Loaded before everything else (LD_PRELOAD) into a
// server and the programs it starts; what fails, and where, is said in a file that all of them map
// (harness/allocations.py builds this and writes it).
//
// Counted are malloc and its kin (new ends there too), the blocks of memory that dynamic shared
// memory maps, and each palloc: the server's own calls of palloc can't be taken over from outside,
// but every one of them goes through the table of methods of its memory context.
#include <dlfcn.h>
#include <execinfo.h>

#include <cerrno>

#include "preload.hpp"

extern "C" {
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/memnodes.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
// From 17 on it has what a method does where there is no memory.
#if __has_include("utils/memutils_internal.h")
#include "utils/memutils_internal.h"
#endif

// The C library's, outside of a server, too.
#undef snprintf

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* pointer, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

constexpr uint32_t kMalloc = 1;
constexpr uint32_t kPalloc = 2;
constexpr uint32_t kMap = 4;

// As harness/allocations.py has it.
struct Control {
    uint32_t armed;
    uint32_t kinds;
    uint32_t ever_after;  // all that come later fail, too
    uint32_t failed_kind;
    uint64_t fail_at;  // 0: count only
    uint64_t calls;
    uint64_t failed;
    char target[64];  // name of a worker, "pganalytics ship", or a session's application_name
    char where[3800];
};

Control* control = nullptr;
BackgroundWorker** worker = nullptr;  // null outside of a server
char** session = nullptr;             // its application_name
MemoryContext* top_context = nullptr;
MemoryContext* error_context = nullptr;
bool methods_taken = false;
char program[80];
__thread bool inside = false;

template <class Pointer>
void look_up(Pointer& out, const char* name) {
    out = reinterpret_cast<Pointer>(dlsym(RTLD_DEFAULT, name));
}

void read_program() {
    char line[8192];
    const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, line, sizeof line - 1);
    if (file >= 0) close(file);
    if (length <= 0) return;
    line[length] = '\0';
    const char* end = line + strlen(line);
    if (end - line < 12 || strcmp(end - 12, "/pganalytics") != 0) return;
    if (end + 1 < line + length) snprintf(program, sizeof program, "pganalytics %s", end + 1);
}

__attribute__((constructor)) void begin() {
    Control* const mapped = preload::map_control<Control>("FAIL_ALLOCATION");
    if (mapped == nullptr) return;
    inside = true;
    void* frames[4];
    backtrace(frames, 4);  // it loads a library the first time
    inside = false;
    look_up(worker, "MyBgworkerEntry");
    look_up(session, "application_name");
    look_up(top_context, "TopMemoryContext");
    look_up(error_context, "ErrorContext");
    read_program();
    control = mapped;
}

const char* own_name() {
    if (worker == nullptr) return program;
    if (*worker != nullptr) return (*worker)->bgw_name;
    return session != nullptr && *session != nullptr ? *session : "";
}

bool is_target() { return strcmp(own_name(), control->target) == 0; }

void note_place() {
    void* frames[48];
    const int count = backtrace(frames, 48);
    size_t used = 0;
    for (int i = 2; i < count; ++i) {
        Dl_info info = {};
        if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) continue;
        const char* slash = strrchr(info.dli_fname, '/');
        const auto offset = static_cast<char*>(frames[i]) - static_cast<char*>(info.dli_fbase);
        const int more = snprintf(control->where + used, sizeof control->where - used,
                                  "%s+0x%lx %s\n", slash != nullptr ? slash + 1 : info.dli_fname,
                                  static_cast<unsigned long>(offset),
                                  info.dli_sname != nullptr ? info.dli_sname : "");
        if (more < 0 || used + static_cast<size_t>(more) >= sizeof control->where) break;
        used += static_cast<size_t>(more);
    }
}

bool fails(uint32_t kind) {
    if (__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) == 0 || (control->kinds & kind) == 0 ||
        !is_target())
        return false;
    inside = true;
    const uint64_t call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_RELAXED);
    const uint64_t at = control->fail_at;
    const bool fail = at != 0 && (call == at || (control->ever_after != 0 && call > at));
    if (fail && __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED) == 1) {
        control->failed_kind = kind;
        note_place();
    }
    inside = false;
    return fail;
}

// --- palloc

MemoryContextMethods original;

// An error is told from a context of its own, which has its memory in advance.
bool palloc_fails(MemoryContext context) {
    return context != *error_context && !inside && fails(kPalloc);
}

// From 17 on with flags, and what is to be done about a failure is the method's.
template <class... Flags>
void* none(MemoryContext context, Size size, Flags... flags) {
    if constexpr (sizeof...(flags) == 0)
        return nullptr;
    else
        return MemoryContextAllocationFailure(context, size, flags...);
}

template <class... Flags>
void* take(MemoryContext context, Size size, Flags... flags) {
    return palloc_fails(context) ? none(context, size, flags...)
                                 : original.alloc(context, size, flags...);
}

// Before 16
void* take_again(MemoryContext context, void* pointer, Size size) {
    if (palloc_fails(context)) return nullptr;
    using Method = void* (*)(MemoryContext, void*, Size);
    return reinterpret_cast<Method>(original.realloc)(context, pointer, size);
}

template <class... Flags>
void* take_again(void* pointer, Size size, Flags... flags) {
    MemoryContext const context = GetMemoryChunkContext(pointer);
    return palloc_fails(context) ? none(context, size, flags...)
                                 : original.realloc(pointer, size, flags...);
}

// Once in the postmaster; its children have it from there.
void take_methods() {
    methods_taken = true;
    auto* methods = const_cast<MemoryContextMethods*>((*top_context)->methods);
    original = *methods;
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const uintptr_t first = reinterpret_cast<uintptr_t>(methods) & ~(page - 1);
    const uintptr_t end = reinterpret_cast<uintptr_t>(methods + 1);
    if (mprotect(reinterpret_cast<void*>(first), end - first, PROT_READ | PROT_WRITE) != 0) abort();
    methods->alloc = take;
    methods->realloc = take_again;
}

bool malloc_fails(uint32_t kind = kMalloc) {
    if (control == nullptr || inside) return false;
    if (!methods_taken && top_context != nullptr && *top_context != nullptr) take_methods();
    if (!fails(kind)) return false;
    errno = ENOMEM;
    return true;
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return malloc_fails() ? nullptr : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
    return malloc_fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* pointer, size_t size) {
    return malloc_fails() ? nullptr : __libc_realloc(pointer, size);
}
void* memalign(size_t alignment, size_t size) {
    return malloc_fails() ? nullptr : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** out, size_t alignment, size_t size) {
    void* const made = memalign(alignment, size);
    if (made == nullptr) return ENOMEM;
    *out = made;
    return 0;
}

void* mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
    if (malloc_fails(kMap)) return MAP_FAILED;
    return reinterpret_cast<void*>(
        syscall(SYS_mmap, address, length, protection, flags, file, offset));
}
void* mmap64(void* address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap(address, length, protection, flags, file, offset);
}

int execve(const char* path, char* const* arguments, char* const* environment) {
    return preload::execute(path, arguments, environment);
}
}

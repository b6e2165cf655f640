// The allocators of this program (see the header). Below them is malloc as the sanitizer has it, so
// that it sees all of it.
#include "memory/failing_allocation.hpp"

#include <openssl/crypto.h>

#include <cstdlib>
#include <new>

namespace {

// Plain, because they are used before and after all else.
uint64_t calls = 0;
uint64_t fail_at = 0;
bool counted = true;

bool fails() { return counted && fail_at != 0 && ++calls == fail_at; }

void* allocate(size_t size) { return fails() ? nullptr : std::malloc(size > 0 ? size : 1); }

void* allocate(size_t size, size_t alignment) {
    void* memory = nullptr;
    if (fails() || posix_memalign(&memory, alignment, size) != 0) return nullptr;
    return memory;
}

void* or_throw(void* memory) {
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}

void* openssl_malloc(size_t size, const char* /*file*/, int /*line*/) { return allocate(size); }
void* openssl_realloc(void* memory, size_t size, const char* /*file*/, int /*line*/) {
    return fails() ? nullptr : std::realloc(memory, size);
}
void openssl_free(void* memory, const char* /*file*/, int /*line*/) { std::free(memory); }

// OpenSSL takes them before its own first allocation only.
[[maybe_unused]] const int kTaken =
    CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);

}  // namespace

void* operator new(size_t size) { return or_throw(allocate(size)); }
void* operator new[](size_t size) { return or_throw(allocate(size)); }
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept { return allocate(size); }
void* operator new[](size_t size, const std::nothrow_t& /*tag*/) noexcept { return allocate(size); }
void* operator new(size_t size, std::align_val_t alignment) {
    return or_throw(allocate(size, static_cast<size_t>(alignment)));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t /*size*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
    std::free(memory);
}
// Asio's, for the frames of coroutines.
extern "C" void* aligned_alloc(size_t alignment, size_t size) { return allocate(size, alignment); }

namespace pganalytics::testing {

FailingAllocation::FailingAllocation(uint64_t at) {
    calls = 0;
    fail_at = at;
}

FailingAllocation::~FailingAllocation() { fail_at = 0; }

bool FailingAllocation::failed() const { return fail_at != 0 && calls >= fail_at; }

Uncounted::Uncounted() { counted = false; }

Uncounted::~Uncounted() { counted = true; }

}  // namespace pganalytics::testing

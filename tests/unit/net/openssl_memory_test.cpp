// Memory that runs out while OpenSSL makes itself ready: the process ends, or what it is asked for
// later works. Each allocation in turn fails in a process of its own.
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "pganalytics/net/tls.hpp"
#include "support/openssl_certificates.hpp"

namespace pganalytics::net {
namespace {

constexpr int kNotReached = 2;
constexpr int kMissing = 3;
// Every so many-th; a prime, so that none of the repeated patterns is left out.
constexpr unsigned long kStep = 37;

unsigned long calls = 0;
unsigned long fail_at = 0;

bool fails() { return ++calls == fail_at; }
void* take(size_t size, const char*, int) { return fails() ? nullptr : std::malloc(size); }
void* take_again(void* pointer, size_t size, const char*, int) {
    return fails() ? nullptr : std::realloc(pointer, size);
}
void give_back(void* pointer, const char*, int) { std::free(pointer); }

int attempt(unsigned long at, const ServerTlsOptions& options) {
    if (CRYPTO_set_mem_functions(take, take_again, give_back) != 1) std::abort();
    fail_at = at;
    try {
        static_cast<void>(make_server_context(options));
    } catch (const std::bad_alloc&) {
        return 0;  // the process ends, and another begins
    }
    if (calls < at) return kNotReached;
    return make_server_context(options) ? 0 : kMissing;
}

int try_each() {
    // By the command line: this process's OpenSSL stays untouched.
    const testing::TemporaryFolder folder;
    testing::OpensslCertificates made(folder);
    made.authority("ca");
    made.leaf("ca", "hub");
    const ServerTlsOptions options{made.text("hub", ".crt"), made.text("hub", ".key"),
                                   made.text("ca", ".crt"), ClientCertificates::kRequired};
    int bad = 0;
    unsigned long tried = 0;
    for (unsigned long at = 1;; at += kStep, ++tried) {
        const pid_t child = fork();
        if (child == 0) _exit(attempt(at, options));
        int status = 0;
        waitpid(child, &status, 0);
        // OpenSSL does not live through each of them; that, too, is an end.
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        if (code == kNotReached) break;
        if (code != kMissing) continue;
        std::fprintf(stderr, "allocation %lu: what was asked for again failed\n", at);
        ++bad;
    }
    std::fprintf(stderr, "%lu tried, %d bad\n", tried, bad);
    return bad == 0 && tried > 100 ? 0 : 1;
}

TEST(OpensslMemoryDeathTest, WhatRunsOutAtTheStartIsNotMissingForEver) {
    ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
    EXPECT_EXIT(std::exit(try_each()), ::testing::ExitedWithCode(0), "0 bad");
}

}  // namespace
}  // namespace pganalytics::net

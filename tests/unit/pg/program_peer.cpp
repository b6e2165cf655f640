// The program that program_test.cpp starts is the test's own executable: this constructor runs
// before main and takes over where the sub-command starts with "peer-". It speaks frames by hand.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/version.hpp"

namespace pganalytics {
namespace {

constexpr int kSocket = 3;

void say(const std::string& bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t count = write(kSocket, bytes.data() + done, bytes.size() - done);
        if (count <= 0) _exit(3);
        done += static_cast<size_t>(count);
    }
}

void say_hello(std::string version) {
    Hello hello;
    hello.version = std::move(version);
    hello.catalog_digest = catalog_digest();
    say(make_frame(hello));
}

std::string getenv_or_empty(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

// Answers heartbeats, ends on Stop, says Log frames back.
[[noreturn]] void converse(bool answers, bool stops, size_t read_bytes) {
    FrameSplitter splitter;
    std::string bytes(read_bytes, '\0');
    while (true) {
        const ssize_t count = read(kSocket, bytes.data(), bytes.size());
        if (count <= 0 && stops) _exit(0);
        if (count <= 0) pause();
        splitter.feed({bytes.data(), static_cast<size_t>(count)});
        while (const auto frame = splitter.next()) {
            if (frame->type == FrameType::kHeartbeat && answers) {
                say(make_frame(HeartbeatAnswer{decode<Heartbeat>(frame->payload).value().number}));
            } else if (frame->type == FrameType::kLog) {
                say(make_frame(FrameType::kLog, frame->payload));
            } else if (frame->type == FrameType::kStop && stops) {
                _exit(0);
            }
        }
    }
}

[[noreturn]] void run_peer(const std::string& mode) {
    if (mode == "peer-mute") pause();
    if (mode == "peer-dies") _exit(7);
    if (mode == "peer-other-version") {
        say_hello("9.9.9");
        converse(true, true, 4096);
    }
    say_hello(std::string(kVersion));
    if (mode == "peer-malformed") say(std::string("\xff\xff\xff\xff\x01\x01", 6));
    if (mode == "peer-environment") {
        LogLine line;
        line.message = getenv_or_empty("PATH") + "|" + getenv_or_empty("LC_ALL") + "|" +
                       getenv_or_empty("HOME");
        say(make_frame(line));
    }
    if (mode == "peer-last-words") {
        LogLine line;
        line.message = "last words";
        say(make_frame(line));
        _exit(0);
    }
    if (mode == "peer-drip") {
        // One byte each 10 ms: progress for ever, an answer never.
        char byte;
        while (read(kSocket, &byte, 1) == 1) usleep(10000);
    }
    if (mode == "peer-deaf") converse(false, true, 65536);
    if (mode == "peer-stubborn") converse(true, false, 65536);
    converse(true, true, 65536);
}

__attribute__((constructor)) void take_over(int argc, char** argv) {
    if (argc == 2 && std::string(argv[1]).rfind("peer-", 0) == 0) run_peer(argv[1]);
}

}  // namespace
}  // namespace pganalytics

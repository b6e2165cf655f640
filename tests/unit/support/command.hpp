// Other programs as judges, and a folder that goes away: for unit tests.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pganalytics::testing {

struct CommandResult {
    int status = -1;     // exit status; -1: ended by a signal or not started
    std::string output;  // standard output and error
};

// Through the shell, without the sanitizers' preloads.
inline CommandResult run_command(const std::string& command) {
    CommandResult result;
    FILE* pipe = popen(("exec 2>&1; " + command).c_str(), "r");
    if (pipe == nullptr) return result;
    char piece[4096];
    while (const size_t count = fread(piece, 1, sizeof piece, pipe)) {
        result.output.append(piece, count);
    }
    const int status = pclose(pipe);
    if (WIFEXITED(status)) result.status = WEXITSTATUS(status);
    return result;
}

// A new folder under /tmp with mode 0700, removed at the end.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        char name[] = "/tmp/pganalytics-unit-XXXXXX";
        if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

inline void write_text(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

// Polls until `condition` holds; false after `seconds`.
template <class Condition>
bool eventually(Condition condition, double seconds = 20) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        usleep(2000);
    }
    return true;
}

}  // namespace pganalytics::testing

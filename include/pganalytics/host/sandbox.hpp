// The sandbox of ship, serve and keys: what a program that was taken over could still do. Entered
// once, after the settings are known and before the first byte from the network is read, while
// there is one thread. In layers, each of which may be missing (old kernels, containers):
//
//   no new privileges   set at the start (process.hpp)
//   Landlock            files: what the plan names; TCP: serve connects to nobody, ship listens to
//                       nobody; no signal to, and no look into, processes outside
//   system call filter  a list of what each program needs; others are refused, and those that only
//                       an intruder would make end the process
//
// What is missing is said and nothing else: monitoring that does not start protects nobody.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

enum class SandboxRole : uint8_t {
    kShip,    // connects, writes its state directory
    kServe,   // listens, accepts; opens files for reading only
    kKeys,    // no socket but the one it has
    kReader,  // the helper that reads /proc/PID/io: opens for reading, and answers
};

struct SandboxPlan {
    SandboxRole role = SandboxRole::kServe;
    // Read, and so is what replaces them later: the directory of each, where nothing of `kept_out`
    // is in it and it is none that many share; else the file alone.
    std::vector<std::string> files;
    std::vector<std::string> kept_out;
    std::vector<std::string> read;   // files and trees
    std::vector<std::string> list;   // trees: directories may be listed, files not be opened
    std::vector<std::string> write;  // trees and files: read, too
    // Trees in which files are made, written and replaced, but not read (where `write` does not
    // name them).
    std::vector<std::string> change;
    bool resolves_names = false;
};

class Sandbox {
  public:
    void enter(const SandboxPlan& plan);
    bool entered() const { return entered_; }

    // Whether a file, where it exists, or a tree to write could be opened from inside. (Landlock;
    // without it everything can.)
    bool covers_file(const std::string& path) const;
    bool covers_tree(const std::string& path) const;
    // A file of the plan, or a directory of `write`, was replaced by one that it does not cover:
    // only a new process gets at it.
    bool outdated() const;

    struct Layer {
        std::string name;
        std::string state;  // "on", "on, version 7", "off"
        std::string note;   // why it is off
    };
    const std::vector<Layer>& layers() const { return layers_; }
    // On one line: layers that are on, then what is missing and why.
    std::string text() const;
    // What is missing and why; empty: nothing.
    std::string missing() const;

  private:
    using FileId = std::pair<uint64_t, uint64_t>;  // device, inode

    class Rules;
    Result<int> restrict_files(const SandboxPlan& plan);

    bool entered_ = false;
    bool landlocked_ = false;
    std::vector<std::string> watched_;      // files of the plan, and those that resolve names
    std::vector<std::string> read_trees_;   // without links
    std::vector<std::string> write_trees_;  // without links
    std::vector<std::pair<std::string, FileId>> written_;  // directories of `write`
    std::vector<FileId> read_files_;
    std::vector<Layer> layers_;
};

// --- the layers, also for tests

// Version of the kernel's Landlock; 0: it has none, or it is switched off.
int landlock_version();
// For all threads of the process and those to come.
Status filter_system_calls(SandboxRole role);
// "libseccomp 2.5.4", as it is loaded.
std::string filter_library_text();

}  // namespace pganalytics::host

// /proc/self/mountinfo: which mount a path is on. Runs in the program; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pganalytics::host {

struct Mount {
    uint32_t major = 0;
    uint32_t minor = 0;
    std::string point;  // escapes decoded
    std::string root;   // the part of its file system that is mounted
    std::string type;
    std::string device;
    std::string options;  // of the file system: "rw,cpu,cpuacct"
    bool read_only = false;
};

// Both absolute: `path` is `point` or below it.
bool is_above(std::string_view point, std::string_view path);
// One of a list with commas.
bool has_option(std::string_view options, std::string_view wanted);

// In the order of the file: a later mount on the same point covers the earlier. Lines that are no
// mounts are left out.
std::vector<Mount> parse_mountinfo(std::string_view text);

// The mount that `path` (absolute, without links) is on; `major`, `minor` are of the device that
// stat() says for it. The longest mount point above the path wins among those of that device, since
// another mount may have covered a longer one; where none has it (btrfs gives each subvolume a
// device of its own) the longest of all. Null where nothing is mounted above it.
const Mount* find_mount(const std::vector<Mount>& mounts, std::string_view path, uint32_t major,
                        uint32_t minor);

}  // namespace pganalytics::host

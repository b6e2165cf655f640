// Members of multixacts (see the header). Runs in the program.
#include "pganalytics/host/multixact_members.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

// A segment has 32 pages of 8 kB with 409 groups of four members each; all versions have it so.
constexpr int64_t kMembersInSegment = int64_t{32} * 409 * 4;
// Places of 32 bits, of which there is none with all bits set.
constexpr int64_t kPlaces = (int64_t{1} << 32) - 1;
// More than any directory of them can have before 19, and plenty for later.
constexpr int64_t kMostFiles = 1000000;

bool is_segment(std::string_view name) {
    return name.size() >= 4 && name.size() <= 15 &&
           name.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

}  // namespace

Result<MultixactMembers> read_multixact_members(const std::string& data_directory,
                                                int server_version_num) {
    MultixactMembers found;
    const std::string path = data_directory + "/pg_multixact/members";
    std::error_code error;
    std::filesystem::directory_iterator entry(path, error);
    for (const std::filesystem::directory_iterator end; !error && entry != end;
         entry.increment(error)) {
        if (!is_segment(entry->path().filename().native())) continue;
        struct stat file {};
        // One that goes meanwhile is not in use.
        if (lstat(entry->path().c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
        ++found.files;
        found.bytes += file.st_size;
        if (found.files == kMostFiles) break;
    }
    if (error) return system_error("could not read directory", path, error.value());
    found.members = found.files * kMembersInSegment;
    if (server_version_num >= 190000) {
        found.low = 2000000000;
        found.high = 4000000000;
    } else {
        found.low = kPlaces / 2;
        found.high = kPlaces - kPlaces / 4;
        found.limit = kPlaces;
    }
    return found;
}

}  // namespace pganalytics::host

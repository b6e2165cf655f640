// /proc/diskstats. Runs in the program.
#include "pganalytics/host/proc_diskstats.hpp"

#include <algorithm>

namespace pganalytics::host {

namespace {

// The fewest figures a kernel of our time gives; with less the meaning of each is not known.
constexpr size_t kFewest = 11;

}  // namespace

bool DiskFigures::ever_used() const {
    return std::any_of(figures.begin(), figures.end(),
                       [](const Figure& figure) { return figure && *figure != 0; });
}

std::vector<DiskFigures> parse_diskstats(std::string_view text) {
    std::vector<DiskFigures> disks;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const Figure major = words.figure();
        const Figure minor = words.figure();
        DiskFigures disk;
        disk.device = words.next();
        const size_t count = words.figures(disk.figures);
        if (!major || !minor || count < kFewest) continue;
        disk.major = *major;
        disk.minor = *minor;
        disks.push_back(disk);
    }
    return disks;
}

}  // namespace pganalytics::host

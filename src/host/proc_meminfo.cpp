// /proc/meminfo. Runs in the program.
#include "pganalytics/host/proc_meminfo.hpp"

#include <algorithm>

namespace pganalytics::host {

Result<MemoryFigures> parse_meminfo(std::string_view text) {
    MemoryFigures figures;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        const auto name =
            std::find(kMemoryNames.begin(), kMemoryNames.end(), line.substr(0, colon));
        if (name == kMemoryNames.end()) continue;
        Words words(line.substr(colon + 1));
        const Figure value = words.figure();
        figures[static_cast<size_t>(name - kMemoryNames.begin())] =
            words.next() == "kB" ? scaled(value, 1024) : value;
    }
    if (!figures[0]) {
        return make_error(sqlstate::kInvalidText, "no MemTotal in \"/proc/meminfo\"");
    }
    return figures;
}

}  // namespace pganalytics::host

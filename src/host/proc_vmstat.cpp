// /proc/vmstat. Runs in the program.
#include "pganalytics/host/proc_vmstat.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace pganalytics::host {

namespace {

constexpr std::string_view kZones[] = {"_dma", "_dma32", "_normal", "_movable", "_device", "_high"};

bool is_zone(std::string_view rest) {
    return std::find(std::begin(kZones), std::end(kZones), rest) != std::end(kZones);
}

// Saturates: no counter gets there, and a file that says so must not make it start again.
Figure sum(const Figure& before, const Figure& more) {
    if (!before || !more) return more ? more : before;
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    return *before > kMost - *more ? kMost : *before + *more;
}

}  // namespace

Result<PagingFigures> parse_vmstat(std::string_view text) {
    PagingFigures figures;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view name = words.next();
        for (size_t i = 0; i < kPagingNames.size(); ++i) {
            if (!name.starts_with(kPagingNames[i])) continue;
            const std::string_view rest = name.substr(kPagingNames[i].size());
            if (rest.empty()) figures[i] = words.figure();
            if (is_zone(rest)) figures[i] = sum(figures[i], words.figure());
        }
    }
    if (!figures[0]) {
        return make_error(sqlstate::kInvalidText, "no pgpgin in \"/proc/vmstat\"");
    }
    for (Figure& kilobytes : {std::ref(figures[0]), std::ref(figures[1])})
        kilobytes = scaled(kilobytes, 1024);
    return figures;
}

}  // namespace pganalytics::host

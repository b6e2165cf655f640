// Files of a control group (see the header). Runs in the program.
#include "cgroup_files.hpp"

#include <sys/stat.h>

#include <limits>

#include "pganalytics/host/files.hpp"

namespace pganalytics::host {

namespace {

// io.stat has a line for each device.
constexpr size_t kFileLimit = 1 << 20;

Figure number_behind(std::string_view line, std::string_view mark) {
    const size_t at = line.find(mark);
    if (at == std::string_view::npos) return std::nullopt;
    return Words(line.substr(at + mark.size())).figure();
}

}  // namespace

bool CgroupFolder::there() const {
    struct stat found {};
    return !path_.empty() && stat(path_.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

std::string CgroupFolder::text(std::string_view file) const {
    if (path_.empty()) return {};
    Result<std::string> read = read_file(path_ + "/" + std::string(file), kFileLimit);
    return read ? *std::move(read) : std::string();
}

void CgroupFolder::named(std::string_view file, Named wanted) const {
    const std::string content = text(file);
    Lines lines(content);
    std::string_view line;
    while (lines.next(line)) {
        Words words(line);
        const std::string_view name = words.next();
        for (const auto& [key, figure] : wanted) {
            if (name == key) *figure = words.figure();
        }
    }
}

void CgroupFolder::sums(std::string_view file, Named wanted) const {
    const std::string content = text(file);
    Lines lines(content);
    std::string_view line;
    while (lines.next(line)) {
        for (const auto& [mark, figure] : wanted) {
            const Figure more = number_behind(line, mark);
            const int64_t before = figure->value_or(0);
            if (more && before <= std::numeric_limits<int64_t>::max() - *more)
                *figure = before + *more;
        }
    }
}

}  // namespace pganalytics::host

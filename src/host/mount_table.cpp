// /proc/self/mountinfo. Runs in the program.
#include "pganalytics/host/mount_table.hpp"

#include "pganalytics/host/proc_text.hpp"

namespace pganalytics::host {

namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline and backslash as \040 and so on.
std::string unescaped(std::string_view word) {
    std::string text;
    text.reserve(word.size());
    for (size_t i = 0; i < word.size(); ++i) {
        if (word[i] == '\\' && i + 3 < word.size() && word[i + 1] >= '0' && word[i + 1] <= '3' &&
            is_octal(word[i + 2]) && is_octal(word[i + 3])) {
            text += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 +
                                      (word[i + 3] - '0'));
            i += 3;
        } else {
            text += word[i];
        }
    }
    return text;
}

bool parse_device(std::string_view word, Mount& mount) {
    const size_t colon = word.find(':');
    if (colon == std::string_view::npos) return false;
    const Figure major = to_figure(word.substr(0, colon));
    const Figure minor = to_figure(word.substr(colon + 1));
    if (!major || !minor || *major > UINT32_MAX || *minor > UINT32_MAX) return false;
    mount.major = static_cast<uint32_t>(*major);
    mount.minor = static_cast<uint32_t>(*minor);
    return true;
}

// id parent major:minor root point options [tag...] - type device options
bool parse_line(std::string_view line, Mount& mount) {
    Words words(line);
    words.next();
    words.next();
    if (!parse_device(words.next(), mount)) return false;
    mount.root = unescaped(words.next());
    mount.point = unescaped(words.next());
    const std::string_view options = words.next();
    std::string_view tag = words.next();
    while (!tag.empty() && tag != "-") tag = words.next();
    mount.type = unescaped(words.next());
    mount.device = unescaped(words.next());
    mount.options = words.next();
    mount.read_only = has_option(options, "ro") || has_option(mount.options, "ro");
    return mount.point.starts_with('/') && !mount.type.empty();
}

}  // namespace

bool is_above(std::string_view point, std::string_view path) {
    if (point == "/") return true;
    return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

bool has_option(std::string_view options, std::string_view wanted) {
    while (!options.empty()) {
        const size_t comma = options.find(',');
        if (options.substr(0, comma) == wanted) return true;
        if (comma == std::string_view::npos) return false;
        options.remove_prefix(comma + 1);
    }
    return false;
}

std::vector<Mount> parse_mountinfo(std::string_view text) {
    std::vector<Mount> mounts;
    Lines lines(text);
    std::string_view line;
    while (lines.next(line)) {
        Mount mount;
        if (parse_line(line, mount)) mounts.push_back(std::move(mount));
    }
    return mounts;
}

const Mount* find_mount(const std::vector<Mount>& mounts, std::string_view path, uint32_t major,
                        uint32_t minor) {
    const Mount* longest = nullptr;
    const Mount* of_device = nullptr;
    for (const Mount& mount : mounts) {
        if (!is_above(mount.point, path)) continue;
        if (longest == nullptr || mount.point.size() >= longest->point.size()) longest = &mount;
        if (mount.major != major || mount.minor != minor) continue;
        if (of_device == nullptr || mount.point.size() >= of_device->point.size()) {
            of_device = &mount;
        }
    }
    return of_device != nullptr ? of_device : longest;
}

}  // namespace pganalytics::host

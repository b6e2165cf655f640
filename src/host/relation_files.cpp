// Sizes of relations by fork (see the header).
#include "pganalytics/host/relation_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

constexpr size_t kLongestFolder = 200;

// Digits at the beginning of `text` that make a number of 32 bits; what is left in `text`.
bool take_number(std::string_view& text, uint32_t& number) {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    // The server writes no leading zeros; one alone can only be a segment of no relation.
    if (text.empty() || text[0] == '0') return false;
    const auto [after, error] = std::from_chars(begin, end, number);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<size_t>(after - begin));
    return true;
}

bool take_text(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

// "PG_15_202209061"
bool take_version_folder(std::string_view& text) {
    uint32_t ignored = 0;
    return take_text(text, "PG_") && take_number(text, ignored) && take_text(text, "_") &&
           take_number(text, ignored);
}

bool is_wanted(const struct stat& facts) { return S_ISREG(facts.st_mode); }

}  // namespace

void FolderSizes::sort() {
    std::sort(files_.begin(), files_.end(),
              [](const File& a, const File& b) { return a.number < b.number; });
}

std::optional<ForkSizes> FolderSizes::find(uint32_t number) const {
    auto file = std::lower_bound(files_.begin(), files_.end(), number,
                                 [](const File& a, uint32_t wanted) { return a.number < wanted; });
    std::optional<ForkSizes> sizes;
    for (; file != files_.end() && file->number == number; ++file) {
        if (!sizes) sizes.emplace();
        sizes->bytes[static_cast<size_t>(file->fork)] += file->bytes;
        sizes->has_main = sizes->has_main || file->fork == Fork::kMain;
    }
    return sizes;
}

bool is_relation_folder(std::string_view folder) {
    if (folder.size() > kLongestFolder) return false;
    if (folder == "global") return true;
    uint32_t ignored = 0;
    if (take_text(folder, "base/")) return take_number(folder, ignored) && folder.empty();
    return take_text(folder, "pg_tblspc/") && take_number(folder, ignored) &&
           take_text(folder, "/") && take_version_folder(folder) && take_text(folder, "/") &&
           take_number(folder, ignored) && folder.empty();
}

bool parse_relation_file(std::string_view name, uint32_t& number, Fork& fork) {
    if (!take_number(name, number)) return false;
    fork = Fork::kMain;
    if (take_text(name, "_fsm")) {
        fork = Fork::kFreeSpace;
    } else if (take_text(name, "_vm")) {
        fork = Fork::kVisibility;
    } else if (take_text(name, "_init")) {
        fork = Fork::kInit;
    }
    if (name.empty()) return true;
    uint32_t segment = 0;
    return take_text(name, ".") && take_number(name, segment) && name.empty();
}

Result<FolderSizes> read_relation_folder(const std::string& data_directory, std::string_view folder,
                                         size_t limit) {
    const std::string path = data_directory + "/" + std::string(folder);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
    if (directory == nullptr) return system_error("could not read directory", path, errno);
    const int descriptor = dirfd(directory.get());
    FolderSizes sizes;
    size_t files = 0;
    while (const dirent* entry = readdir(directory.get())) {
        uint32_t number = 0;
        Fork fork = Fork::kMain;
        if (!parse_relation_file(entry->d_name, number, fork)) continue;
        if (++files > limit)
            return make_error(sqlstate::kProgramLimit, "too many files in \"" + path + "\"");
        struct stat facts {};
        if (fstatat(descriptor, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!is_wanted(facts)) continue;
        sizes.add(number, fork, facts.st_size);
    }
    sizes.sort();
    return sizes;
}

}  // namespace pganalytics::host

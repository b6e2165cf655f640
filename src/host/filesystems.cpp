// The file systems the server uses. Runs in the program.
#include "pganalytics/host/filesystems.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <limits>
#include <memory>

#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

Figure figure_of(uint64_t value) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(value);
}

Figure bytes_of(uint64_t blocks, uint64_t block_size) {
    if (block_size == 0 || block_size > INT_MAX) return std::nullopt;
    return scaled(figure_of(blocks), static_cast<int64_t>(block_size));
}

// Where the server keeps a tablespace: in-place ones are relative to the data directory.
std::string tablespace_path(const HostFacts& facts, const TablespaceFact& tablespace) {
    if (tablespace.path.starts_with('/')) return tablespace.path;
    return facts.data_directory + "/" + tablespace.path;
}

Status fill(FilesystemFigures& filesystem, const std::string& path) {
    struct statvfs facts {};
    if (statvfs(path.c_str(), &facts) != 0) {
        return system_error("could not look at the file system of", path, errno);
    }
    const uint64_t unit = facts.f_frsize != 0 ? facts.f_frsize : facts.f_bsize;
    filesystem.total_bytes = bytes_of(facts.f_blocks, unit);
    filesystem.free_bytes = bytes_of(facts.f_bfree, unit);
    filesystem.available_bytes = bytes_of(facts.f_bavail, unit);
    // Some make inodes as they need them, and say 0.
    if (facts.f_files != 0) {
        filesystem.inodes_total = figure_of(facts.f_files);
        filesystem.inodes_free = figure_of(facts.f_ffree);
        filesystem.inodes_available = figure_of(facts.f_favail);
    }
    return {};
}

Result<const Mount*> mount_of(const std::string& path, const std::vector<Mount>& mounts,
                              std::string& real) {
    const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr),
                                                               &std::free);
    struct stat facts {};
    if (resolved == nullptr || stat(resolved.get(), &facts) != 0) {
        return system_error("could not look at", path, errno);
    }
    real = resolved.get();
    const Mount* mount = find_mount(mounts, real, major(facts.st_dev), minor(facts.st_dev));
    if (mount == nullptr) {
        return make_error(sqlstate::kObjectNotReady, "no mount above \"" + real + "\"");
    }
    return mount;
}

// Adds the path's file system, or its use to the one of the same mount.
Status add_path(const PathUse& path, const std::vector<Mount>& mounts,
                std::vector<FilesystemFigures>& filesystems) {
    std::string real;
    const Result<const Mount*> mount = mount_of(path.path, mounts, real);
    if (!mount) return mount.error();
    const auto known = std::find_if(
        filesystems.begin(), filesystems.end(),
        [&](const FilesystemFigures& other) { return other.mount.point == (*mount)->point; });
    if (known != filesystems.end()) {
        known->uses += ", " + path.use;
        return {};
    }
    FilesystemFigures filesystem;
    filesystem.mount = **mount;
    filesystem.uses = path.use;
    if (Status filled = fill(filesystem, real); !filled) return filled;
    filesystems.push_back(std::move(filesystem));
    return {};
}

}  // namespace

std::vector<PathUse> paths_in_use(const HostFacts& facts) {
    std::vector<PathUse> paths = {{facts.data_directory, "data"},
                                  {facts.data_directory + "/pg_wal", "wal"}};
    if (!facts.log_directory.empty()) paths.push_back({facts.log_directory, "log"});
    bool beside_data = facts.temp_tablespaces.empty();
    for (const std::string& name : facts.temp_tablespaces) {
        const auto tablespace =
            std::find_if(facts.tablespaces.begin(), facts.tablespaces.end(),
                         [&](const TablespaceFact& fact) { return fact.name == name; });
        if (tablespace != facts.tablespaces.end()) {
            paths.push_back({tablespace_path(facts, *tablespace), "temporary"});
        } else if (name.empty() || name == "pg_default") {
            beside_data = true;
        }
    }
    if (beside_data) paths.push_back({facts.data_directory, "temporary"});
    for (const TablespaceFact& fact : facts.tablespaces) {
        paths.push_back({tablespace_path(facts, fact), "tablespace " + fact.name});
    }
    return paths;
}

Result<std::vector<FilesystemFigures>> read_filesystems(const std::vector<PathUse>& paths,
                                                        const std::vector<Mount>& mounts) {
    std::vector<FilesystemFigures> filesystems;
    for (const PathUse& path : paths) {
        Status added = add_path(path, mounts, filesystems);
        if (!added && path.use == "data") return std::move(added).error();
    }
    return filesystems;
}

}  // namespace pganalytics::host

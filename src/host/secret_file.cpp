// Files that hold keys: opened once, and only where nobody else could have put or read them. Part
// of host/files.hpp.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

struct SplitPath {
    std::string directory;
    std::string name;
};

SplitPath split_path(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

bool is_trusted_owner(uid_t owner) { return owner == 0 || owner == geteuid(); }

Status check_directory(int directory, const std::string& path) {
    struct stat facts {};
    if (fstat(directory, &facts) != 0) {
        return system_error("could not look at directory", path, errno);
    }
    if (!is_trusted_owner(facts.st_uid)) {
        return make_error(sqlstate::kInvalidAuthorization,
                          "directory \"" + path + "\" of a key file belongs to another user", {},
                          "It must belong to the server's user or root.");
    }
    if ((facts.st_mode & 022) != 0) {
        return make_error(
            sqlstate::kInvalidAuthorization,
            "directory \"" + path + "\" of a key file can be written by its group or by everybody",
            {}, "Take the right to write from group and others.");
    }
    return {};
}

Status check_file(const struct stat& facts, const std::string& path) {
    if (!S_ISREG(facts.st_mode)) {
        return make_error(sqlstate::kInvalidAuthorization,
                          "key file \"" + path + "\" is not a regular file");
    }
    if (!is_trusted_owner(facts.st_uid)) {
        return make_error(sqlstate::kInvalidAuthorization,
                          "key file \"" + path + "\" belongs to another user", {},
                          "It must belong to the server's user or root.");
    }
    // A file of root's may be readable by a group that the server's user is in.
    const mode_t allowed = facts.st_uid == 0 ? 0640 : 0600;
    if ((facts.st_mode & 07777 & ~allowed) != 0) {
        return make_error(sqlstate::kInvalidAuthorization,
                          "key file \"" + path + "\" has group or world access", {},
                          "Permissions should be u=rw (0600) or less, or u=rw,g=r (0640) or less "
                          "where root owns the file.");
    }
    return {};
}

}  // namespace

Result<Descriptor> open_secret(const std::string& path) {
    const SplitPath parts = split_path(path);
    const Descriptor directory(open(parts.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return system_error("could not open directory", parts.directory, errno);
    if (Status fine = check_directory(directory.number(), parts.directory); !fine) {
        return std::move(fine).error();
    }
    // A FIFO must not hold us.
    Descriptor file(openat(directory.number(), parts.name.c_str(),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return system_error("could not open key file", path, errno);
    struct stat facts {};
    if (fstat(file.number(), &facts) != 0) {
        return system_error("could not look at key file", path, errno);
    }
    if (Status fine = check_file(facts, path); !fine) return std::move(fine).error();
    return file;
}

Result<std::string> read_secret(const std::string& path, size_t limit) {
    auto file = open_secret(path);
    if (!file) return std::move(file).error();
    return read_descriptor(*file, path, limit);
}

}  // namespace pganalytics::host

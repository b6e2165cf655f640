// Files read, written and locked (see the header). Secrets are in secret_file.cpp.
#include "pganalytics/host/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

Descriptor::~Descriptor() {
    if (number_ >= 0) close(number_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        if (number_ >= 0) close(number_);
        number_ = other.release();
    }
    return *this;
}

int Descriptor::release() { return std::exchange(number_, -1); }

namespace {

constexpr std::string_view kTemporarySuffix = ".new";

std::string directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Status sync_directory(const std::string& path) {
    const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || fsync(directory.number()) != 0) {
        return system_error("could not flush directory", path, errno);
    }
    return {};
}

Status write_all(int file, std::string_view bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t count = write(file, bytes.data(), bytes.size());
        if (count < 0) {
            if (errno == EINTR) continue;
            return system_error("could not write file", path, errno);
        }
        bytes.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

// A complete, flushed file at `path`, which is ours alone: what a killed predecessor left there is
// removed.
Status write_temporary(const std::string& path, std::string_view bytes, mode_t mode) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        return system_error("could not remove file", path, errno);
    }
    const Descriptor file(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) return system_error("could not create file", path, errno);
    // The mode is exactly this whatever the umask says.
    if (fchmod(file.number(), mode) != 0) {
        return system_error("could not set the mode of file", path, errno);
    }
    if (Status written = write_all(file.number(), bytes, path); !written) return written;
    if (fsync(file.number()) != 0) return system_error("could not flush file", path, errno);
    return {};
}

Status check_private(const std::string& path) {
    const Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
        if (errno == ELOOP || errno == ENOTDIR) {
            return make_error(sqlstate::kObjectNotReady, "\"" + path + "\" is not a directory", {},
                              "Remove what is there, or set pganalytics.state_directory to "
                              "another path (no symbolic link).");
        }
        return system_error("could not open directory", path, errno);
    }
    struct stat facts {};
    if (fstat(directory.number(), &facts) != 0) {
        return system_error("could not look at directory", path, errno);
    }
    if (facts.st_uid != geteuid()) {
        return make_error(sqlstate::kObjectNotReady,
                          "directory \"" + path + "\" belongs to another user", {},
                          "It must belong to the user that the server runs as.");
    }
    if ((facts.st_mode & 077) != 0) {
        return make_error(sqlstate::kObjectNotReady,
                          "directory \"" + path + "\" has group or world access", {},
                          "Permissions should be u=rwx (0700).");
    }
    return {};
}

}  // namespace

Status make_private_directory(const std::string& path) {
    if (mkdir(path.c_str(), 0700) == 0) return sync_directory(directory_of(path));
    if (errno != EEXIST) return system_error("could not create directory", path, errno);
    return check_private(path);
}

Status make_state_directory(const std::string& path, bool with_hub) {
    if (!path.starts_with('/')) {
        return make_error(sqlstate::kInvalidParameter,
                          "state directory \"" + path + "\" is not an absolute path", {},
                          "Set pganalytics.state_directory to an absolute path.");
    }
    if (Status made = make_private_directory(path); !made) return made;
    for (const char* part : {"identity", "config", "spool", "hub"}) {
        if (!with_hub && std::string_view(part) == "hub") continue;
        if (Status made = make_private_directory(path + "/" + part); !made) return made;
    }
    return {};
}

Result<FileLock> FileLock::take(const std::string& path) {
    Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return system_error("could not open lock file", path, errno);
    if (flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return make_error(sqlstate::kObjectNotReady,
                              "lock file \"" + path + "\" is held by another process", {},
                              "It may be a program of before that still ends. Two servers must "
                              "not share a state directory.");
        }
        return system_error("could not lock file", path, errno);
    }
    return FileLock(std::move(file));
}

Status write_file_durably(const std::string& path, std::string_view bytes, mode_t mode) {
    const std::string temporary = path + std::string(kTemporarySuffix);
    if (Status written = write_temporary(temporary, bytes, mode); !written) {
        unlink(temporary.c_str());
        return written;
    }
    if (rename(temporary.c_str(), path.c_str()) != 0) {
        const int code = errno;
        unlink(temporary.c_str());
        return system_error("could not replace file", path, code);
    }
    return sync_directory(directory_of(path));
}

Status create_file_durably(const std::string& path, std::string_view bytes, mode_t mode,
                           bool& exists) {
    exists = false;
    const std::string temporary = path + std::string(kTemporarySuffix);
    Status written = write_temporary(temporary, bytes, mode);
    // link() is the rename that never replaces.
    if (written && link(temporary.c_str(), path.c_str()) != 0) {
        exists = errno == EEXIST;
        written = system_error("could not create file", path, errno);
    }
    unlink(temporary.c_str());
    if (!written) return written;
    return sync_directory(directory_of(path));
}

Status remove_file_durably(const std::string& path) {
    if (unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return system_error("could not remove file", path, errno);
    }
    return sync_directory(directory_of(path));
}

Result<std::string> read_descriptor(const Descriptor& file, const std::string& path, size_t limit) {
    std::string bytes;
    char piece[16 * 1024];
    while (true) {
        const ssize_t count = read(file.number(), piece, sizeof piece);
        if (count == 0) return bytes;
        if (count < 0) {
            if (errno == EINTR) continue;
            return system_error("could not read file", path, errno);
        }
        if (static_cast<size_t>(count) > limit - bytes.size()) {
            return make_error(sqlstate::kProgramLimit, "file \"" + path + "\" is too large",
                              "The limit is " + std::to_string(limit) + " bytes.");
        }
        bytes.append(piece, static_cast<size_t>(count));
    }
}

Result<std::string> read_file(const std::string& path, size_t limit) {
    // A FIFO must not hold us.
    const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!file) return system_error("could not open file", path, errno);
    struct stat facts {};
    if (fstat(file.number(), &facts) != 0) {
        return system_error("could not look at file", path, errno);
    }
    if (!S_ISREG(facts.st_mode)) {
        return make_error(sqlstate::kObjectNotReady, "\"" + path + "\" is not a regular file");
    }
    return read_descriptor(file, path, limit);
}

bool is_absent(const std::string& path) {
    struct stat facts {};
    return lstat(path.c_str(), &facts) != 0 && errno == ENOENT;
}

}  // namespace pganalytics::host

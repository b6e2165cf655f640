// A directory on a real file system (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/spool_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::ship {

namespace {

using host::Descriptor;

class RealFiles final : public SpoolFiles {
  public:
    RealFiles(std::string path, Descriptor directory)
        : path_(std::move(path)), directory_(std::move(directory)) {}

    Result<std::vector<Entry>> list() override;
    Status create(const std::string& name) override;
    Status append(const std::string& name, std::string_view bytes) override;
    Status truncate(const std::string& name, uint64_t bytes) override;
    Status sync(const std::string& name) override;
    Result<std::string> read(const std::string& name, uint64_t offset, size_t bytes) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    Status sync_directory() override;
    Result<SpoolSpace> space() override;

  private:
    // Files stay open between calls: one that is written, one that is read.
    struct Open {
        std::string name;
        Descriptor file;
    };
    Error failed(std::string_view action, const std::string& name) const {
        return host::system_error(action, path_ + "/" + name, errno);
    }
    // No link is followed, no FIFO waited for.
    Result<int> use(std::optional<Open>& open, const std::string& name, int flags);
    void let_go(const std::string& name);

    std::string path_;
    Descriptor directory_;
    std::optional<Open> written_;
    std::optional<Open> read_;
};

Result<int> RealFiles::use(std::optional<Open>& open, const std::string& name, int flags) {
    if (open && open->name == name) return open->file.number();
    Descriptor file(
        openat(directory_.number(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) return failed("could not open file", name);
    struct stat facts {};
    if (fstat(file.number(), &facts) != 0) return failed("could not look at file", name);
    if (!S_ISREG(facts.st_mode))
        return make_error(sqlstate::kIoError,
                          "\"" + path_ + "/" + name + "\" is not a regular file");
    open = Open{name, std::move(file)};
    return open->file.number();
}

void RealFiles::let_go(const std::string& name) {
    if (written_ && written_->name == name) written_.reset();
    if (read_ && read_->name == name) read_.reset();
}

Result<std::vector<SpoolFiles::Entry>> RealFiles::list() {
    const int copy = openat(directory_.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return failed("could not open directory", ".");
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(copy), closedir);
    if (directory == nullptr) {
        close(copy);
        return failed("could not read directory", ".");
    }
    std::vector<Entry> found;
    errno = 0;
    while (const dirent* entry = readdir(directory.get())) {
        struct stat facts {};
        if (fstatat(directory_.number(), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(facts.st_mode))
            found.push_back({entry->d_name, static_cast<uint64_t>(facts.st_size)});
        errno = 0;
    }
    if (errno != 0) return failed("could not read directory", ".");
    return found;
}

Status RealFiles::create(const std::string& name) {
    let_go(name);
    Descriptor file(openat(directory_.number(), name.c_str(),
                           O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return failed("could not create file", name);
    written_ = Open{name, std::move(file)};
    return {};
}

Status RealFiles::append(const std::string& name, std::string_view bytes) {
    const Result<int> file = use(written_, name, O_WRONLY | O_APPEND);
    if (!file) return file.error();
    while (!bytes.empty()) {
        const ssize_t count = write(*file, bytes.data(), bytes.size());
        if (count < 0) {
            if (errno == EINTR) continue;
            return failed("could not write file", name);
        }
        bytes.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

Status RealFiles::truncate(const std::string& name, uint64_t bytes) {
    const Result<int> file = use(written_, name, O_WRONLY | O_APPEND);
    if (!file) return file.error();
    if (ftruncate(*file, static_cast<off_t>(bytes)) != 0) return failed("could not cut file", name);
    return {};
}

Status RealFiles::sync(const std::string& name) {
    const Result<int> file = use(written_, name, O_WRONLY | O_APPEND);
    if (!file) return file.error();
    if (fsync(*file) == 0) return {};
    Error error = failed("could not flush file", name);
    // What could not be flushed may be dropped and then be called flushed: nothing more goes here.
    let_go(name);
    return error;
}

Result<std::string> RealFiles::read(const std::string& name, uint64_t offset, size_t bytes) {
    const Result<int> file = use(read_, name, O_RDONLY);
    if (!file) return file.error();
    std::string out(bytes, '\0');
    size_t got = 0;
    while (got < bytes) {
        const ssize_t count =
            pread(*file, out.data() + got, bytes - got, static_cast<off_t>(offset + got));
        if (count < 0) {
            if (errno == EINTR) continue;
            return failed("could not read file", name);
        }
        if (count == 0) break;
        got += static_cast<size_t>(count);
    }
    out.resize(got);
    return out;
}

Status RealFiles::rename(const std::string& from, const std::string& to) {
    let_go(from);
    let_go(to);
    if (renameat(directory_.number(), from.c_str(), directory_.number(), to.c_str()) != 0)
        return failed("could not rename file", from);
    return {};
}

Status RealFiles::remove(const std::string& name) {
    let_go(name);
    if (unlinkat(directory_.number(), name.c_str(), 0) != 0 && errno != ENOENT)
        return failed("could not remove file", name);
    return {};
}

Status RealFiles::sync_directory() {
    if (fsync(directory_.number()) != 0) return failed("could not flush directory", ".");
    return {};
}

Result<SpoolSpace> RealFiles::space() {
    struct statvfs facts {};
    if (fstatvfs(directory_.number(), &facts) != 0)
        return failed("could not look at the volume of", ".");
    return SpoolSpace{facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize};
}

}  // namespace

Result<std::unique_ptr<SpoolFiles>> open_spool_files(const std::string& directory) {
    if (Status ours = host::make_private_directory(directory); !ours) return ours.error();
    Descriptor opened(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!opened) return host::system_error("could not open directory", directory, errno);
    return std::unique_ptr<SpoolFiles>(std::make_unique<RealFiles>(directory, std::move(opened)));
}

}  // namespace pganalytics::ship

// Writing the journal (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "pganalytics/core/uuid.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMostPending = size_t{1} << 20;

}  // namespace

Result<std::optional<Journal>> Journal::open(const std::string& state_directory) {
    std::string path = state_directory + kJournalFile;
    host::Descriptor file(
        ::open(path.c_str(), O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file) {
        if (errno == ENOENT) return std::optional<Journal>();
        return host::system_error("could not open the journal", path, errno);
    }
    struct stat facts {};
    if (fstat(file.number(), &facts) != 0)
        return host::system_error("could not look at the journal", path, errno);
    if (!S_ISREG(facts.st_mode) || facts.st_uid != geteuid())
        return make_error(sqlstate::kIoError,
                          "journal \"" + path + "\" is not a regular file of this user");
    const auto bytes = static_cast<uint64_t>(facts.st_size);
    Journal journal(std::move(file), std::move(path), bytes);
    // The run before may have been killed within a line.
    char last = '\n';
    if (bytes > 0 && pread(journal.file_.number(), &last, 1, facts.st_size - 1) != 1)
        return host::system_error("could not read the journal", journal.path_, errno);
    if (last != '\n') journal.pending_.push_back('\n');
    return std::optional(std::move(journal));
}

Status Journal::produced(std::span<const Snapshot> snapshots, const Uuid& incarnation) {
    for (const Snapshot& one : snapshots) {
        pending_.append("produced ");
        append_uuid(pending_, one.snapshot_id);
        pending_.push_back(' ');
        append_uuid(pending_, incarnation);
        for (const auto& number : {std::to_string(one.sequence), std::to_string(one.time),
                                   std::to_string(one.bytes_json)})
            pending_.append(" ").append(number);
        pending_.push_back('\n');
    }
    return write_pending();
}

Status Journal::split(const Uuid& whole, const Uuid& first, const Uuid& second) {
    pending_.append("split");
    for (const Uuid* id : {&whole, &first, &second}) {
        pending_.push_back(' ');
        append_uuid(pending_, *id);
    }
    pending_.push_back('\n');
    return write_pending();
}

Status Journal::end(const Uuid& incarnation) {
    pending_.append("end ");
    append_uuid(pending_, incarnation);
    pending_.push_back('\n');
    return write_pending();
}

Status Journal::write_pending() {
    int code = 0;
    if (bytes_ + pending_.size() > kMostJournalBytes) code = EFBIG;
    while (code == 0 && !pending_.empty()) {
        const ssize_t count = write(file_.number(), pending_.data(), pending_.size());
        if (count < 0) {
            if (errno != EINTR) code = errno;
            continue;
        }
        bytes_ += static_cast<uint64_t>(count);
        pending_.erase(0, static_cast<size_t>(count));
    }
    // Beyond this it can no longer be complete, and nobody shall take it for that.
    if (pending_.size() > kMostPending) pending_.resize(kMostPending);
    if (code == 0) {
        told_ = false;
        return {};
    }
    if (std::exchange(told_, true)) return {};
    return host::system_error("could not write the journal", path_, code);
}

}  // namespace pganalytics::ship

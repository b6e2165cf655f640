// The shipper's state directory: taken at the start, and where that failed as soon as it can be
// used. Runs in `pganalytics ship`.
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kLookInterval = 2 * kSecond;
// Where only a new process can tell: each of them costs a start and lines in the log.
constexpr int64_t kNewProcessInterval = 60 * kSecond;

// Ours until the lock goes.
Result<host::FileLock> take_state_directory(const std::string& path) {
    if (Status made = host::make_state_directory(path, false); !made) return made.error();
    return host::FileLock::take(path + "/ship.lock");
}

}  // namespace

void Shipper::set_up_state_directory() {
    state_lock_.reset();
    state_problem_.reset();
    journal_.reset();
    const std::string& path = settings_->state_directory;
    look_at_state_at_ = now_.monotonic + kLookInterval;
    new_process_for_state_at_ = now_.monotonic + kNewProcessInterval;
    Result<host::FileLock> lock = take_state_directory(path);
    if (!lock) {
        state_problem_ = lock.error();
        return log(LogLevel::kWarning, "state directory", *state_problem_);
    }
    state_lock_ = *std::move(lock);
    inherit_own_groups();
    open_journal();
    if (Status kept = host::keep_last_words(path, "ship"); !kept)
        log(LogLevel::kWarning, "state directory", kept.error());
}

// What kept us from it may be over soon: a program of before that still ends, a full disk. A new
// process takes it then; from within the sandbox we could not read all that is in it.
void Shipper::look_at_state_directory() {
    if (!state_problem_ || now_.monotonic < look_at_state_at_) return;
    look_at_state_at_ = now_.monotonic + kLookInterval;
    const std::string& path = settings_->state_directory;
    const bool usable = sandbox_.covers_tree(path) ? static_cast<bool>(take_state_directory(path))
                                                   : now_.monotonic >= new_process_for_state_at_ &&
                                                         only_new_process_reaches(path);
    if (usable) begin_anew("Its state directory can be used now.");
}

}  // namespace pganalytics::ship

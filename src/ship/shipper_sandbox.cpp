// The shipper's sandbox: what it may reach, and when only a new process gets at what it needs. Runs
// in `pganalytics ship`.
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/ship/identity.hpp"
#include "pganalytics/ship/journal.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kLookInterval = 10'000'000;
constexpr int64_t kPatience = 60'000'000;
constexpr int64_t kPutOff = 5'000'000;

// Whether a process outside the sandbox would probably get at it.
bool can_be_used(const std::string& directory) {
    struct stat facts {};
    if (stat(directory.c_str(), &facts) == 0) return S_ISDIR(facts.st_mode);
    const size_t slash = directory.rfind('/');
    return slash != std::string::npos &&
           access(directory.substr(0, slash + 1).c_str(), W_OK | X_OK) == 0;
}

std::vector<std::string> given_files(const ShipSettings& settings) {
    std::vector<std::string> files = {settings.ca_file, settings.cert_file, settings.key_file};
    std::erase(files, std::string());
    return files;
}

}  // namespace

// Figures of the server's processes without the helper: all but what they read and write.
void Shipper::start_io_helper() {
    if (host::landlock_version() == 0) return;
    if (const Status started = io_helper_.start(); !started)
        return log(LogLevel::kWarning, "processes", started.error());
    processes_.read_io_with([this](int64_t pid) { return io_helper_.read(pid); });
}

// As soon as it is known what there is to reach. Sizes of the server's files need no more than the
// names in its directories.
void Shipper::enter_sandbox() {
    if (!settings_ || !facts_ || sandbox_.entered()) return;
    const std::string& state = settings_->state_directory;
    const IdentityStore identity(state);
    // So that the next identity is written where it may be read again.
    if (!state_problem_) (void)identity.make_spare();
    host::SandboxPlan plan;
    plan.role = host::SandboxRole::kShip;
    plan.files = given_files(*settings_);
    plan.kept_out = {facts_->data_directory, state + "/hub"};
    plan.read = {"/proc", "/sys"};
    plan.list = {"/"};
    // Of the directory only what is its own: a hub's keys lie there, too.
    plan.change = {state};
    plan.write = {identity.directory(), identity.spare(), state + "/config", state + "/spool",
                  state + kJournalFile};
    plan.resolves_names = true;
    sandbox_.enter(plan);
    if (const std::string missing = sandbox_.missing(); !missing.empty())
        log(LogLevel::kInfo, "sandbox",
            make_error("00000", "pganalytics ship runs without a part of its sandbox", missing));
}

bool Shipper::needs_new_process() const {
    if (!sandbox_.entered()) return false;
    for (const std::string& file : given_files(*settings_))
        if (!sandbox_.covers_file(file)) return true;
    const std::string& state = settings_->state_directory;
    for (const std::string& part : {state + "/identity", state + "/spool", state + kJournalFile})
        if (!host::is_absent(part) && !sandbox_.covers_file(part)) return true;
    return only_new_process_reaches(state);
}

bool Shipper::only_new_process_reaches(const std::string& directory) const {
    return !sandbox_.covers_tree(directory) && can_be_used(directory);
}

void Shipper::look_at_sandbox() {
    if (!sandbox_.entered() || now_.monotonic < look_at_sandbox_at_) return;
    look_at_sandbox_at_ = now_.monotonic + kLookInterval;
    if (sandbox_.outdated()) begin_anew("Files that it reads were replaced.");
    if (io_helper_.lost()) begin_anew("The helper that reads /proc/PID/io is gone.");
}

// The worker starts another process, as soon as nothing is lost by it.
void Shipper::begin_anew(std::string_view why) {
    if (!anew_because_.empty()) return;
    anew_because_ = why;
    anew_patience_until_ = now_.monotonic + kPatience;
}

void Shipper::begin_anew_where_due() {
    if (anew_because_.empty() || now_.monotonic < begin_anew_at_) return;
    // What is being read or asked for is not broken off, as long as that comes to an end.
    const bool busy = cycle_ || link_.enrolling() || !waiters_.empty();
    if (busy && now_.monotonic < anew_patience_until_) return;
    begin_anew_at_ = now_.monotonic + kPutOff;
    const bool kept = queue_.keep_all();
    if (!kept && std::exchange(told_put_off_, true)) return;
    log(LogLevel::kInfo, kept ? "begins anew" : "begins anew later",
        make_error("00000",
                   kept ? "pganalytics ship is being started again"
                        : "pganalytics ship is started again once what it collected is on disk or "
                          "with the hub",
                   anew_because_));
    if (!kept) return;
    socket_.drain(100);
    anew_ = true;
}

}  // namespace pganalytics::ship

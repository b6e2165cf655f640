// Users' own rowsets that were sent, kept for the program's next run (see own_groups.hpp). Runs in
// `pganalytics ship`.
#include "pganalytics/host/files.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

namespace {

constexpr const char* kFile = "/own_rowsets";
constexpr size_t kMostBytes = size_t{8} << 20;

}  // namespace

void Shipper::inherit_own_groups() {
    const std::string path = settings_->state_directory + kFile;
    if (host::is_absent(path)) return;
    const Result<std::string> bytes = host::read_file(path, kMostBytes);
    if (bytes) {
        own_groups_.inherit(*bytes);
    } else {
        log(LogLevel::kWarning, "own rowsets", bytes.error());
    }
}

void Shipper::keep_own_groups() {
    if (!state_lock_) return;
    const std::optional<std::string> bytes = own_groups_.to_keep();
    if (!bytes) return;
    const Status kept = host::write_file_durably(settings_->state_directory + kFile, *bytes);
    if (!kept) log(LogLevel::kWarning, "own rowsets", kept.error());
}

}  // namespace pganalytics::ship

// Rowsets the program makes of itself; and users' own ones that were sent, kept for its next run
// (see own_groups.hpp). Runs in `pganalytics ship`.
#include <utility>

#include "pganalytics/host/files.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

namespace {

constexpr const char* kFile = "/own_rowsets";
constexpr int64_t kPatience = 100'000;
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

// Before the cycle goes anywhere, if the disk is as quick as a healthy one; else beside the loop,
// and what changes meanwhile comes with the next cycle.
void Shipper::keep_own_groups() {
    if (!state_lock_ || !own_groups_kept()) return;
    std::optional<std::string> bytes = own_groups_.to_keep();
    if (!bytes) return;
    own_kept_ = std::make_shared<Status>(
        make_error(sqlstate::kInternal, "the list of own rowsets was not written"));
    const auto job = [kept = own_kept_, bytes = *std::move(bytes),
                      path = settings_->state_directory + kFile] {
        *kept = host::write_file_durably(path, bytes);
    };
    if (own_writer_.start(job)) {
        static_cast<void>(own_writer_.running_after(kPatience));
    } else {
        job();
    }
    static_cast<void>(own_groups_kept());
}

// False: they are still being written.
bool Shipper::own_groups_kept() {
    if (own_writer_.running()) return false;
    if (const auto last = std::exchange(own_kept_, nullptr); last && !*last)
        log(LogLevel::kWarning, "own rowsets", last->error());
    return true;
}

// What all that went before in this cycle has cost is told with the next.
void Shipper::add_own_rowsets() {
    const bool preview = cycle_->use() == CycleUse::kPreview;
    LeftOuts shown;
    LeftOuts& left_outs = preview ? shown : left_outs_;
    left_outs.take(cycle_->reports(), cycle_->databases());
    const StatusSource status = status_source();
    const OwnSource source{status, cycle_->worker(), costs_, left_outs, started_at_};
    const auto read = [&source](const Rowset& rowset, RowBuilder& out) {
        return read_own_rowset(rowset, source, out);
    };
    for (const RowsetShape& shape : cycle_->own_shapes(Scope::kProgram))
        cycle_->add_host_rowset(read_host_rowset(shape, read));
}

}  // namespace pganalytics::ship

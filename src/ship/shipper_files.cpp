// Sizes of relations: the rows of visitors wait until a thread has asked the file system for them
// (part of Shipper, see shipper.hpp). Runs in `pganalytics ship`.
#include <utility>

#include "pganalytics/host/relation_sizes.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

// Called when the worker has ended the cycle: all rows are there.
void Shipper::begin_file_sizes() {
    for (const uint32_t datid : cycle_->used_databases()) file_lists_.touch(datid);
    file_lists_.keep_databases(cycle_->databases());
    if (cycle_->use() == CycleUse::kSend && cycle_->begin().purpose == CyclePurpose::kScheduled)
        for (const FileList& list : file_lists_.take_due(now_.monotonic)) cycle_->add_again(list);
    const std::vector<UnfilledRowset>& unfilled = cycle_->unfilled();
    if (unfilled.empty()) return;
    std::vector<RowsetShape> shapes;
    // The thread may outlive the cycle.
    struct Rows {
        std::shared_ptr<const std::string> bytes;
        host::AbsentFiles absent;
    };
    std::vector<Rows> rows;
    for (const UnfilledRowset& one : unfilled) {
        // The list from before would take memory beside the new one.
        if (!one.again && cycle_->use() == CycleUse::kSend) file_lists_.forget(one.datid);
        shapes.push_back(*one.shape);
        rows.push_back(
            {one.rows, one.again ? host::AbsentFiles::kLeftOut : host::AbsentFiles::kNull});
    }
    const std::vector<const Column*> columns = shapes.front().columns;
    auto read = [rows = std::move(rows), columns, next = size_t{0},
                 directory = facts_->data_directory](const Rowset&, RowBuilder& out) mutable {
        const Rows& one = rows[next++];
        return host::fill_file_sizes(*one.bytes, columns, directory, one.absent, out);
    };
    awaits_files_ = files_.start(std::move(shapes), std::move(read));
}

void Shipper::take_file_sizes() {
    std::optional<std::vector<HostRowset>> read = files_.take();
    if (!read || !awaits_files_) return;
    awaits_files_ = false;
    file_sizes_ = *std::move(read);
}

void Shipper::keep_file_list(const UnfilledRowset& one, const HostRowset* filled) {
    // Asked for again when it is due again, though nothing is used until then.
    if (one.again && filled == nullptr) file_lists_.touch(one.datid);
    if (one.again || cycle_->use() != CycleUse::kSend) return;
    // The rows that are left out are others next time.
    const bool whole = filled != nullptr && one.complete && one.report.left_out == 0;
    if (whole) {
        file_lists_.keep({one.datid, one.datname, one.rows}, now_.monotonic);
    } else {
        file_lists_.forget(one.datid);
    }
}

void Shipper::finish_file_sizes() {
    const size_t count = cycle_->unfilled().size();
    if (file_sizes_.size() != count) ++figures_.host_readings_missed;
    for (size_t i = 0; i < count; ++i) {
        const HostRowset* const filled = file_sizes_.size() == count ? &file_sizes_[i] : nullptr;
        keep_file_list(cycle_->unfilled()[i], filled);
        cycle_->add_filled(i, filled);
    }
    awaits_files_ = false;
    file_sizes_.clear();
}

}  // namespace pganalytics::ship

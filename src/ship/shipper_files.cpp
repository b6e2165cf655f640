// Sizes of relations: the rows of visitors wait until a thread has asked the file system for them
// (part of Shipper, see shipper.hpp). Runs in `pganalytics ship`.
#include <utility>

#include "pganalytics/host/relation_sizes.hpp"
#include "pganalytics/ship/shipper.hpp"

namespace pganalytics::ship {

// Called when the worker has ended the cycle: all rows are there.
void Shipper::begin_file_sizes() {
    const std::vector<UnfilledRowset>& unfilled = cycle_->unfilled();
    if (unfilled.empty()) return;
    std::vector<RowsetShape> shapes;
    // The thread may outlive the cycle.
    auto rows = std::make_shared<std::vector<std::string>>();
    for (const UnfilledRowset& one : unfilled) {
        shapes.push_back(*one.shape);
        rows->push_back(one.rows);
    }
    const std::vector<const Column*> columns = shapes.front().columns;
    auto read = [rows, columns, next = size_t{0}, directory = facts_->data_directory](
                    const Rowset&, RowBuilder& out) mutable {
        return host::fill_file_sizes((*rows)[next++], columns, directory, out);
    };
    awaits_files_ = files_.start(std::move(shapes), std::move(read));
}

void Shipper::take_file_sizes() {
    std::optional<std::vector<HostRowset>> read = files_.take();
    if (!read || !awaits_files_) return;
    awaits_files_ = false;
    file_sizes_ = *std::move(read);
}

void Shipper::finish_file_sizes() {
    const size_t count = cycle_->unfilled().size();
    if (file_sizes_.size() != count) ++figures_.host_readings_missed;
    for (size_t i = 0; i < count; ++i)
        cycle_->add_filled(i, file_sizes_.size() == count ? &file_sizes_[i] : nullptr);
    awaits_files_ = false;
    file_sizes_.clear();
}

}  // namespace pganalytics::ship

// A cycle under way (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/cycle.hpp"

#include <algorithm>
#include <utility>

#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/host/relation_sizes.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kIncompleteAgain = 300 * 1'000'000L;

Error grammar_error(std::string what) {
    return make_error(sqlstate::kProtocolViolation,
                      "frames from the collector are out of order: " + std::move(what));
}

}  // namespace

Cycle::Cycle(CycleOptions options, const RowsetShapes& shapes, SparseFilter& filter,
             FullSchedule& schedule, OwnGroups& own_groups, SlicedRowsets& slices)
    : options_(std::move(options)),
      shapes_(shapes),
      filter_(filter),
      schedule_(schedule),
      own_groups_(own_groups),
      slices_(slices) {
    if (options_.use == CycleUse::kCount) return;
    writer_ = std::make_unique<SnapshotWriter>(options_.snapshots);
    // Nobody chooses its rows to collide with another's here, so the key may be any.
    if (options_.use == CycleUse::kPreview)
        preview_filter_ = std::make_unique<SparseFilter>(SipKey{});
}

bool Cycle::wanted(const Rowset& rowset) const {
    return options_.use != CycleUse::kCount &&
           (options_.plugin.empty() || options_.plugin == rowset.plugin);
}

void Cycle::start(const RowsetShape& shape, RowsetBegin begin) {
    shape_ = &shape;
    shape_number_ = shape.number;
    begin_ = std::move(begin);
    malformed_ = false;
    received_ = not_taken_ = 0;
    reading_limit_ = options_.reading_limit();
    skipped_ = !wanted(*shape.rowset);
    if (skipped_ || keeps_) return;
    if (begin_.partial) {
        // Without the rest it is worth nothing; end() asks for that.
        skipped_ = preview_filter_ || !schedule_.knows(group()) ||
                   !filter_.begin_partial(group(), shape.columns.size(), shape.key_types());
        if (skipped_) not_whole_.push_back(group());
        return;
    }
    SparseFilter& filter = preview_filter_ ? *preview_filter_ : filter_;
    const int64_t least = int64_t{shape.rowset->whole_seconds} * 1'000'000;
    const bool full = preview_filter_ || schedule_.due(group(), options_.now, least);
    filter.begin(group(), shape.columns.size(), shape.key_types(), full);
}

Status Cycle::begin_rowset(const RowsetBegin& begin) {
    if (ended_ || in_rowset()) return grammar_error("a rowset begins within another");
    const RowsetShape* shape = shapes_.find(begin.rowset);
    if (shape == nullptr) return grammar_error("unknown rowset");
    const bool is_own = shape->rowset->scope == Scope::kOwn && is_of_database(*shape->rowset);
    if (is_own != (begin.own != 0) || is_own != is_own_name(begin.own_name))
        return grammar_error("unknown rowset of a user");
    slicing_ = begin.slice != 0 && options_.use == CycleUse::kSend;
    if (slicing_) {
        shape_ = shape;
        shape_number_ = shape->number;
        begin_ = begin;
        malformed_ = skipped_ = false;
        received_ = 0;
        reading_limit_ = options_.reading_limit();
        slices_.begin(group(), begin.slice);
        return {};
    }
    keeps_ = host::has_file_sizes(*shape->rowset) && wanted(*shape->rowset);
    start(*shape, begin);
    return {};
}

Status Cycle::rows(std::string_view rows) {
    if (!in_rowset()) return grammar_error("rows outside of a rowset");
    if (skipped_ || malformed_) return {};
    if (slicing_) {
        keep_slice(rows);
        return {};
    }
    if (keeps_) {
        keep(rows);
        return {};
    }
    RowReader reader(rows);
    std::string_view body;
    while (!malformed_ && reader.next(body)) {
        ++received_;
        add_row(body);
    }
    malformed_ = malformed_ || !reader.ok();
    return {};
}

// Rows of a rowset that is to be filled: they wait here while what they become takes as much again.
void Cycle::keep(std::string_view rows) {
    const bool room = unfilled_bytes_ + rows.size() <= reading_limit_ / 2;
    RowReader reader(rows);
    for (std::string_view body; reader.next(body); ++received_) not_taken_ += room ? 0 : 1;
    malformed_ = !reader.ok();
    if (!room || malformed_) return;
    kept_.append(rows);
    unfilled_bytes_ += rows.size();
}

void Cycle::add_row(std::string_view body) {
    SparseFilter& filter = preview_filter_ ? *preview_filter_ : filter_;
    if (filter.reading_bytes() > reading_limit_) {
        ++not_taken_;
        return;
    }
    malformed_ = !filter.add(body);
}

Status Cycle::end_rowset(const RowsetEnd& end) {
    if (!in_rowset()) return grammar_error("a rowset ends that was not begun");
    RowsetReport report;
    report.rows = end.rows;
    report.elapsed_us = end.elapsed_us;
    report.cpu_us = end.cpu_us;
    report.left_out = end.left_out;
    report.sums = end.sums;
    if (begin_.own != 0) {
        report.error = own_error_to_send(end.sqlstate, end.message);
    } else if (!end.sqlstate.empty() || !end.message.empty()) {
        report.error = end.message + " (" + end.sqlstate + ")";
    }
    // A frame of rows can get lost where memory is short; what was in it is not gone for that.
    const bool lost = !skipped_ && !malformed_ && received_ != end.rows;
    if (slicing_) {
        end_slice(end, std::move(report));
        return {};
    }
    if (lost && report.error.empty()) report.error = "rows were lost on their way";
    finish(end.complete && !lost, std::move(report));
    return {};
}

void Cycle::finish(bool complete, RowsetReport report) {
    const RowsetShape& shape = *std::exchange(shape_, nullptr);
    report.rowset = shape.rowset;
    report.own = begin_.own_name;
    report.datid = begin_.datid;
    report.datname = begin_.datname;
    report.partial = begin_.partial;
    report.complete = complete;
    if (std::exchange(keeps_, false) && !malformed_) {
        const bool whole = complete && not_taken_ == 0;
        kept_.shrink_to_fit();
        unfilled_.push_back({&shape, begin_.datid, begin_.datname, begin_.time,
                             std::make_shared<const std::string>(std::exchange(kept_, {})), whole,
                             false, std::move(report)});
        return;
    }
    SparseFilter& filter = preview_filter_ ? *preview_filter_ : filter_;
    // Where a pass stands in for visits it will not come again by itself.
    if (!skipped_ && (malformed_ || not_taken_ > 0 || !complete)) not_whole_.push_back(group());
    if (malformed_) {
        kept_.clear();
        filter.abandon();
        report.complete = false;
        report.error = "malformed row";
    } else if (!skipped_) {
        if (not_taken_ > 0) {
            report.complete = false;
            report.error =
                std::to_string(not_taken_) + " rows beyond what pganalytics.memory_limit allows";
        }
        const SparseFilter::Changes changes = filter.end(report.complete);
        if (changes.anything) {
            report.sent = changes.rows.size();
            if (host::changes_file_sizes(*shape.rowset)) used_databases_.insert(begin_.datid);
            write(shape, changes, report);
        }
        filter.release();
    }
    reports_.push_back(std::move(report));
}

void Cycle::write(const RowsetShape& shape, const SparseFilter::Changes& changes,
                  RowsetReport& report) {
    RowsetPart part;
    part.group = group();
    part.own = begin_.own_name;
    part.type = shape.rowset->plugin;
    part.name = shape.rowset->name;
    if (is_of_database(*shape.rowset)) part.datname = begin_.datname;
    part.time = begin_.time;
    part.columns = shape.columns;
    part.keys = shape.keys;
    part.full = changes.full;
    part.complete = report.complete;
    part.left_out = report.left_out;
    part.rows = changes.rows;
    part.gone = changes.gone;
    bool well_formed = true;
    if (shape.rowset->scope == Scope::kCluster) {
        deferred_.push_back({part,
                             {changes.rows.begin(), changes.rows.end()},
                             {changes.gone.begin(), changes.gone.end()}});
    } else {
        well_formed = writer_->add(part);
    }
    if (!well_formed) report.error = "malformed row";
    if (preview_filter_) return;
    if (changes.full) schedule_.sent(part.group, options_.now);
    if (part.group.own != 0) own_groups_.sent(part.group, begin_.own_name, begin_.datname);
    // What could not be read is tried again before a whole interval has passed.
    if (changes.full && !report.complete)
        schedule_.require(part.group, options_.now + kIncompleteAgain);
    if (!well_formed) schedule_.require(part.group);
}

void Cycle::write_deferred() {
    std::stable_sort(deferred_.begin(), deferred_.end(), [](const Deferred& a, const Deferred& b) {
        return a.part.group.rowset < b.part.group.rowset;
    });
    for (Deferred& deferred : deferred_) {
        const std::vector<std::string_view> rows(deferred.rows.begin(), deferred.rows.end());
        const std::vector<std::string_view> gone(deferred.gone.begin(), deferred.gone.end());
        deferred.part.rows = rows;
        deferred.part.gone = gone;
        if (!writer_->add(deferred.part) && !preview_filter_)
            schedule_.require(deferred.part.group);
    }
    deferred_.clear();
}

std::unique_ptr<SnapshotWriter> Cycle::take_writer() {
    write_deferred();
    return std::move(writer_);
}

std::vector<RowsetShape> Cycle::own_shapes(Scope scope) const {
    std::vector<RowsetShape> due;
    for (const uint16_t number : options_.begin.host_rowsets) {
        const RowsetShape* shape = shapes_.find(number);
        if (shape != nullptr && shape->rowset->scope == scope) due.push_back(*shape);
    }
    return due;
}

void Cycle::add_host_rowset(const HostRowset& read) {
    const RowsetShape* shape = shapes_.find(read.number);
    if (shape == nullptr || in_rowset()) return;
    RowsetBegin begin;
    begin.time = read.time;
    start(*shape, std::move(begin));
    if (!skipped_) {
        RowReader reader(read.rows);
        std::string_view body;
        while (reader.next(body) && !malformed_) add_row(body);
    }
    RowsetReport report;
    report.rows = read.count;
    report.elapsed_us = read.elapsed_us;
    report.cpu_us = read.cpu_us;
    if (read.error) report.error = read.error->message;
    finish(!read.error, std::move(report));
}

void Cycle::add_again(const FileList& list) {
    const RowsetShape* const shape = shapes_.find(host::file_sizes_rowset());
    const bool newer = std::any_of(unfilled_.begin(), unfilled_.end(),
                                   [&](const auto& one) { return one.datid == list.datid; });
    if (shape == nullptr || newer) return;
    unfilled_.push_back(
        {shape, list.datid, list.datname, options_.begin.time, list.rows, true, true, {}});
}

void Cycle::add_filled(size_t i, const HostRowset* filled) {
    UnfilledRowset& one = unfilled_[i];
    RowsetReport report = std::move(one.report);
    if (filled == nullptr) {
        report.complete = false;
        report.error = "the file systems did not tell their sizes in time";
        reports_.push_back(std::move(report));
        return;
    }
    RowsetBegin begin;
    begin.datid = one.datid;
    begin.datname = one.datname;
    begin.time = one.time;
    begin.partial = one.again;
    start(*one.shape, std::move(begin));
    RowReader reader(filled->rows);
    std::string_view body;
    while (!skipped_ && !malformed_ && reader.next(body)) add_row(body);
    report.elapsed_us += filled->elapsed_us;
    if (filled->error && report.error.empty()) report.error = filled->error->message;
    finish(one.complete && !filled->error, std::move(report));
}

// What was dropped or defined anew is said to be gone, as of the cycle's beginning: a full rowset
// without rows. Rows of the new definition are of a later time.
void Cycle::forget_own(const std::vector<OwnNumber>& own) {
    for (const OwnGroups::Gone& gone : own_groups_.keep(own)) {
        filter_.forget(gone.group);
        schedule_.forget(gone.group);
        const RowsetShape* shape = shapes_.find(gone.group.rowset);
        if (shape == nullptr) continue;
        RowsetPart part;
        part.group = gone.group;
        part.type = shape->rowset->plugin;
        part.name = shape->rowset->name;
        part.own = gone.name;
        part.datname = gone.datname;
        part.time = options_.begin.time;
        part.columns = shape->columns;
        part.keys = shape->keys;
        part.full = part.complete = true;
        static_cast<void>(writer_->add(part));
    }
}

void Cycle::end(const CycleEnd& end) {
    ended_ = true;
    worker_ = end.counts;
    databases_ = end.databases;
    if (options_.use != CycleUse::kSend) return;
    filter_.keep_databases(end.databases);
    schedule_.keep_databases(end.databases);
    for (const uint32_t datid : end.partial_databases) {
        const bool needed = std::any_of(
            end.partial_rowsets.begin(), end.partial_rowsets.end(), [&](uint16_t rowset) {
                const RowsetGroup group{rowset, datid};
                return schedule_.overdue(group, options_.now) ||
                       std::find(not_whole_.begin(), not_whole_.end(), group) != not_whole_.end();
            });
        if (needed) need_complete_.push_back(datid);
    }
    own_groups_.keep_databases(end.databases);
    slices_.keep_databases(end.databases);
    if (end.own) forget_own(*end.own);
}

}  // namespace pganalytics::ship

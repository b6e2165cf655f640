// Reading the spool, delivered snapshots, damage and what is set aside (see spool.hpp). Runs in
// `pganalytics ship`.
#include <algorithm>
#include <iterator>
#include <utility>

#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/crc32c.hpp"
#include "pganalytics/ship/spool.hpp"

namespace pganalytics::ship {

namespace {

// Tries at a file that can't be read before it is given up.
constexpr int kReadTries = 5;
constexpr size_t kMostFinished = 65536;
constexpr uint64_t kMostAside = uint64_t{64} << 20;

}  // namespace

Result<std::optional<Spool::Stored>> Spool::next(int64_t now) {
    front_.reset();
    while (!segments_.empty()) {
        Segment& segment = segments_.front();
        uint64_t skipped = 0;
        const auto found =
            segment.unreadable
                ? Result<std::optional<RecordPlace>>(std::optional<RecordPlace>())
                : find_record(files_, segment.name, segment.seed, cursor_, segment.bytes, skipped);
        if (!found) return read_failed(found.error());
        if (skipped > 0) segment.damaged = true;
        if (!*found) {
            cursor_ = segment.bytes;
            if (!leave_front(now)) return std::optional<Stored>();
            continue;
        }
        const RecordPlace& place = **found;
        const RecordHeader& header = place.header;
        const uint64_t end = place.offset + header.bytes();
        if (header.type != RecordType::kSnapshot || header.number < position_ ||
            header.number >= segment.end) {
            cursor_ = end;
            continue;
        }
        pass_to(header.number, now);
        if (finished_.erase(header.number) > 0) {
            position_ = header.number + 1;
            cursor_ = end;
            continue;
        }
        const Result<std::string> bytes =
            files_.read(segment.name, place.offset + kRecordHeaderBytes,
                        size_t{header.meta_bytes} + header.body_bytes);
        if (!bytes) return read_failed(bytes.error());
        read_failures_ = 0;
        const std::string_view meta_bytes = std::string_view(*bytes).substr(0, header.meta_bytes);
        std::optional<SnapshotMeta> meta;
        if (crc32c(meta_bytes, segment.seed) == header.meta_checksum)
            meta = decode<SnapshotMeta>(meta_bytes);
        const std::string_view body =
            std::string_view(*bytes).substr(std::min<size_t>(header.meta_bytes, bytes->size()));
        const bool whole =
            body.size() == header.body_bytes && crc32c(body, segment.seed) == header.body_checksum;
        if (!meta || !whole) {
            segment.damaged = segment.damaged || !place.cut;
            skip_damaged(header, meta, now);
            cursor_ = end;
            continue;
        }
        cursor_ = place.offset;
        front_ = Front{header.number, end};
        Stored stored{header.number, snapshot_of(*meta, options_.incarnation)};
        stored.snapshot.body.assign(body);
        return std::optional(std::move(stored));
    }
    return std::optional<Stored>();
}

// Snapshots below `number` that nobody finished are lost: their records are not there.
void Spool::pass_to(uint64_t number, int64_t now) {
    if (number <= position_) return;
    const uint64_t lost =
        number - position_ - finished_in(position_, number) - held_in(position_, number);
    finished_.erase(finished_.begin(), finished_.lower_bound(number));
    position_ = number;
    if (lost == 0) return;
    losses_.add(LossReason::kDamaged, {lost, 0, 0, 0, 0}, now);
    unsaved_ = true;
}

void Spool::skip_damaged(const RecordHeader& header, const std::optional<SnapshotMeta>& meta,
                         int64_t now) {
    if (!held_.contains(header.number)) {
        Losses lost{1, 0, 0, 0, 0};
        if (meta) {
            lost = {};
            lost.count(meta->rows, meta->bytes_json, meta->time);
            keep_groups(*meta);
        }
        losses_.add(LossReason::kDamaged, lost, now);
        unsaved_ = true;
    }
    position_ = header.number + 1;
    Segment& segment = segments_.front();
    segment.waiting -= std::min<uint64_t>(segment.waiting, 1);
}

Error Spool::read_failed(Error error) {
    if (++read_failures_ < kReadTries) return error;
    read_failures_ = 0;
    Segment& segment = segments_.front();
    segment.damaged = segment.unreadable = true;
    return error;
}

// The first segment has nothing more. False: nor has any other.
bool Spool::leave_front(int64_t now) {
    Segment& front = segments_.front();
    const bool last = segments_.size() == 1;
    pass_to(last ? next_number_ : segments_[1].first, now);
    front.waiting = 0;
    // Small ones stay, to be added to.
    const bool small = front.first == front.end || front.bytes <= segment_limit() / 8;
    if (last && !front.damaged && small) return false;
    const Status saved = last ? new_segment(now) : save(now);
    if (last && !saved) return false;
    remove_front();
    // On a full disk there was no room to write the position before; now there may be.
    if (!saved) static_cast<void>(save(now));
    return true;
}

void Spool::remove_front() {
    Segment gone = std::move(segments_.front());
    segments_.pop_front();
    if (segments_.empty()) writing_ = false;
    cursor_ = segments_.empty() ? 0 : segments_.front().begin;
    front_.reset();
    if (gone.damaged) {
        move_aside(gone);
    } else {
        remove_file({std::move(gone.name), gone.on_disk});
    }
}

void Spool::finish(uint64_t number, bool lost) {
    if (number < position_ || number >= next_number_) return;
    const auto segment = std::find_if(segments_.begin(), segments_.end(), [number](const auto& s) {
        return number >= s.first && number < s.end;
    });
    if (segment == segments_.end()) return;
    segment->waiting -= std::min<uint64_t>(segment->waiting, 1);
    if (front_ && front_->number == number) {
        position_ = number + 1;
        cursor_ = front_->end;
        front_.reset();
        // A position behind a loss is not told before the loss is.
        if (!unsaved_) note(RecordType::kPosition, position_);
        return;
    }
    if (finished_.size() >= kMostFinished || !finished_.insert(number).second) return;
    if (lost) {
        lost_unsaved_.push_back(number);
    } else {
        note(RecordType::kFinished, number);
    }
}

void Spool::lose(uint64_t number, LossReason reason, const Losses& losses, int64_t now) {
    losses_.add(reason, losses, now);
    unsaved_ = true;
    if (number != 0) finish(number, true);
}

void Spool::set_aside(uint64_t number, const Snapshot& snapshot, std::string_view reason,
                      int64_t now) {
    SegmentHeader head;
    head.segment = ++last_file_;
    head.first_number = std::max<uint64_t>(number, 1);
    head.seed = options_.random();
    head.created_at = now;
    SnapshotMeta meta = meta_of(snapshot, options_.incarnation);
    meta.reason = reason;
    const std::string start =
        encode_segment_header(head) + encode_record(RecordType::kRefused, head.first_number,
                                                    head.seed, encode(meta), snapshot.body);
    const uint64_t bytes = start.size() + snapshot.body.size();
    const File file{spool_file_name(SpoolFileKind::kAside, head.segment), bytes};
    trim_aside(bytes);
    if (aside_bytes() + bytes <= aside_limit() && used() + bytes + reserve() <= options_.limit) {
        Status written = files_.create(file.name);
        if (written) {
            written = files_.append(file.name, start);
            if (written) written = files_.append(file.name, snapshot.body);
            if (written) written = files_.sync(file.name);
            if (written) written = files_.sync_directory();
            if (written) {
                aside_.push_back(file);
            } else {
                remove_file(file);
            }
        }
    }
    Losses lost;
    lost.count(snapshot);
    lose(number, LossReason::kRefused, lost, now);
}

void Spool::move_aside(const Segment& segment) {
    trim_aside(segment.on_disk);
    File file{spool_file_name(SpoolFileKind::kAside, ++last_file_), segment.on_disk};
    if (aside_bytes() + file.bytes > aside_limit() || !files_.rename(segment.name, file.name)) {
        file.name = segment.name;
        return remove_file(std::move(file));
    }
    aside_.push_back(std::move(file));
}

uint64_t Spool::aside_limit() const { return std::min(kMostAside, options_.limit / 8); }

uint64_t Spool::aside_bytes() const {
    uint64_t sum = 0;
    for (const File& file : aside_) sum += file.bytes;
    return sum;
}

// The oldest go, so that so many bytes fit.
void Spool::trim_aside(uint64_t room) {
    while (!aside_.empty() && aside_bytes() + room > aside_limit()) remove_oldest_aside();
}

void Spool::remove_oldest_aside() {
    File oldest = std::move(aside_.front());
    aside_.erase(aside_.begin());
    remove_file(std::move(oldest));
}

void Spool::keep_groups(const SnapshotMeta& meta) {
    const Snapshot snapshot = snapshot_of(meta, options_.incarnation);
    lost_groups_.insert(snapshot.groups.begin(), snapshot.groups.end());
}

uint64_t Spool::finished_in(uint64_t from, uint64_t to) const {
    if (to <= from) return 0;
    return static_cast<uint64_t>(
        std::distance(finished_.lower_bound(from), finished_.lower_bound(to)));
}

// Of those that are not finished.
uint64_t Spool::held_in(uint64_t from, uint64_t to) const {
    uint64_t count = 0;
    for (auto one = held_.lower_bound(from); one != held_.end() && *one < to; ++one)
        count += finished_.contains(*one) ? 0 : 1;
    return count;
}

std::vector<RowsetGroup> Spool::take_lost_groups() {
    const std::set<RowsetGroup> taken = std::exchange(lost_groups_, {});
    return {taken.begin(), taken.end()};
}

uint64_t Spool::snapshots() const {
    uint64_t sum = 0;
    for (const Segment& segment : segments_) sum += segment.waiting;
    return sum;
}

SpoolFigures Spool::figures() const {
    return {snapshots(), used(), segments_.size(), aside_.size(), aside_bytes(), foreign_bytes_};
}

}  // namespace pganalytics::ship

// Writing the spool, and making room for what is written (see spool.hpp). Runs in
// `pganalytics ship`.
#include <algorithm>
#include <utility>

#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/crc32c.hpp"
#include "pganalytics/ship/spool.hpp"

namespace pganalytics::ship {

namespace {

// At the default limit segments of 8 MB: what is dropped at once, and what is rewritten never.
constexpr uint64_t kSegmentsInLimit = 32;
constexpr uint64_t kSmallestSegment = uint64_t{64} << 10;
constexpr uint64_t kLargestSegment = uint64_t{64} << 20;
constexpr uint64_t kMostReserve = uint64_t{64} << 10;

}  // namespace

uint64_t free_space_floor(const SpoolSpace& space) {
    const uint64_t wanted = std::max(space.total / 20, uint64_t{2} << 30);
    return std::min(wanted, space.total / 5);
}

uint64_t Spool::used() const {
    uint64_t sum = foreign_bytes_ + aside_bytes();
    for (const Segment& segment : segments_) sum += segment.on_disk;
    for (const File& file : garbage_) sum += file.bytes;
    return sum;
}

// For what is written so that something can be removed.
uint64_t Spool::reserve() const { return std::min(kMostReserve, options_.limit / 8); }

uint64_t Spool::segment_limit() const {
    if (options_.segment_bytes != 0) return options_.segment_bytes;
    return std::clamp(options_.limit / kSegmentsInLimit, kSmallestSegment, kLargestSegment);
}

Result<uint64_t> Spool::append(std::span<const Snapshot* const> snapshots, int64_t now) {
    uint64_t needed = 0;
    for (const Snapshot* snapshot : snapshots)
        needed += kRecordHeaderBytes + encode(meta_of(*snapshot, options_.incarnation)).size() +
                  snapshot->body.size();
    if (Status room = make_room(needed, reserve(), now); !room) return room.error();
    const bool fits = writing_ && (segments_.back().end == segments_.back().first ||
                                   segments_.back().bytes + needed <= segment_limit());
    const uint64_t first = next_number_;
    if (!fits) {
        if (Status made = new_segment(now); !made) return made.error();
    }
    writing_ = false;  // should memory run out meanwhile
    if (Status written = write_records(snapshots); !written) {
        abandon();
        return written.error();
    }
    writing_ = true;
    Segment& segment = segments_.back();
    segment.bytes = segment.on_disk;
    segment.waiting += snapshots.size();
    next_number_ += snapshots.size();
    segment.end = next_number_;
    if (unsaved_) static_cast<void>(save(now));
    return first;
}

Status Spool::write_records(std::span<const Snapshot* const> snapshots) {
    Segment& segment = segments_.back();
    uint64_t number = next_number_;
    for (const Snapshot* snapshot : snapshots) {
        const std::string start =
            encode_record(RecordType::kSnapshot, number++, segment.seed,
                          encode(meta_of(*snapshot, options_.incarnation)), snapshot->body);
        // Counted first: after an error any part of it may be there.
        segment.on_disk += start.size() + snapshot->body.size();
        if (Status written = files_.append(segment.name, start); !written) return written;
        if (Status written = files_.append(segment.name, snapshot->body); !written) return written;
    }
    return files_.sync(segment.name);
}

// Something could not be written behind the last segment: it gets nothing more, and what may stand
// there half is cut off, or will be skipped for the numbers of the segment after it.
void Spool::abandon() {
    writing_ = false;
    Segment& segment = segments_.back();
    if (files_.truncate(segment.name, segment.bytes)) segment.on_disk = segment.bytes;
}

// With the state in its header, durable, name and all. Where that fails it may be there after a
// crash all the same, and end the segments before it at its number: none of them may get that
// number any more.
Status Spool::new_segment(int64_t now) {
    writing_ = false;
    SegmentHeader header;
    header.segment = ++last_file_;
    header.first_number = next_number_;
    header.seed = options_.random();
    header.created_at = now;
    header.state = state();
    const std::string bytes = encode_segment_header(header);
    Segment segment;
    segment.name = spool_file_name(SpoolFileKind::kSegment, header.segment);
    segment.number = header.segment;
    segment.seed = header.seed;
    segment.first = segment.end = next_number_;
    segment.begin = segment.bytes = segment.on_disk = bytes.size();
    Status made = files_.create(segment.name);
    if (!made) return made;
    made = files_.append(segment.name, bytes);
    if (made) made = files_.sync(segment.name);
    if (made) made = files_.sync_directory();
    if (!made) {
        remove_file({segment.name, segment.on_disk});
        return made;
    }
    if (segments_.empty()) cursor_ = segment.begin;
    segments_.push_back(std::move(segment));
    writing_ = true;
    saved();
    remove_empty_before_last();
    return {};
}

// A segment that no snapshot came into is made superfluous by the state in the next one's header.
void Spool::remove_empty_before_last() {
    if (segments_.size() < 2) return;
    const auto before = segments_.end() - 2;
    if (before->first != next_number_ || before->damaged) return;
    if (before == segments_.begin()) cursor_ = segments_.back().begin;
    File gone{std::move(before->name), before->on_disk};
    segments_.erase(before);
    remove_file(std::move(gone));
}

// Position and losses, durable.
Status Spool::save(int64_t now) {
    if (!writing_) return new_segment(now);
    Segment& segment = segments_.back();
    const std::string record =
        encode_record(RecordType::kState, position_, segment.seed, encode(state()), {});
    writing_ = false;  // should memory run out meanwhile
    segment.on_disk += record.size();
    Status written = files_.append(segment.name, record);
    if (written) written = files_.sync(segment.name);
    if (!written) {
        abandon();
        return new_segment(now);
    }
    writing_ = true;
    segment.bytes = segment.on_disk;
    saved();
    return {};
}

void Spool::saved() {
    unsaved_ = false;
    for (const uint64_t number : std::exchange(lost_unsaved_, {}))
        if (number >= position_) note(RecordType::kFinished, number);
}

// Not synced: after a power cut what it says is not known, and something comes once more.
void Spool::note(RecordType type, uint64_t number) {
    if (!writing_ || used() + kRecordHeaderBytes + reserve() / 2 > options_.limit) return;
    Segment& segment = segments_.back();
    const std::string record = encode_record(type, number, segment.seed, {}, {});
    segment.on_disk += record.size();
    if (!files_.append(segment.name, record)) return abandon();
    segment.bytes = segment.on_disk;
}

// What can't be removed gives no room back, however much of it is given up.
Status Spool::make_room(uint64_t bytes, uint64_t margin, int64_t now) {
    while (used() + bytes + margin > options_.limit) {
        if (!garbage_.empty()) {
            if (Status removed = remove_garbage(); !removed) return removed;
            continue;
        }
        if (snapshots() == 0 && segments_.size() <= 1 && aside_.empty())
            return make_error(sqlstate::kProgramLimit, "the spool has no room",
                              "It is larger than what pganalytics.spool_limit leaves.",
                              "Raise pganalytics.spool_limit.");
        if (Status dropped = drop_oldest(LossReason::kLimit, now); !dropped) return dropped;
    }
    while (true) {
        const Result<SpoolSpace> space = files_.space();
        if (!space) return space.error();
        if (space->available >= free_space_floor(*space) + bytes) return {};
        if (!garbage_.empty()) {
            if (Status removed = remove_garbage(); !removed) return removed;
            continue;
        }
        if (snapshots() == 0)
            return make_error(sqlstate::kIoError, "the volume of the spool is nearly full",
                              "The spool leaves a twentieth of it (2 GB at least, a fifth of a "
                              "small one) to the server.",
                              "Free space on the volume of pganalytics.state_directory.");
        if (Status dropped = drop_oldest(LossReason::kNoRoom, now); !dropped) return dropped;
    }
}

// Its losses and the position are durable before it goes. Where even that can't be written, it goes
// first: the numbers missing before the next segment then tell the loss. Where neither can be done,
// it stays.
Status Spool::drop_oldest(LossReason reason, int64_t now) {
    if (snapshots() == 0) {
        drop_what_is_over(now);
        return {};
    }
    const bool alone = segments_.size() == 1;
    const uint64_t end = alone ? next_number_ : segments_[1].first;
    const SpoolState before = state();
    losses_.add(reason, count_rest(segments_.front()), now);
    position_ = std::max(position_, end);
    unsaved_ = true;
    if (alone) writing_ = false;
    Status saved = save(now);
    // Of the last one nothing else would tell that there ever was something.
    if (!saved && (alone || !files_.remove(segments_.front().name))) {
        position_ = before.position;
        losses_ = before.losses;
        return saved;
    }
    finished_.erase(finished_.begin(), finished_.lower_bound(end));
    segments_.front().waiting = 0;
    segments_.front().damaged = false;
    remove_front();
    if (!saved) static_cast<void>(save(now));
    return {};
}

// Nothing waits: what is set aside, and segments that were delivered.
void Spool::drop_what_is_over(int64_t now) {
    while (!aside_.empty()) remove_oldest_aside();
    pass_to(segments_.size() > 1 ? segments_[1].first : next_number_, now);
    if (segments_.size() == 1 && !new_segment(now)) return;
    if (segments_.size() > 1) remove_front();
}

// What of it was never delivered; details of what can be read.
Losses Spool::count_rest(const Segment& segment) {
    const uint64_t end = segments_.size() > 1 ? segments_[1].first : next_number_;
    Losses lost;
    uint64_t number = position_;
    uint64_t offset = cursor_;
    while (number < end) {
        uint64_t skipped = 0;
        const auto found =
            find_record(files_, segment.name, segment.seed, offset, segment.bytes, skipped);
        if (!found || !*found) break;
        const RecordHeader& header = (*found)->header;
        offset = (*found)->offset + header.bytes();
        if (header.type != RecordType::kSnapshot || header.number < number || header.number >= end)
            continue;
        number = header.number + 1;
        if (finished_.contains(header.number) || held_.contains(header.number)) continue;
        const Result<std::string> bytes =
            files_.read(segment.name, (*found)->offset + kRecordHeaderBytes, header.meta_bytes);
        std::optional<SnapshotMeta> meta;
        if (bytes && crc32c(*bytes, segment.seed) == header.meta_checksum)
            meta = decode<SnapshotMeta>(*bytes);
        if (!meta) continue;
        lost.count(meta->rows, meta->bytes_json, meta->time);
        keep_groups(*meta);
    }
    const uint64_t all = end > position_ ? end - position_ : 0;
    lost.snapshots = all - std::min(all, finished_in(position_, end) + held_in(position_, end));
    return lost;
}

void Spool::remove_file(File file) {
    if (!files_.remove(file.name)) garbage_.push_back(std::move(file));
}

Status Spool::remove_garbage() {
    Status result;
    for (File& file : std::exchange(garbage_, {})) {
        Status removed = files_.remove(file.name);
        if (removed) continue;
        result = std::move(removed);
        garbage_.push_back(std::move(file));
    }
    return result;
}

Status Spool::tick(int64_t now) {
    static_cast<void>(remove_garbage());
    if (Status room = make_room(0, reserve() / 4, now); !room) return room;
    return keep(now);
}

}  // namespace pganalytics::ship

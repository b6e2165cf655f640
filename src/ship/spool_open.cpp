// What a spool finds when it starts (see spool.hpp): segments in their order, how far they were
// delivered, what is missing. Runs in `pganalytics ship`.
#include <algorithm>
#include <utility>

#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/crc32c.hpp"
#include "pganalytics/ship/spool.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kWindow = size_t{64} << 10;
constexpr size_t kMostFinished = 65536;

}  // namespace

Result<std::optional<RecordPlace>> find_record(SpoolFiles& files, const std::string& name,
                                               uint32_t seed, uint64_t offset, uint64_t end,
                                               uint64_t& skipped) {
    skipped = 0;
    if (offset >= end) return std::optional<RecordPlace>();
    const Result<std::string> head = files.read(name, offset, kRecordHeaderBytes);
    if (!head) return head.error();
    if (const auto header = decode_record_header(*head, seed))
        return std::optional(RecordPlace{*header, offset, offset + header->bytes() > end});
    // Damage: the next place that has a header.
    uint64_t at = offset;
    while (at < end) {
        const Result<std::string> window = files.read(name, at, kWindow);
        if (!window) return window.error();
        if (window->size() < kRecordHeaderBytes) break;
        for (size_t mark = find_record_mark(*window, 0);
             mark != std::string::npos && mark + kRecordHeaderBytes <= window->size();
             mark = find_record_mark(*window, mark + 1)) {
            const auto header = decode_record_header(std::string_view(*window).substr(mark), seed);
            if (!header || at + mark + kRecordHeaderBytes > end) continue;
            skipped = at + mark - offset;
            return std::optional(
                RecordPlace{*header, at + mark, at + mark + header->bytes() > end});
        }
        // A header may stand across the border of two windows.
        at += window->size() - kRecordHeaderBytes + 1;
    }
    skipped = end - offset;
    return std::optional<RecordPlace>();
}

Spool::Spool(SpoolFiles& files, SpoolOptions options)
    : files_(files), options_(std::move(options)) {}

Status Spool::open(int64_t now) {
    std::vector<File> found;
    if (Status read = read_directory(found); !read) return read;
    uint64_t damaged_bytes = read_starts(std::move(found));
    for (Segment& segment : segments_) {
        const bool last = &segment == &segments_.back();
        if (scan(segment) || !last) continue;
        // Which numbers it holds is not known, so it can't stay before what comes.
        Segment unreadable = std::move(segments_.back());
        segments_.pop_back();
        damaged_bytes += unreadable.on_disk;
        move_aside(unreadable);
        break;
    }
    for (size_t i = 0; i + 1 < segments_.size(); ++i) segments_[i].end = segments_[i + 1].first;
    if (!segments_.empty()) next_number_ = segments_.back().end;
    next_number_ = std::max(next_number_, position_);
    std::erase_if(finished_,
                  [this](uint64_t number) { return number < position_ || number >= next_number_; });
    if (damaged_bytes > 0) lose(0, LossReason::kDamaged, {0, 0, damaged_bytes, 0, 0}, now);
    forget_passed(now);
    return {};
}

Status Spool::read_directory(std::vector<File>& segments) {
    Result<std::vector<SpoolFiles::Entry>> entries = files_.list();
    if (!entries) return entries.error();
    std::sort(entries->begin(), entries->end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    for (SpoolFiles::Entry& entry : *entries) {
        const std::optional<SpoolFileName> name = parse_spool_file_name(entry.name);
        if (!name) {
            foreign_bytes_ += entry.bytes;
            continue;
        }
        last_file_ = std::max(last_file_, name->number);
        const bool is_segment = name->kind == SpoolFileKind::kSegment;
        (is_segment ? segments : aside_).push_back({std::move(entry.name), entry.bytes});
    }
    return {};
}

std::optional<SegmentStart> Spool::read_header(const std::string& name) {
    const Result<std::string> bytes =
        files_.read(name, 0, kSegmentPreambleBytes + kMostHeaderBytes);
    if (!bytes) return std::nullopt;
    return decode_segment_header(*bytes);
}

bool Spool::is_later_version(const std::string& name) {
    const Result<std::string> bytes =
        files_.read(name, 0, kSegmentPreambleBytes + kMostHeaderBytes);
    return bytes && segment_version(*bytes).value_or(0) > kSpoolVersion;
}

// Answers the bytes of files that should be segments and are none.
uint64_t Spool::read_starts(std::vector<File> files) {
    uint64_t damaged = 0;
    std::vector<Segment> segments;
    for (File& file : files) {
        const std::optional<SegmentStart> start = read_header(file.name);
        Segment segment;
        segment.name = file.name;
        segment.bytes = segment.on_disk = file.bytes;
        if (start) {
            segment.number = start->header.segment;
            segment.seed = start->header.seed;
            segment.first = segment.end = std::max<uint64_t>(start->header.first_number, 1);
            segment.begin = start->bytes;
            last_file_ = std::max(last_file_, segment.number);
            segments.push_back(std::move(segment));
        } else if (is_later_version(file.name)) {
            foreign_bytes_ += file.bytes;
        } else if (file.bytes == 0) {
            // A crash came between its making and its first bytes.
            remove_file(std::move(file));
        } else {
            damaged += file.bytes;
            move_aside(segment);
        }
    }
    order_segments(std::move(segments));
    return damaged;
}

// By what their headers say: a file that somebody renamed is still the same segment. Of two with
// one number the one named so is it.
void Spool::order_segments(std::vector<Segment> found) {
    std::stable_sort(found.begin(), found.end(), [](const Segment& a, const Segment& b) {
        if (a.number != b.number) return a.number < b.number;
        return a.name == spool_file_name(SpoolFileKind::kSegment, a.number) &&
               b.name != spool_file_name(SpoolFileKind::kSegment, b.number);
    });
    for (Segment& segment : found) {
        const bool twice = !segments_.empty() && segments_.back().number == segment.number;
        // Snapshots are numbered on from segment to segment.
        const bool backwards = !segments_.empty() && segments_.back().first > segment.first;
        if (twice || backwards) {
            move_aside(segment);
        } else {
            segments_.push_back(std::move(segment));
        }
    }
}

// Looks at the records' headers only. False: it could not be read.
bool Spool::scan(Segment& segment) {
    if (std::optional<SegmentStart> start = read_header(segment.name)) {
        position_ = std::max(position_, start->header.state.position);
        losses_ = std::move(start->header.state.losses);
    }
    uint64_t offset = segment.begin;
    while (true) {
        uint64_t skipped = 0;
        const auto found =
            find_record(files_, segment.name, segment.seed, offset, segment.bytes, skipped);
        if (!found) return false;
        if (!*found) return true;
        offset = (*found)->offset + (*found)->header.bytes();
        if (!take_record(segment, **found)) return false;
    }
}

bool Spool::take_record(Segment& segment, const RecordPlace& place) {
    const RecordHeader& header = place.header;
    switch (header.type) {
        case RecordType::kSnapshot:
            if (header.number < segment.end) break;
            ++segment.waiting;
            segment.end = header.number + 1;
            break;
        case RecordType::kPosition:
            position_ = std::max(position_, header.number);
            break;
        case RecordType::kFinished:
            if (finished_.size() < kMostFinished) finished_.insert(header.number);
            break;
        case RecordType::kState: {
            const Result<std::string> meta =
                files_.read(segment.name, place.offset + kRecordHeaderBytes, header.meta_bytes);
            if (!meta) return false;
            if (crc32c(*meta, segment.seed) != header.meta_checksum) break;
            std::optional<SpoolState> state = decode<SpoolState>(*meta);
            if (!state || !state->losses.plausible()) break;
            position_ = std::max(position_, state->position);
            losses_ = std::move(state->losses);
            break;
        }
        case RecordType::kRefused:
            break;
    }
    return true;
}

// Segments that were delivered but not removed yet; snapshots whose segment somebody took away.
void Spool::forget_passed(int64_t now) {
    while (segments_.size() > 1 && segments_.front().end <= position_) {
        const Segment gone = std::move(segments_.front());
        segments_.pop_front();
        remove_file({gone.name, gone.on_disk});
    }
    if (segments_.empty()) return;
    Segment& front = segments_.front();
    cursor_ = front.begin;
    if (position_ < front.first) pass_to(front.first, now);
    if (position_ > front.first) front.waiting -= std::min(front.waiting, position_ - front.first);
    for (Segment& segment : segments_)
        segment.waiting -=
            std::min(segment.waiting, finished_in(std::max(position_, segment.first), segment.end));
}

}  // namespace pganalytics::ship

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
    // Set aside once all the others could be read.
    std::vector<Segment> astray;
    if (Status read = read_starts(std::move(found), astray); !read) return read;
    if (Status read = scan_segments(astray); !read) return read;
    uint64_t damaged_bytes = 0;
    for (const Segment& segment : astray) {
        if (segment.damaged) damaged_bytes += segment.on_disk;
        move_aside(segment);
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
        File file{std::move(entry.name), entry.bytes};
        if (file.bytes == 0) {
            // A crash came between its making and its first bytes.
            remove_file(std::move(file));
        } else {
            (is_segment ? segments : aside_).push_back(std::move(file));
        }
    }
    return {};
}

Result<std::string> Spool::read_header(const std::string& name) {
    return files_.read(name, 0, kSegmentPreambleBytes + kMostHeaderBytes);
}

Status Spool::read_starts(std::vector<File> files, std::vector<Segment>& astray) {
    std::vector<Segment> segments;
    for (File& file : files) {
        const Result<std::string> header = read_header(file.name);
        if (!header && !options_.unreadable_is_damage) {
            met_unreadable_ = true;
            return header.error();
        }
        const std::optional<SegmentStart> start =
            header ? decode_segment_header(*header) : std::nullopt;
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
        } else if (header && segment_version(*header).value_or(0) > kSpoolVersion) {
            foreign_bytes_ += file.bytes;
        } else {
            segment.damaged = true;
            astray.push_back(std::move(segment));
        }
    }
    order_segments(std::move(segments), astray);
    return {};
}

// By what their headers say: a file that somebody renamed is still the same segment. Of two with
// one number the one named so is it.
void Spool::order_segments(std::vector<Segment> found, std::vector<Segment>& astray) {
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
            astray.push_back(std::move(segment));
        } else {
            segments_.push_back(std::move(segment));
        }
    }
}

Status Spool::scan_segments(std::vector<Segment>& astray) {
    for (Segment& segment : segments_) {
        Status read = scan(segment);
        if (read) continue;
        if (!options_.unreadable_is_damage) {
            met_unreadable_ = true;
            return read;
        }
        if (&segment != &segments_.back()) continue;
        // Which numbers it holds is not known, so it can't stay before what comes.
        segment.damaged = true;
        astray.push_back(std::move(segment));
        segments_.pop_back();
        break;
    }
    return {};
}

// Looks at the records' headers only.
Status Spool::scan(Segment& segment) {
    const Result<std::string> header = read_header(segment.name);
    if (!header) return header.error();
    if (std::optional<SegmentStart> start = decode_segment_header(*header)) {
        position_ = std::max(position_, start->header.state.position);
        losses_ = std::move(start->header.state.losses);
    }
    uint64_t offset = segment.begin;
    while (true) {
        uint64_t skipped = 0;
        const auto found =
            find_record(files_, segment.name, segment.seed, offset, segment.bytes, skipped);
        if (!found) return found.error();
        if (!*found) return {};
        offset = (*found)->offset + (*found)->header.bytes();
        if (Status read = take_record(segment, **found); !read) return read;
    }
}

Status Spool::take_record(Segment& segment, const RecordPlace& place) {
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
            if (!meta) return meta.error();
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
    return {};
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

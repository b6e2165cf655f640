// Snapshots on disk until the hub has them: segments that are only ever added to
// (spool_format.hpp), oldest first, bounded in bytes, leaving room on the volume. Runs in
// `pganalytics ship`; knows no thread, no clock, no network.
//
// What append() has taken is there after a crash at any point, until finish() is told that it is
// delivered or a loss of it is written down; after a crash something delivered may come once more
// (the hub stores it once). Nothing is deleted before what makes it superfluous is durable:
//
//     segment --all delivered--> position synced to the newest segment --> removed
//     segment --no room for a new one--> its losses and the position synced --> removed
//     segment, damaged --the rest delivered--> the loss synced --> renamed: set aside
//     append fails --> what was durable stays; the segment gets no more records, the next one does
//
// Memory does not grow with what is stored but by some bytes a segment.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/ship/loss_book.hpp"
#include "pganalytics/ship/snapshot.hpp"
#include "pganalytics/ship/spool_files.hpp"
#include "pganalytics/ship/spool_format.hpp"

namespace pganalytics::ship {

struct SpoolOptions {
    uint64_t limit = uint64_t{256} << 20;  // of all files together, at any moment
    uint64_t segment_bytes = 0;            // 0: by the limit
    Uuid incarnation{};                    // of this run
    std::function<uint32_t()> random;
    // Files that can't be read when it is opened are damage; else they are an error of open().
    bool unreadable_is_damage = false;
};

struct SpoolFigures {
    uint64_t snapshots = 0;
    uint64_t bytes = 0;  // of all files
    uint64_t segments = 0;
    uint64_t aside_files = 0;
    uint64_t aside_bytes = 0;
    uint64_t foreign_bytes = 0;  // of files that are none of this version's, left alone
};

// The first record at `offset` or behind, up to `end`. `cut`: the file ends within it; `skipped`:
// bytes before it that are none.
struct RecordPlace {
    RecordHeader header;
    uint64_t offset = 0;
    bool cut = false;
};
Result<std::optional<RecordPlace>> find_record(SpoolFiles& files, const std::string& name,
                                               uint32_t seed, uint64_t offset, uint64_t end,
                                               uint64_t& skipped);

// Bytes of the volume that the spool leaves free.
uint64_t free_space_floor(const SpoolSpace& space);

class Spool {
  public:
    Spool(SpoolFiles& files, SpoolOptions options);

    // Finds what is there; writes nothing but what repairs it. An error: the directory or a file
    // can't be read, everything is as it was, and nothing else may be called.
    Status open(int64_t now);
    // The error was a file's.
    bool met_unreadable() const { return met_unreadable_; }

    // All of them, durable; answers the number of the first. Drops the oldest where there is no
    // room. After an error none of them is in.
    Result<uint64_t> append(std::span<const Snapshot* const> snapshots, int64_t now);

    struct Stored {
        uint64_t number = 0;
        Snapshot snapshot;
    };
    // The oldest that is not finished, whole and checked; the same again until it is finished.
    Result<std::optional<Stored>> next(int64_t now);
    // Delivered; of any that was not dropped.
    void finish(uint64_t number) { finish(number, false); }
    // Those that somebody else has as well are not counted as lost, should their segment be
    // dropped or damaged: who has them counts them then (lose() without a number).
    void set_held(std::set<uint64_t> numbers) { held_ = std::move(numbers); }
    // False: its segment was dropped, or its record is damaged.
    bool holds(uint64_t number) const { return number >= position_; }

    // Given up; `number` 0: it was never in here. Durable with the next thing that is written;
    // until then it is there again after a crash, so that none goes without being declared.
    void lose(uint64_t number, LossReason reason, const Losses& losses, int64_t now);
    // Refused by the hub: kept in a file of its own, as far as there is room for such.
    void set_aside(uint64_t number, const Snapshot& snapshot, std::string_view reason, int64_t now);

    void set_limit(uint64_t bytes) { options_.limit = bytes; }
    // Now and then: gives back disk where others need it, makes durable what waits for that.
    Status tick(int64_t now);
    // Only the latter.
    Status keep(int64_t now) { return unsaved_ ? save(now) : Status(); }

    // Rowsets of this run in what was lost since the last call.
    std::vector<RowsetGroup> take_lost_groups();
    const LossBook& losses() const { return losses_; }
    SpoolFigures figures() const;
    uint64_t snapshots() const;
    uint64_t limit() const { return options_.limit; }

  private:
    struct Segment {
        std::string name;
        uint64_t number = 0;
        uint32_t seed = 0;
        uint64_t first = 1;    // number of its first snapshot
        uint64_t end = 1;      // of the first that is not its own
        uint64_t begin = 0;    // offset of its first record
        uint64_t bytes = 0;    // up to here there are records
        uint64_t on_disk = 0;  // more than that after a failure
        uint64_t waiting = 0;  // snapshots in it, about
        bool damaged = false;
        bool unreadable = false;  // read errors came until we gave up
    };
    struct File {
        std::string name;
        uint64_t bytes = 0;
    };
    struct Front {
        uint64_t number = 0;
        uint64_t end = 0;  // offset behind it
    };

    // spool_open.cpp
    Status read_directory(std::vector<File>& segments);
    Result<std::string> read_header(const std::string& name);
    Status read_starts(std::vector<File> files, std::vector<Segment>& astray);
    void order_segments(std::vector<Segment> found, std::vector<Segment>& astray);
    Status scan_segments(std::vector<Segment>& astray);
    Status scan(Segment& segment);
    Status take_record(Segment& segment, const RecordPlace& place);
    void forget_passed(int64_t now);

    // spool_write.cpp
    uint64_t used() const;
    uint64_t reserve() const;
    uint64_t segment_limit() const;
    SpoolState state() const { return {position_, losses_}; }
    Status make_room(uint64_t bytes, uint64_t margin, int64_t now);
    Status drop_oldest(LossReason reason, int64_t now);
    Losses count_rest(const Segment& segment);
    Status new_segment(int64_t now);
    void remove_empty_before_last();
    void drop_what_is_over(int64_t now);
    Status write_records(std::span<const Snapshot* const> snapshots);
    void abandon();
    Status save(int64_t now);
    void saved();
    void note(RecordType type, uint64_t number);
    void remove_front();
    void remove_file(File file);
    Status remove_garbage();

    // spool_read.cpp
    void finish(uint64_t number, bool lost);
    bool leave_front(int64_t now);
    void pass_to(uint64_t number, int64_t now);
    void skip_damaged(const RecordHeader& header, const std::optional<SnapshotMeta>& meta,
                      int64_t now);
    Error read_failed(Error error);
    void move_aside(const Segment& segment);
    void trim_aside(uint64_t room);
    void remove_oldest_aside();
    uint64_t aside_limit() const;
    uint64_t aside_bytes() const;
    void keep_groups(const SnapshotMeta& meta);
    uint64_t finished_in(uint64_t from, uint64_t to) const;
    uint64_t held_in(uint64_t from, uint64_t to) const;

    SpoolFiles& files_;
    SpoolOptions options_;
    std::deque<Segment> segments_;  // oldest first
    bool writing_ = false;          // the last one may be added to
    std::vector<File> aside_;       // oldest first
    std::vector<File> garbage_;     // could not be removed yet
    uint64_t foreign_bytes_ = 0;
    uint64_t last_file_ = 0;  // the highest number of a file

    uint64_t position_ = 1;  // all below are finished or lost
    uint64_t next_number_ = 1;
    std::set<uint64_t> finished_;  // above the position
    uint64_t cursor_ = 0;          // offset in the first segment
    std::optional<Front> front_;   // what next() answered
    std::set<uint64_t> held_;
    int read_failures_ = 0;
    bool met_unreadable_ = false;

    LossBook losses_;
    bool unsaved_ = false;                // position or losses that must not get lost
    std::vector<uint64_t> lost_unsaved_;  // of finished_: to be noted once the losses are saved
    std::set<RowsetGroup> lost_groups_;
};

}  // namespace pganalytics::ship

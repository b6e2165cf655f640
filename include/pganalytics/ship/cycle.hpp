// One cycle under way: rows come in as frames, go through the sparse filter and leave as
// snapshots under way. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/full_schedule.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/sparse_filter.hpp"
#include "pganalytics/ship/file_lists.hpp"
#include "pganalytics/ship/host_reader.hpp"
#include "pganalytics/ship/own_groups.hpp"
#include "pganalytics/ship/rowset_shapes.hpp"
#include "pganalytics/ship/sliced_rowsets.hpp"
#include "pganalytics/ship/snapshot_writer.hpp"

namespace pganalytics::ship {

// How a rowset was read: for collect_now and the status.
struct RowsetReport {
    const Rowset* rowset = nullptr;
    std::string own;     // name of a user's own rowset; empty: it is none
    uint32_t datid = 0;  // 0: of the server
    std::string datname;
    bool partial = false;  // changed rows only
    uint16_t slice = 0;    // of a rowset that goes on in another cycle; 0: it is none
    uint64_t rows = 0;
    uint64_t left_out = 0;  // rows there are beside these
    std::string sums;       // of those
    uint64_t sent = 0;
    uint64_t elapsed_us = 0;
    uint64_t cpu_us = 0;
    bool complete = false;
    std::string error;  // empty: none

    std::string_view name() const { return own.empty() ? rowset->name : std::string_view(own); }
};

// A rowset whose rows lack what the program looks up itself, once all of them are there.
struct UnfilledRowset {
    const RowsetShape* shape = nullptr;
    uint32_t datid = 0;
    std::string datname;
    int64_t time = 0;
    std::shared_ptr<const std::string> rows;
    bool complete = false;
    bool again = false;  // rows of an earlier visit
    RowsetReport report;
};

enum class CycleUse : uint8_t {
    kSend,     // filtered and written
    kPreview,  // everything written, no state touched
    kCount,    // read only: there is no hub to send it to
};

struct CycleOptions {
    CycleBegin begin;
    CycleUse use = CycleUse::kSend;
    std::string plugin;  // preview of this one only; empty: all
    SnapshotOptions snapshots;
    // Bytes a rowset may take while it is read (reading_limit.hpp); asked as it begins.
    std::function<size_t()> reading_limit;
    int64_t now = 0;  // monotonic
};

class Cycle {
  public:
    // All of them outlive the cycle.
    Cycle(CycleOptions options, const RowsetShapes& shapes, SparseFilter& filter,
          FullSchedule& schedule, OwnGroups& own_groups, SlicedRowsets& slices);

    // Errors are violations of the frames' grammar: the conversation is over then.
    Status begin_rowset(const RowsetBegin& begin);
    Status rows(std::string_view rows);
    Status end_rowset(const RowsetEnd& end);
    bool in_rowset() const { return shape_ != nullptr; }

    void add_host_rowset(const HostRowset& read);
    // The rowsets of this scope that are due and that the program makes itself.
    std::vector<RowsetShape> own_shapes(Scope scope) const;

    const std::vector<UnfilledRowset>& unfilled() const { return unfilled_; }
    // Rows of an earlier visit to be filled again, unless this cycle has newer ones.
    void add_again(const FileList& list);
    // Databases with a table or an index that was used.
    const std::set<uint32_t>& used_databases() const { return used_databases_; }
    // The `i`th of these with what it lacked; null: that could not be had in time.
    void add_filled(size_t i, const HostRowset* filled);

    // The worker has sent everything.
    void end(const CycleEnd& end);
    const WorkerCounts& worker() const { return worker_; }
    const std::vector<uint32_t>& databases() const { return databases_; }
    bool ended() const { return ended_; }
    // Once it has ended: databases that partial readings do not do for any more.
    const std::vector<uint32_t>& need_complete() const { return need_complete_; }

    const CycleBegin& begin() const { return options_.begin; }
    CycleUse use() const { return options_.use; }
    const std::vector<RowsetReport>& reports() const { return reports_; }
    // Once it has ended and the host's rowsets are in.
    std::unique_ptr<SnapshotWriter> take_writer();

  private:
    bool wanted(const Rowset& rowset) const;
    void start(const RowsetShape& shape, RowsetBegin begin);
    RowsetGroup group() const { return {shape_number_, begin_.datid, begin_.own}; }
    void forget_own(const std::vector<OwnNumber>& own);
    void add_row(std::string_view body);
    void keep(std::string_view rows);
    void keep_slice(std::string_view rows);
    void end_slice(const RowsetEnd& end, RowsetReport report);
    void end_round(const RowsetEnd& end, RowsetReport report);
    void finish(bool complete, RowsetReport report);
    void write(const RowsetShape& shape, const SparseFilter::Changes& changes,
               RowsetReport& report);
    void write_deferred();

    // Rowsets of the server as a whole come between those of databases; they wait for the end, so
    // that all of one type stand in one entry. They are small.
    struct Deferred {
        RowsetPart part;
        std::vector<std::string> rows;
        std::vector<std::string> gone;
    };

    CycleOptions options_;
    const RowsetShapes& shapes_;
    SparseFilter& filter_;
    FullSchedule& schedule_;
    OwnGroups& own_groups_;
    SlicedRowsets& slices_;
    std::unique_ptr<SparseFilter> preview_filter_;
    std::unique_ptr<SnapshotWriter> writer_;
    std::vector<Deferred> deferred_;
    std::vector<RowsetReport> reports_;
    std::vector<UnfilledRowset> unfilled_;
    size_t unfilled_bytes_ = 0;
    std::set<uint32_t> used_databases_;
    bool ended_ = false;
    WorkerCounts worker_;
    std::vector<uint32_t> databases_;     // once it has ended
    std::vector<RowsetGroup> not_whole_;  // of which a reading was not taken as it was sent
    std::vector<uint32_t> need_complete_;

    // The rowset being read.
    const RowsetShape* shape_ = nullptr;
    uint16_t shape_number_ = 0;
    RowsetBegin begin_;
    bool skipped_ = false;  // counted only
    bool malformed_ = false;
    size_t reading_limit_ = 0;  // of this one
    bool keeps_ = false;        // it goes to unfilled_
    bool slicing_ = false;      // a slice, which goes to slices_
    std::string kept_;
    uint64_t received_ = 0;   // rows
    uint64_t not_taken_ = 0;  // of these, beyond the limit
};

}  // namespace pganalytics::ship

// The queue of the shipper: the newest cycle in memory, everything else in the spool. Runs in
// `pganalytics ship`.
//
// While the hub takes what it gets, nothing is written to disk: a cycle goes from memory to the
// hub. It is written, and synced, as soon as it has to last:
//
//     in memory --delivered--> gone
//     in memory --a try failed before or now, no answer for 3 s, the next cycle is there, or the
//                 program ends--> in memory and in the spool
//     in memory and in the spool --delivered--> gone from both
//                                --the next cycle is there, or memory is short--> in the spool
//     in the spool --delivered, dropped or refused--> gone
//     anywhere --refused, but of several rowsets--> its halves in memory --both in the spool, or no
//                 longer in memory--> gone
//
// What is in memory goes first, so that figures are fresh while a backlog drains. Without a usable
// spool there is memory only: oldest first, the oldest dropped when it is full.
//
// Whatever touches the disk is a job of a thread beside the loop, one at a time. The loop waits for
// a job as long as a healthy disk may take. With one that takes longer it goes on as without a
// spool: what comes stays in memory, what is delivered or lost meanwhile is told to the spool once
// the job has ended:
//
//     idle --work()--> under way --ended within the patience--> idle
//                                --later, seen by settle()--> idle
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/host/side_thread.hpp"
#include "pganalytics/ship/moment.hpp"
#include "pganalytics/ship/snapshot_queue.hpp"
#include "pganalytics/ship/spool.hpp"

namespace pganalytics::ship {

class SpoolQueue final : public SnapshotQueue {
  public:
    // `random` is called by jobs. `patience`: how long the loop waits for the disk, microseconds.
    explicit SpoolQueue(Uuid incarnation, std::function<uint32_t()> random,
                        int64_t patience = 100'000);

    // The spool is in this directory from now on; empty: there is none.
    void use_directory(std::string path, Moment now);
    // The same with any files.
    void use_files(std::unique_ptr<SpoolFiles> files, Moment now);
    void set_limits(size_t memory_bytes, uint64_t spool_bytes);
    // Whose snapshots may be sent; none: nobody's. What is in memory for another one comes back; in
    // the spool it waits, and is given up once it would be another one's turn.
    std::vector<Snapshot> set_collector(std::optional<Uuid> collector);

    // Hears of halves before they are queued.
    void on_split(std::function<void(const Snapshot& whole, const SnapshotHalves& halves)> heard) {
        on_split_ = std::move(heard);
    }
    // A new cycle's snapshots come: those of the one before have to last.
    void begin_cycle();
    // Takes it in. What was dropped for it from memory comes back.
    std::vector<Snapshot> push(Snapshot snapshot);
    // After each push, and now and then: writes what has to last, looks after the spool.
    void service(Moment now);
    // Becomes readable when a job that the loop did not wait for has ended: settle() then.
    int descriptor() const { return thread_.descriptor(); }
    // Takes over what has ended. False: a job is under way.
    bool settle();
    // The program ends. False: something is in memory only, and lost.
    bool keep_all();

    const Snapshot* front() const override;
    void pin_front(bool pinned) override;
    Snapshot pop_delivered() override;
    Snapshot pop_refused(std::string_view reason) override;
    Snapshot pop_split(SnapshotHalves halves) override;
    void hub_is_away() override { away_ = true; }

    size_t snapshots() const;  // that wait
    uint64_t bytes() const;    // of them
    uint64_t limit() const;
    int64_t oldest_time() const;  // of their cycles; 0: none waits
    const LossBook& losses() const { return at_hand() ? side_->spool->losses() : book_; }
    // Rowsets of this run in what was lost since the last call.
    std::vector<RowsetGroup> take_lost_groups();
    // Empty: there is no spool. While a job is under way: as they were before it.
    std::optional<SpoolFigures> spool_figures() const;
    // Why snapshots can't be made durable now, or why none of them can be read.
    const std::optional<Error>& problem() const { return hang_ ? hang_ : problem_; }

  private:
    struct Entry {
        std::shared_ptr<Snapshot> snapshot;  // shared with the job that writes it
        uint64_t number = 0;                 // in the spool; 0: not written
        int64_t since = 0;                   // monotonic
        bool writing = false;

        Snapshot take() const;
    };
    // Told to the spool with the next job.
    struct Untold {
        uint64_t number = 0;  // finished; 0: only a loss
        std::optional<LossReason> reason;
        Losses losses;
    };
    // The job's while one is under way.
    struct Side {
        std::unique_ptr<SpoolFiles> files;
        std::unique_ptr<Spool> spool;
    };
    struct Loading {
        std::optional<Spool::Stored> stored;
        std::optional<Error> error;
        bool more = false;  // only strangers so far
    };
    // One in the spool whose halves take its place once they need it no more.
    struct Replaced {
        uint64_t number = 0;
        std::array<std::shared_ptr<Snapshot>, 2> halves;
    };
    struct Opening {
        Status status;
        bool met_unreadable = false;
    };
    enum class Pin : uint8_t { kNone, kMemory, kSpool };

    // spool_queue_disk.cpp
    bool at_hand() const { return has_spool_ && !under_way_; }
    void work(std::function<void(Side&)> job, std::function<void()> after);
    std::function<void(Side&)> before_job();
    std::set<uint64_t> held() const;
    void ended();
    void open();
    void opened(const Opening& opening);
    void write(const std::vector<Entry*>& entries);
    void write_memory();
    void written(const Result<uint64_t>& first);
    void load();
    void loaded(Loading found);
    void tell();
    void look_after();

    // From memory, but for those of this cycle.
    void release_written(std::optional<int64_t> kept_time = std::nullopt);
    void forget_dropped();
    void finish_replaced();
    size_t make_room(size_t needed, std::vector<Snapshot>& dropped);
    void lose(LossReason reason, const Snapshot& snapshot, uint64_t number = 0);
    void lose_loaded();
    void remember(Snapshot snapshot);
    Snapshot take_front(uint64_t& number);
    void after_pop();

    Uuid incarnation_;
    std::function<uint32_t()> random_;
    int64_t patience_;
    std::function<void(const Snapshot& whole, const SnapshotHalves& halves)> on_split_;
    std::string directory_;
    std::shared_ptr<Side> side_;
    bool has_spool_ = false;
    std::optional<Error> problem_;
    std::optional<Error> hang_;
    size_t memory_limit_ = 0;
    uint64_t spool_limit_ = 0;
    std::optional<Uuid> collector_;

    host::SideThread thread_;
    bool under_way_ = false;
    int64_t under_way_since_ = 0;
    std::set<uint64_t> spared_;                       // not counted as lost by the job
    std::function<void()> after_;                     // once it has ended
    std::vector<std::shared_ptr<Snapshot>> writing_;  // by the job
    std::vector<Untold> untold_;
    SpoolFigures figures_;  // before the job

    std::deque<Entry> memory_;
    size_t memory_bytes_ = 0;
    std::optional<Spool::Stored> loaded_;  // number 0: its segment is gone
    bool load_again_ = false;              // there may be something that was not there
    bool strangers_left_ = false;
    std::map<uint64_t, uint64_t> requests_;  // of those that are only in the spool
    std::vector<Replaced> replaced_;
    Pin pin_ = Pin::kNone;
    bool away_ = false;

    Moment now_;
    int64_t write_again_at_ = 0;
    int64_t look_again_at_ = 0;
    int unreadable_ = 0;  // openings in a row that met a file that can't be read
    LossBook book_;       // without a spool; while a job is under way what the spool's will be
    std::vector<RowsetGroup> lost_groups_;
};

}  // namespace pganalytics::ship

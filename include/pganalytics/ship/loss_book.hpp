// What never reached the hub, and why: totals since the spool was made, and the last episodes.
// It is written into the spool before anything is dropped, and shipped as a rowset, so that every
// gap in the hub's figures has a row that declares it. Runs in `pganalytics ship`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

// Their numbers are in files: none is ever given another meaning.
enum class LossReason : uint8_t {
    kLimit = 0,    // pganalytics.spool_limit was reached
    kNoRoom = 1,   // the disk could not take it
    kRefused = 2,  // by the hub, for good
    kDamaged = 3,  // in the spool's files
    kStranger = 4  // addressed to a collector that this server no longer is
};
inline constexpr size_t kLossReasons = 5;

// A short name, as shipped, and a sentence for people.
std::string_view loss_name(LossReason reason);
std::string_view loss_note(LossReason reason);

struct Losses {
    uint64_t snapshots = 0;
    uint64_t rows = 0;
    uint64_t bytes = 0;      // of JSON
    int64_t first_time = 0;  // of the cycles; 0: not known
    int64_t last_time = 0;

    void count(uint64_t snapshot_rows, uint64_t bytes_json, int64_t time);
    void count(const Snapshot& one) { count(one.rows, one.bytes_json, one.time); }
    void add(const Losses& other);
    bool nothing() const { return snapshots == 0 && bytes == 0; }
    static void fields(auto& self, auto& codec) {
        codec(self.snapshots, self.rows, self.bytes, self.first_time, self.last_time);
    }
};

// Losses of one reason that came less than an hour apart.
struct LossEpisode {
    uint64_t number = 0;
    LossReason reason = LossReason::kLimit;
    Losses losses;
    int64_t began_at = 0;  // wall clock, when it was lost, not when it was collected
    int64_t ended_at = 0;

    static void fields(auto& self, auto& codec) {
        codec(self.number, self.reason, self.losses, self.began_at, self.ended_at);
    }
};

class LossBook {
  public:
    static constexpr size_t kMostEpisodes = 32;

    void add(LossReason reason, const Losses& losses, int64_t now);
    const Losses& total(LossReason reason) const;
    // Of those that were dropped for want of room.
    Losses dropped() const;
    // Oldest first.
    const std::vector<LossEpisode>& episodes() const { return episodes_; }
    // From a file: anything may be in it.
    bool plausible() const;

    static void fields(auto& self, auto& codec) {
        for (auto& total : self.totals_) codec(total);
        codec(self.episodes_, self.next_number_);
    }

  private:
    std::array<Losses, kLossReasons> totals_;
    std::vector<LossEpisode> episodes_;
    uint64_t next_number_ = 1;
};

}  // namespace pganalytics::ship

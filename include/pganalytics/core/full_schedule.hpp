// When each rowset of each database is sent whole again: each `interval` (where that is long enough
// for the rowset), after a loss, on demand.
// The first interval of a group is shortened by a fraction of its own, so that the fulls of a
// server that started all at once spread over the cycles. Runs in `pganalytics ship`; times are
// microseconds of a monotonic clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>

#include "pganalytics/core/sparse_filter.hpp"

namespace pganalytics {

class FullSchedule {
  public:
    explicit FullSchedule(int64_t interval) : interval_(interval) {}

    void set_interval(int64_t interval) { interval_ = interval; }

    // True for a group that was never sent. `least`: its interval is no shorter than this.
    bool due(RowsetGroup group, int64_t now, int64_t least = 0) const {
        return is_due(group, now, least, 0);
    }
    // Due so that a complete reading has to be asked for: what is required can't wait, an interval
    // that is over waits a quarter for the readings that come by themselves.
    bool overdue(RowsetGroup group, int64_t now) const {
        return is_due(group, now, 0, interval_ / 4);
    }
    // Was sent whole, and nothing since then made that worthless.
    bool knows(RowsetGroup group) const { return groups_.contains(group); }
    // The group was sent whole.
    void sent(RowsetGroup group, int64_t now) {
        const auto [entry, first] = groups_.try_emplace(group);
        entry->second = {now, kNever, first};
    }
    // Its next reading has to be full, but not before `time` (0: at once).
    void require(RowsetGroup group, int64_t time = 0) {
        const auto known = groups_.find(group);
        if (known != groups_.end())
            known->second.required_at = std::min(known->second.required_at, time);
    }
    void require_all() { groups_.clear(); }
    void forget(RowsetGroup group) { groups_.erase(group); }
    void keep_databases(std::span<const uint32_t> datids) {
        std::erase_if(groups_, [&](const auto& entry) {
            const uint32_t datid = entry.first.datid;
            return datid != 0 && std::find(datids.begin(), datids.end(), datid) == datids.end();
        });
    }

  private:
    static constexpr int64_t kNever = INT64_MAX;
    struct Entry {
        int64_t last = 0;
        int64_t required_at = kNever;
        bool first = true;
    };

    bool is_due(RowsetGroup group, int64_t now, int64_t least, int64_t grace) const {
        const auto known = groups_.find(group);
        if (known == groups_.end()) return true;
        const Entry& entry = known->second;
        return now >= entry.required_at || now - entry.last >= span(group, entry, least) + grace;
    }

    int64_t span(RowsetGroup group, const Entry& entry, int64_t least) const {
        const int64_t interval = std::max(interval_, least);
        if (!entry.first) return interval;
        // Half to all of it, by the high bits of a multiplicative hash.
        const uint32_t mixed = (group.datid * 31 + group.rowset + group.own * 7U) * 2654435769U;
        return interval / 2 + interval / 2 / 256 * (mixed >> 24);
    }

    int64_t interval_;
    std::map<RowsetGroup, Entry> groups_;
};

}  // namespace pganalytics

// Sessions that called pganalytics_push_now() and wait for the hub's answer to the snapshots of
// their cycle. Runs in `pganalytics ship`.
//
//   asked --its cycle is queued--> expecting its snapshots --all acknowledged--> answered
//   asked, expecting --an attempt fails in a way that will not pass, its snapshot is refused or
//                      lost, time over--> answered with that error
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/ship/delivery.hpp"

namespace pganalytics::ship {

class PushWaiters {
  public:
    struct Answer {
        uint64_t request = 0;
        std::string rows;
        std::optional<Error> error;
    };

    // `deadline`: monotonic.
    void ask(uint64_t request, int64_t deadline);
    bool waits(uint64_t request) const { return waiting_.contains(request); }
    bool empty() const { return waiting_.empty(); }
    void expect(uint64_t request, uint64_t sequence);
    void take(const DeliveryEvent& event);
    void lost(const Snapshot& snapshot);
    void fail(uint64_t request, Error error);
    void fail_all(const Error& error);
    // `reason`: what is known of why it takes so long.
    void expire(int64_t now, const Error& reason);
    std::optional<int64_t> next_deadline() const;

    std::vector<Answer> take_answers();

  private:
    struct Waiting {
        int64_t deadline = 0;
        std::set<uint64_t> sequences;
        RowBuilder rows;
    };
    std::map<uint64_t, Waiting> waiting_;
    std::vector<Answer> answers_;
};

}  // namespace pganalytics::ship

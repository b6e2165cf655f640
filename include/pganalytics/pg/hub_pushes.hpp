// Pushes on their way from the front to the tables: taken frame by frame, walked as they come, kept
// within a bound until they are stored. Calls nothing of PostgreSQL. Runs in the hub worker.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/copy_rows.hpp"
#include "pganalytics/core/serve_messages.hpp"

namespace pganalytics::pg {

struct PushedRows {
    uint16_t rowset = 0;
    CopyRowsFacts facts;
    std::vector<std::string> chunks;  // whole COPY rows each
};

struct Push {
    PushBegin begin;
    std::vector<PushedRows> rowsets;
    uint64_t rows = 0;
    size_t bytes = 0;
    std::string refusal;  // its rows break a rule: it can never be stored
    // To be sent again: some were lost on their way here, or made for columns announced before.
    bool again = false;
};

// What incoming rows are held against.
class PushRules {
  public:
    virtual ~PushRules() = default;
    // Fields of a row as announced; 0: no such rowset.
    virtual size_t fields(uint16_t rowset) const = 0;
    virtual TimeWindow window() const = 0;
};

class HubPushes {
  public:
    // One push may hold this much; the front's limit on a body lies far below.
    static constexpr size_t kPushBytes = size_t{96} << 20;
    // With this much ready no more is taken until it is stored.
    static constexpr size_t kReadyBytes = size_t{32} << 20;
    static constexpr size_t kReadyPushes = 50;

    explicit HubPushes(const PushRules& rules) : rules_(rules) {}

    // False: the front broke the protocol; it is to be replaced.
    bool begin(PushBegin begin);
    bool rows(PushRows rows);
    bool end(const PushEnd& end);

    bool full() const { return ready_.size() >= kReadyPushes || ready_bytes_ >= kReadyBytes; }
    bool empty() const { return ready_.empty(); }
    // All that are complete, in order.
    std::vector<Push> take_ready();
    // The front is gone, and with it whoever waits for an answer.
    void clear();

  private:
    const PushRules& rules_;
    std::optional<Push> open_;
    std::vector<Push> ready_;
    size_t ready_bytes_ = 0;
};

}  // namespace pganalytics::pg

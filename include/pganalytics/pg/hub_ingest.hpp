// Pushes into the tables: a group of them in one transaction, each stored once, each answered after
// the commit. Runs in the hub worker.
//
//   ledger: new           -> the rows of each rowset, of all pushes together -> commit -> stored
//   ledger: same digest   -> duplicate
//   ledger: other digest  -> conflict, kept in the audit
//   an ERROR              -> all again, each in a subtransaction: the bad one refused, one that the
//                            hub is to blame for (a trigger, a constraint) busy, the others stored
//   out of time           -> each again in a transaction of its own; what that is too long for is
//                            busy. The next groups are half as large, and grow again while they
//                            fit.
//   an ERROR that passes  -> busy: the collector sends it again
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/pg/hub_pushes.hpp"
#include "pganalytics/pg/hub_tables.hpp"

namespace pganalytics::pg {

// One push while it is stored. Plain data, changed inside transactions.
struct Verdict {
    PushOutcome outcome = PushOutcome::kBusy;
    uint64_t rows = 0;  // without the hub's own rowsets
    bool want_full = false;
    char message[256] = {};
};

struct IngestTotals {
    uint64_t stored = 0;
    uint64_t duplicates = 0;
    uint64_t refused = 0;
    uint64_t rows = 0;
};

class HubIngest {
  public:
    // `announced`: the columns that rows have, by rowset, as the front was told.
    HubIngest(HubTables& tables, const std::vector<ServeTarget>& announced)
        : tables_(tables), announced_(announced) {}

    // Takes them over, to be stored by step(). Together with what waits already no more than the
    // front may have under way.
    void add(std::vector<Push> pushes);
    bool empty() const { return waiting_.empty(); }
    // Nobody waits for an answer any more.
    void clear();

    // One group; while pushes wait there is more to do, but the worker's other work goes first.
    // Answers in the pushes' order, to be sent at once. `failure` is why the hub could not store
    // now, for the log; empty: it could.
    std::vector<PushResult> step(std::string& failure);

    const IngestTotals& totals() const { return totals_; }

  private:
    // All of a group, or those up to the one that time ran out for: how many are settled.
    size_t store(const std::vector<Push>& pushes, std::string& failure);
    void prepare(const std::vector<Push>& pushes, std::string& failure);
    bool store_together(const std::vector<Push>& pushes, FlatError& error);
    bool store_one_by_one(const std::vector<Push>& pushes, std::string& failure, size_t& settled,
                          FlatError& error);
    void adapt(size_t tried, size_t settled);
    void count(size_t settled);

    HubTables& tables_;
    const std::vector<ServeTarget>& announced_;
    std::deque<Push> waiting_;
    size_t group_ = HubPushes::kReadyPushes;  // as many at once
    size_t calm_ = 0;                         // full groups in a row that were in time
    size_t alone_ = 0;                        // of those that wait, the first ones: one at a time
    std::vector<bool> ready_;                 // may be stored now
    std::vector<Verdict> verdicts_;
    IngestTotals totals_;
};

}  // namespace pganalytics::pg

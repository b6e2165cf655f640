// Pushes into the tables: all that are ready in one transaction, each stored once, each answered
// after the commit. Runs in the hub worker.
//
//   ledger: new           -> one COPY for each rowset of all pushes together -> commit -> stored
//   ledger: same digest   -> duplicate
//   ledger: other digest  -> conflict, kept in the audit
//   an ERROR              -> all again, each in a subtransaction: the bad one refused, one that the
//                            hub is to blame for (a trigger, a constraint) busy, the others stored
//   an ERROR that passes  -> busy: the collector sends it again
#pragma once

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

    // At most HubPushes::kReadyPushes and a few. Answers in the pushes' order, to be sent at once.
    // `failure` is why the hub could not store now, for the log; empty: it could.
    std::vector<PushResult> store(const std::vector<Push>& pushes, std::string& failure);

    const IngestTotals& totals() const { return totals_; }

  private:
    void prepare(const std::vector<Push>& pushes, std::string& failure);
    bool store_together(const std::vector<Push>& pushes, FlatError& error);
    bool store_one_by_one(const std::vector<Push>& pushes, std::string& failure, FlatError& error);
    void count();

    HubTables& tables_;
    const std::vector<ServeTarget>& announced_;
    std::vector<bool> ready_;  // may be stored now
    std::vector<Verdict> verdicts_;
    IngestTotals totals_;
};

}  // namespace pganalytics::pg

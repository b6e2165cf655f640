// What is too old goes: partitions whole; ledger rows, spent tokens, audit rows and certificates
// that let nobody in any more in pieces, one piece a transaction, so that ingest goes on in
// between. Runs in the hub worker.
#pragma once

#include <string>
#include <vector>

#include "pganalytics/pg/hub_sql.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

// Times are microseconds since 1970-01-01 UTC.
struct Cutoffs {
    int64_t partitions = 0;  // those that end at or before it go
    int64_t ledger = 0;      // rows received before it
    int64_t tokens = 0;      // those that expired before it
    int64_t records = 0;     // audit rows of before it, certificates that ended before it
};

// With `retention_s` of history. Rows are accepted by their time in [now - min(31 days, retention),
// now + 10 minutes]: the ledger is kept longer than a push could be repeated with rows still
// accepted, and a partition a day longer than a row for it could come. Who was let in is kept for a
// year at least.
Cutoffs cutoffs(int64_t now, int64_t retention_s);

class HubRetention {
  public:
    // Begins a round.
    void begin(const Cutoffs& cutoffs);
    bool running() const { return stage_ != Stage::kIdle; }
    // One piece of it. What fails (a reader holds a lock) is left for the next round.
    // `partitions_changed` is set where one was dropped.
    void work(bool& partitions_changed);

  private:
    enum class Stage : uint8_t {
        kIdle,
        kList,
        kPartitions,
        kLedger,
        kStorage,
        kTokens,
        kAudit,
        kCertificates
    };
    void list_partitions();
    void drop_partition(bool& partitions_changed);
    void delete_rows(Statement& statement, int64_t before, Stage next);
    Cutoffs cutoffs_;
    Stage stage_ = Stage::kIdle;
    std::vector<std::string> partitions_;  // quoted
};

}  // namespace pganalytics::pg

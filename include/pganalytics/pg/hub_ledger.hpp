// A push in the ledger and at its collector; inside a transaction of the hub. Runs in the hub
// worker.
#pragma once

#include "pganalytics/pg/hub_pushes.hpp"

namespace pganalytics::pg {

enum class LedgerAnswer : uint8_t {
    kNew,        // entered: its rows are to be stored in the same transaction
    kDuplicate,  // stored before, the same
    kConflict,   // its snapshot or sequence was stored with another digest; in the audit
    kOverQuota,  // it would go beyond pganalytics.hub_storage_quota; in the audit
};

// `want_full`: the hub has never had this collector's rowsets whole. ERROR where the collector is
// not enrolled or disabled.
LedgerAnswer enter_ledger(const Push& push, uint64_t rows, bool full, bool* want_full);

// For a push that can't be stored: it goes to the audit, and since what it held is missing from now
// on, its collector's next one is asked to be full.
void refuse_push(const Push& push, std::string_view why);

}  // namespace pganalytics::pg

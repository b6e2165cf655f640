// Pushes into the tables (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_ingest.hpp"

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/hub_copy.hpp"
#include "pganalytics/pg/hub_ledger.hpp"
#include "pganalytics/pg/log.hpp"

namespace pganalytics::pg {

namespace {

constexpr uint32_t kRetryAfterSeconds = 5;
// Storage comes free when a day's partitions go, or somebody raises the quota.
constexpr uint32_t kRetryAfterQuotaSeconds = 900;
// Full groups in a row before larger ones are tried again: one that is too large costs 10 s.
constexpr size_t kCalmGroups = 8;

// More subtransactions than these in one transaction no longer fit the cache other sessions look
// into.
static_assert(HubPushes::kReadyPushes <= 60);

bool is_hub_rowset(uint16_t rowset) { return catalog()[rowset].scope == Scope::kHub; }

uint64_t data_rows(const Push& push) {
    uint64_t rows = 0;
    for (const PushedRows& rowset : push.rowsets) {
        if (!is_hub_rowset(rowset.rowset)) rows += rowset.facts.rows;
    }
    return rows;
}

bool holds_full(const Push& push) {
    static const Rowset* const fulls = find_rowset("pganalytics", "fulls");
    for (const PushedRows& rowset : push.rowsets) {
        if (fulls != nullptr && rowset.rowset == rowset_number(*fulls)) return true;
    }
    return false;
}

// --- between PostgreSQL calls: plain data only

// True: its rows are to be stored.
bool enter(const Push& push, Verdict& verdict) {
    if (!push.refusal.empty()) {
        refuse_push(push, push.refusal);
        verdict.outcome = PushOutcome::kRefused;
        copy_text(verdict.message, push.refusal);
        return false;
    }
    verdict.rows = data_rows(push);
    verdict.want_full = false;
    switch (enter_ledger(push, verdict.rows, holds_full(push), &verdict.want_full)) {
        case LedgerAnswer::kNew:
            verdict.outcome = PushOutcome::kStored;
            return true;
        case LedgerAnswer::kDuplicate:
            verdict.outcome = PushOutcome::kDuplicate;
            break;
        case LedgerAnswer::kConflict:
            verdict.outcome = PushOutcome::kConflict;
            copy_text(verdict.message, "it was stored before with other content");
            break;
        case LedgerAnswer::kOverQuota:
            verdict.outcome = PushOutcome::kOverQuota;
            break;
    }
    return false;
}

struct PushRange {
    const Push* pushes;
    const Verdict* verdicts;
    size_t count;
};

template <class Visit>
void each_rows(const PushRange& range, uint16_t rowset, Visit&& visit) {
    for (size_t i = 0; i < range.count; ++i) {
        if (range.verdicts[i].outcome != PushOutcome::kStored) continue;
        for (const PushedRows& rows : range.pushes[i].rowsets) {
            if (rows.rowset == rowset) visit(rows);
        }
    }
}

// Where rows go: the tables, and the columns that rows have (a table may list them otherwise).
struct Targets {
    const HubTables* tables;
    const ServeTarget* announced;
};

// The rows of one rowset of all these pushes as one COPY.
void copy_rowset(const HubPlace& place, const Targets& targets, uint16_t rowset,
                 const PushRange& range) {
    size_t chunks = 0;
    each_rows(range, rowset, [&](const PushedRows& rows) { chunks += rows.chunks.size(); });
    if (chunks == 0) return;
    CopyInput input;
    input.table = targets.tables->of(rowset).oid;
    input.columns = targets.announced[rowset].columns.data();
    input.column_count = targets.announced[rowset].columns.size();
    auto* list = static_cast<std::string_view*>(palloc(chunks * sizeof(std::string_view)));
    each_rows(range, rowset, [&](const PushedRows& rows) {
        for (const std::string& chunk : rows.chunks) list[input.chunk_count++] = chunk;
        input.rows += rows.facts.rows;
    });
    input.chunks = list;
    copy_into(place, input);
    pfree(list);
}

void copy_all(const HubPlace& place, const Targets& targets, const PushRange& range) {
    for (size_t rowset = 0; rowset < targets.tables->count(); ++rowset)
        copy_rowset(place, targets, static_cast<uint16_t>(rowset), range);
}

void store_alone(const HubPlace& place, const Targets& targets, const Push& push,
                 Verdict& verdict) {
    if (enter(push, verdict)) copy_all(place, targets, {&push, &verdict, 1});
}

void refuse_alone(const Push& push, const FlatError& error, Verdict& verdict) {
    verdict = Verdict{};
    if (!blames_push(error)) return;
    refuse_push(push, error.message);
    verdict.outcome = PushOutcome::kRefused;
    copy_text(verdict.message, error.message);
}

PushResult result_of(const Push& push, const Verdict& verdict) {
    PushResult result;
    result.number = push.begin.number;
    result.outcome = verdict.outcome;
    if (verdict.outcome == PushOutcome::kStored) result.inserted = verdict.rows;
    result.want_full = verdict.want_full;
    if (verdict.outcome == PushOutcome::kBusy) result.retry_after_s = kRetryAfterSeconds;
    if (verdict.outcome == PushOutcome::kOverQuota) result.retry_after_s = kRetryAfterQuotaSeconds;
    result.message = verdict.message;
    return result;
}

}  // namespace

// Tables and partitions first, in transactions of their own; a push that lacks one waits.
void HubIngest::prepare(const std::vector<Push>& pushes, std::string& failure) {
    ready_.assign(pushes.size(), true);
    for (size_t i = 0; i < pushes.size(); ++i) {
        if (pushes[i].again) ready_[i] = false;
        for (const PushedRows& rows : pushes[i].rowsets) {
            FlatError error;
            if (!ready_[i] || tables_.prepare(rows.rowset, rows.facts.days, error)) continue;
            ready_[i] = false;
            failure = error.message;
        }
    }
}

bool HubIngest::store_together(const std::vector<Push>& pushes, FlatError& error) {
    verdicts_.assign(pushes.size(), Verdict{});
    return run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            for (size_t i = 0; i < pushes.size(); ++i) {
                if (ready_[i]) enter(pushes[i], verdicts_[i]);
            }
            copy_all(place, {&tables_, announced_.data()},
                     {pushes.data(), verdicts_.data(), pushes.size()});
        },
        error);
}

bool HubIngest::store_one_by_one(const std::vector<Push>& pushes, std::string& failure,
                                 size_t& settled, FlatError& error) {
    FlatError last;
    verdicts_.assign(pushes.size(), Verdict{});
    const bool done = run_in_hub(
        kIngestLimits,
        [&](const HubPlace& place) {
            for (size_t i = 0; i < pushes.size(); ++i) {
                if (!ready_[i]) continue;
                FlatError its_error;
                const bool stored = run_in_subtransaction(
                    [&] {
                        store_alone(place, {&tables_, announced_.data()}, pushes[i], verdicts_[i]);
                    },
                    its_error);
                if (stored) continue;
                refuse_alone(pushes[i], its_error, verdicts_[i]);
                if (!blames_push(its_error)) last = its_error;
                if (its_error.code != ERRCODE_QUERY_CANCELED) continue;
                // The transaction's time is over: what is stored is kept, the rest comes later.
                if (pushes.size() > 1) settled = i;
                break;
            }
        },
        error);
    if (last.code != 0 && settled == pushes.size()) failure = last.message;
    return done;
}

void HubIngest::count(size_t settled) {
    for (size_t i = 0; i < settled; ++i) {
        switch (verdicts_[i].outcome) {
            case PushOutcome::kStored:
                ++totals_.stored;
                totals_.rows += verdicts_[i].rows;
                break;
            case PushOutcome::kDuplicate:
                ++totals_.duplicates;
                break;
            case PushOutcome::kConflict:
            case PushOutcome::kRefused:
            case PushOutcome::kOverQuota:
                ++totals_.refused;
                break;
            case PushOutcome::kBusy:
                break;
        }
    }
}

size_t HubIngest::store(const std::vector<Push>& pushes, std::string& failure) {
    FlatError error;
    size_t settled = pushes.size();
    prepare(pushes, failure);
    bool done = store_together(pushes, error);
    // What fits alone must not be kept out for ever by those that come along with it.
    if (!done && error.code == ERRCODE_QUERY_CANCELED && pushes.size() > 1) return 0;
    if (!done && !worth_retrying(error)) {
        // One of them is bad, or a table's trigger does not like it; or a table is not what it was,
        // which a second look finds.
        error = FlatError{};
        done = tables_.load(error);
        if (done) {
            prepare(pushes, failure);
            done = store_one_by_one(pushes, failure, settled, error);
        }
    }
    if (!done) {
        failure = error.message;
        verdicts_.assign(pushes.size(), Verdict{});
        settled = pushes.size();
    }
    // Somebody may have changed a table: what is not as remembered is found before the next time.
    FlatError ignored;
    if (!failure.empty() && !tables_.load(ignored)) failure = ignored.message;
    return settled;
}

void HubIngest::adapt(size_t tried, size_t settled) {
    if (settled < tried) {
        alone_ = tried - settled;
        group_ = std::max<size_t>(tried / 2, 1);
        calm_ = 0;
        log_limited(LOG, "hub storing together",
                    "pushes take too long together and are stored one by one");
    } else if (alone_ > 0) {
        --alone_;
    } else if (tried == group_ && ++calm_ >= kCalmGroups) {
        group_ = std::min(group_ * 2, HubPushes::kReadyPushes);
        calm_ = 0;
    }
}

void HubIngest::add(std::vector<Push> pushes) {
    for (Push& push : pushes) waiting_.push_back(std::move(push));
}

void HubIngest::clear() {
    waiting_.clear();
    alone_ = 0;
}

std::vector<PushResult> HubIngest::step(std::string& failure) {
    std::vector<Push> pushes;
    const size_t most = alone_ > 0 ? 1 : group_;
    while (pushes.size() < most && !waiting_.empty()) {
        pushes.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    const size_t settled = store(pushes, failure);
    adapt(pushes.size(), settled);
    count(settled);
    std::vector<PushResult> results;
    for (size_t i = 0; i < settled; ++i) results.push_back(result_of(pushes[i], verdicts_[i]));
    for (size_t i = pushes.size(); i > settled; --i) waiting_.push_front(std::move(pushes[i - 1]));
    return results;
}

}  // namespace pganalytics::pg

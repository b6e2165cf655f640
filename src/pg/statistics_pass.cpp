// The walk over the shared statistics (see the header). Runs in the collector.
#include "pganalytics/pg/statistics_pass.hpp"

#include <algorithm>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/walk_order.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/compat_relation_counters.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

// Of one pass: nothing is allocated while locks are held, so one that finds more to note than there
// is room for is made again.
constexpr int kWalks = 3;

// Members of FunctionCounters, which are called otherwise in each major but stand in one order.
struct FunctionCounter {
    std::string_view sql;
    CounterForm form;
};
constexpr FunctionCounter kFunctionCounters[] = {
    {"pg_catalog.pg_stat_get_function_calls(p.oid)", CounterForm::kInt64},
    {"pg_catalog.pg_stat_get_function_total_time(p.oid)", CounterForm::kMilliseconds},
    {"pg_catalog.pg_stat_get_function_self_time(p.oid)", CounterForm::kMilliseconds},
};
static_assert(sizeof(FunctionCounters) == sizeof(int64_t) * std::size(kFunctionCounters) ||
              !kReadsRelationCounters);

std::optional<CounterColumn> counter_of(const Column& column, StatisticsKind kind) {
    if (kind == StatisticsKind::kFunction) {
        for (size_t i = 0; i < std::size(kFunctionCounters); ++i) {
            if (kFunctionCounters[i].sql == column.sql)
                return CounterColumn{kFunctionCounters[i].form, i * sizeof(int64_t)};
        }
        return std::nullopt;
    }
    for (const RelationCounter& counter : relation_counters()) {
        if (counter.sql != column.sql || counter.type != column.type) continue;
        const CounterForm form = counter.type == ColumnType::kTimestamp ? CounterForm::kTimestamp
                                 : counter.type == ColumnType::kFloat64 ? CounterForm::kFloat64
                                                                        : CounterForm::kInt64;
        return CounterColumn{form, counter.offset};
    }
    return std::nullopt;
}

// Empty where a column is neither a label before all counters nor a known counter.
std::optional<PassRowset> pass_rowset(const char* name, StatisticsKind kind) {
    const Rowset* const rowset = find_rowset("pg_stats", name);
    if (rowset == nullptr || !is_queried(*rowset, kServerMajor)) return std::nullopt;
    PassRowset made;
    made.number = rowset_number(*rowset);
    made.kind = kind;
    for (const Column* column : columns_for(*rowset, kServerMajor)) {
        const auto counter = counter_of(*column, kind);
        const bool label = column->kind == Kind::kKey || column->kind == Kind::kLabel;
        if (label == counter.has_value() || (label && !made.tail.empty())) return std::nullopt;
        if (label) {
            made.head.push_back(column->type);
        } else {
            made.tail.push_back(*counter);
        }
    }
    return made;
}

MarkOffsets mark_offsets() {
    MarkOffsets offsets;
    const auto add = [](std::vector<size_t>& to, std::initializer_list<const char*> names) {
        for (const char* const name : names) {
            const std::string sql = "pg_catalog.pg_stat_get_" + std::string(name) + "(c.oid)";
            for (const RelationCounter& counter : relation_counters())
                if (counter.sql == sql) to.push_back(counter.offset);
        }
    };
    add(offsets.written, {"tuples_inserted", "tuples_updated", "tuples_deleted"});
    add(offsets.vacuums,
        {"vacuum_count", "autovacuum_count", "analyze_count", "autoanalyze_count"});
    return offsets;
}

// What of the statistics is where; as long as the process.
WalkOrder& walk_order() {
    static WalkOrder* const order = std::make_unique<WalkOrder>().release();
    return *order;
}

// Meets each entry some entries later, when what is known of it has come from memory. Plain data:
// an ERROR may jump over it.
class Walker {
  public:
    Walker(CounterPass& pass, WalkOrder& order) : pass_(pass), order_(order) {}

    void pass(const void* entry, const void* body, size_t body_bytes) {
        order_.pass(entry, body, body_bytes);
    }
    StatisticsEntry& room() { return entries_[taken_ % kDelay]; }
    void take() {
        const StatisticsEntry& entry = room();
        pass_.expect(entry.kind, entry.database, entry.oid);
        if (++taken_ >= kDelay) meet(room());
    }
    // Those that are left.
    void finish() {
        const size_t first = taken_ < kDelay ? 0 : taken_ - kDelay + 1;
        for (size_t i = first; i < taken_; ++i) meet(entries_[i % kDelay]);
    }

  private:
    static constexpr size_t kDelay = 8;

    void meet(const StatisticsEntry& entry) {
        pass_.meet(entry.kind, entry.database, entry.oid, {entry.counters, entry.size});
    }

    CounterPass& pass_;
    WalkOrder& order_;
    StatisticsEntry entries_[kDelay];
    size_t taken_ = 0;
};
static_assert(std::is_trivially_destructible_v<Walker>);

}  // namespace

CounterPass make_counter_pass() {
    std::vector<PassRowset> rowsets;
    if (kReadsRelationCounters) {
        const auto tables = pass_rowset("tables", StatisticsKind::kRelation);
        const auto indexes = pass_rowset("indexes", StatisticsKind::kRelation);
        const auto functions = pass_rowset("functions", StatisticsKind::kFunction);
        if (tables && indexes && functions) rowsets = {*tables, *indexes, *functions};
    }
    FoldKey key = {};
    if (!pg_strong_random(key.data(), sizeof key)) {
        // With a key that anybody knows changes could be hidden.
        log_limited(LOG, "statistics pass", "no random numbers for a pass over the statistics", {},
                    "Every database is visited instead.");
        rowsets.clear();
    }
    return CounterPass(key, std::move(rowsets), mark_offsets());
}

bool walk_statistics(CounterPass& pass, FlatError& error) {
    WalkOrder& order = walk_order();
    for (int walk = 1;; ++walk) {
        order.begin();
        Walker walker(pass, order);
        const bool good = try_postgres(
            [&] {
                // What of the statistics' memory is mapped now stays mapped.
                CurrentResourceOwner = nullptr;
                each_statistics_entry(walker);
                walker.finish();
            },
            error);
        if (!good) recover_from_error();
        // What even then has no room comes in the next pass.
        if (!good || !pass.is_short() || walk == kWalks) return good;
        pass.again();
    }
}

bool look_up_statistics(StatisticsKind kind, uint32_t datid, std::span<const uint32_t> oids,
                        CounterCopy* copies, FlatError& error) {
    const bool good = try_postgres(
        [&] {
            CurrentResourceOwner = nullptr;
            for (const uint32_t oid : oids) prefetch_counters(kind, datid, oid);
            for (const uint32_t oid : oids) {
                copies->size = copy_counters(kind, datid, oid, copies->bytes, sizeof copies->bytes);
                ++copies;
            }
        },
        error);
    if (!good) recover_from_error();
    return good;
}

}  // namespace pganalytics::pg

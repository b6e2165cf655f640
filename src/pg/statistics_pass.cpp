// The walk over the shared statistics (see the header). Runs in the collector.
#include "pganalytics/pg/statistics_pass.hpp"

#include <algorithm>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/compat_relation_counters.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

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

WrittenRows written_rows() {
    WrittenRows written;
    for (const RelationCounter& counter : relation_counters()) {
        for (const std::string_view name : {"inserted", "updated", "deleted"}) {
            if (counter.sql == "pg_catalog.pg_stat_get_tuples_" + std::string(name) + "(c.oid)")
                written.offsets.push_back(counter.offset);
        }
    }
    return written;
}

SipKey random_key() {
    SipKey key = {};
    static_cast<void>(pg_strong_random(key.data(), sizeof key));
    return key;
}

}  // namespace

CounterPass make_counter_pass() {
    std::vector<PassRowset> rowsets;
    if (kReadsRelationCounters) {
        const auto tables = pass_rowset("tables", StatisticsKind::kRelation);
        const auto indexes = pass_rowset("indexes", StatisticsKind::kRelation);
        const auto functions = pass_rowset("functions", StatisticsKind::kFunction);
        if (tables && indexes && functions) rowsets = {*tables, *indexes, *functions};
    }
    return CounterPass(random_key(), std::move(rowsets), written_rows());
}

bool walk_statistics(CounterPass& pass, FlatError& error) {
    const bool good = try_postgres(
        [&] {
            // What of the statistics' memory is mapped now stays mapped.
            CurrentResourceOwner = nullptr;
            each_statistics_entry([&pass](const StatisticsEntry& entry) {
                pass.meet(entry.kind, entry.database, entry.oid, {entry.counters, entry.size});
            });
        },
        error);
    if (!good) recover_from_error();
    return good;
}

}  // namespace pganalytics::pg

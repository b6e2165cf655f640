// Relations without a query (see the header). Between PostgreSQL calls: plain data only. Runs in
// visitors.
#include "pganalytics/pg/relation_scan.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_am.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "executor/tuptable.h"
}

namespace pganalytics::pg {

namespace {

struct KnownRowset {
    const char* name;
    const char* kinds;
    bool only_indexes;
};
constexpr KnownRowset kKnownRowsets[] = {
    {"tables", "rtmp", false},
    {"indexes", "i", true},
    {"relations", "ritmpIf", false},
};

// What the pass has at hand beside the row.
struct Joins {
    CatalogLinks indexes;
    CatalogLinks partitions;
    CatalogNames schemas;
    CatalogNames methods;
};

// A target under way.
struct Sink {
    const RelationScan* scan;
    DestReceiver* receiver;
    TupleTableSlot* slot;
    bool full;
};

// Where counters are read, a row is made a few rows after it was met: by then the processor has the
// counters at hand, which lie all over shared memory.
constexpr size_t kAhead = 8;

struct Pass {
    Joins joins;
    Sink sinks[kMaxRelationTargets];
    size_t count;
    RelationRow row;
    bool wanted[256];  // by relkind
    bool delayed;
    FormData_pg_class ahead[kAhead];
    size_t met;  // of those delayed
};

TupleDesc describe(const RelationScan& scan) {
    TupleDesc const description = CreateTemplateTupleDesc(scan.columns);
    for (int i = 0; i < scan.columns; ++i)
        TupleDescInitEntry(description, static_cast<AttrNumber>(i + 1), "column",
                           scan.fields[i].type, -1, 0);
    return description;
}

void read_joins(unsigned needs, Joins* joins) {
    check_select(DatabaseRelationId);
    check_select(NamespaceRelationId);
    if ((needs & kNeedsMethod) != 0) check_select(AccessMethodRelationId);
    if ((needs & kNeedsIndex) != 0) read_indexes(&joins->indexes);
    if ((needs & kNeedsParent) != 0) read_partitions(&joins->partitions);
}

bool is_index(const FormData_pg_class* relation) {
    return relation->relkind == RELKIND_INDEX || relation->relkind == RELKIND_PARTITIONED_INDEX;
}

Oid statistics_database(const FormData_pg_class* relation) {
    return relation->relisshared ? InvalidOid : MyDatabaseId;
}

// False: not one of those wanted, or without what it is joined with.
bool fill_row(const RelationScan& scan, Joins* joins, RelationRow* row) {
    const FormData_pg_class* relation = row->relation;
    if (std::strchr(scan.kinds, relation->relkind) == nullptr) return false;
    const unsigned needs = scan.needs;
    row->index = (needs & kNeedsIndex) != 0 && is_index(relation)
                     ? find_link(&joins->indexes, relation->oid)
                     : nullptr;
    if (scan.only_indexes && row->index == nullptr) return false;
    row->schema = schema_name(&joins->schemas, relation->relnamespace);
    if (row->schema == nullptr) return false;
    row->parent = (needs & kNeedsParent) != 0 && relation->relispartition
                      ? find_link(&joins->partitions, relation->oid)
                      : nullptr;
    row->method = (needs & kNeedsMethod) != 0 && OidIsValid(relation->relam)
                      ? access_method_name(&joins->methods, relation->relam)
                      : nullptr;
    if ((needs & kNeedsCounters) != 0) {
        read_relation_counters(statistics_database(relation), relation->oid, &row->counters);
    }
    return true;
}

void put_row(Sink* sink, const RelationRow& row) {
    TupleTableSlot* const slot = sink->slot;
    ExecClearTuple(slot);
    for (int i = 0; i < sink->scan->columns; ++i) {
        const RelationField& field = sink->scan->fields[i];
        slot->tts_isnull[i] = !field.read(field, row, &slot->tts_values[i]);
    }
    ExecStoreVirtualTuple(slot);
    sink->full = !sink->receiver->receiveSlot(slot, sink->receiver);
}

// False: nobody wants another one.
bool deliver(Pass* pass, const FormData_pg_class* relation) {
    pass->row.relation = relation;
    bool wanted = false;
    for (size_t i = 0; i < pass->count; ++i) {
        Sink* const sink = &pass->sinks[i];
        if (!sink->full && fill_row(*sink->scan, &pass->joins, &pass->row))
            put_row(sink, pass->row);
        wanted = wanted || !sink->full;
    }
    return wanted;
}

bool delay(Pass* pass, const FormData_pg_class* relation) {
    prefetch_counters(StatisticsKind::kRelation, statistics_database(relation), relation->oid);
    FormData_pg_class* const place = &pass->ahead[pass->met % kAhead];
    if (pass->met >= kAhead && !deliver(pass, place)) return false;
    std::memcpy(place, relation, CLASS_TUPLE_SIZE);
    ++pass->met;
    return true;
}

void deliver_delayed(Pass* pass) {
    for (size_t i = pass->met - std::min(pass->met, kAhead); i < pass->met; ++i)
        deliver(pass, &pass->ahead[i % kAhead]);
}

bool visit(Pass* pass, HeapTuple tuple, TupleDesc description) {
    const auto* relation = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
    if (relation->relpersistence == RELPERSISTENCE_TEMP ||
        !pass->wanted[static_cast<unsigned char>(relation->relkind)])
        return true;
    if (pass->delayed) return delay(pass, relation);
    pass->row.tuple = tuple;
    pass->row.description = description;
    return deliver(pass, relation);
}

}  // namespace

RelationScan relation_scan(const Rowset& rowset, std::span<const Column* const> columns) {
    RelationScan scan;
    const auto* const known =
        std::find_if(std::begin(kKnownRowsets), std::end(kKnownRowsets),
                     [&](const auto& one) { return &rowset == find_rowset("pg_stats", one.name); });
    if (!kReadsRelationCounters || known == std::end(kKnownRowsets) || columns.size() > kMaxColumns)
        return scan;
    for (size_t i = 0; i < columns.size(); ++i) {
        if (!find_relation_field(*columns[i], &scan.fields[i])) return scan;
        scan.needs |= scan.fields[i].needs;
    }
    scan.only_indexes = known->only_indexes;
    scan.kinds = known->kinds;
    scan.columns = static_cast<int>(columns.size());
    return scan;
}

void run_relation_scan(std::span<const RelationTarget> targets) {
    auto* const pass = static_cast<Pass*>(palloc0(sizeof(Pass)));
    unsigned needs = 0;
    for (const RelationTarget& target :
         targets.first(std::min(targets.size(), kMaxRelationTargets))) {
        for (const char* kind = target.scan->kinds; *kind != '\0'; ++kind)
            pass->wanted[static_cast<unsigned char>(*kind)] = true;
        TupleTableSlot* slot = MakeSingleTupleTableSlot(describe(*target.scan), &TTSOpsVirtual);
        target.receiver->rStartup(target.receiver, CMD_SELECT, slot->tts_tupleDescriptor);
        pass->sinks[pass->count++] = {target.scan, target.receiver, slot, false};
        needs |= target.scan->needs;
    }
    pass->delayed = (needs & kNeedsCounters) != 0 && (needs & kNeedsTuple) == 0;
    read_joins(needs, &pass->joins);
    each_catalog_row(RelationRelationId, [pass](HeapTuple tuple, TupleDesc description) {
        return visit(pass, tuple, description);
    });
    deliver_delayed(pass);
    for (size_t i = 0; i < pass->count; ++i) {
        pass->sinks[i].receiver->rShutdown(pass->sinks[i].receiver);
        ExecDropSingleTupleTableSlot(pass->sinks[i].slot);
    }
}

}  // namespace pganalytics::pg

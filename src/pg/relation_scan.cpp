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

constexpr size_t kMaxTargets = 4;

struct Pass {
    Joins joins;
    Sink sinks[kMaxTargets];
    size_t count;
    RelationRow row;
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
        read_relation_counters(relation->relisshared ? InvalidOid : MyDatabaseId, relation->oid,
                               &row->counters);
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
bool visit(Pass* pass, HeapTuple tuple, TupleDesc description) {
    RelationRow* const row = &pass->row;
    row->tuple = tuple;
    row->description = description;
    row->relation = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
    if (row->relation->relpersistence == RELPERSISTENCE_TEMP) return true;
    bool wanted = false;
    for (size_t i = 0; i < pass->count; ++i) {
        Sink* const sink = &pass->sinks[i];
        if (!sink->full && fill_row(*sink->scan, &pass->joins, row)) put_row(sink, *row);
        wanted = wanted || !sink->full;
    }
    return wanted;
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
    for (const RelationTarget& target : targets.first(std::min(targets.size(), kMaxTargets))) {
        TupleTableSlot* slot = MakeSingleTupleTableSlot(describe(*target.scan), &TTSOpsVirtual);
        target.receiver->rStartup(target.receiver, CMD_SELECT, slot->tts_tupleDescriptor);
        pass->sinks[pass->count++] = {target.scan, target.receiver, slot, false};
        needs |= target.scan->needs;
    }
    read_joins(needs, &pass->joins);
    each_catalog_row(RelationRelationId, [pass](HeapTuple tuple, TupleDesc description) {
        return visit(pass, tuple, description);
    });
    for (size_t i = 0; i < pass->count; ++i) {
        pass->sinks[i].receiver->rShutdown(pass->sinks[i].receiver);
        ExecDropSingleTupleTableSlot(pass->sinks[i].slot);
    }
}

}  // namespace pganalytics::pg

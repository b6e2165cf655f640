// Relations without a query (see the header). Between PostgreSQL calls: plain data only. Runs in
// visitors.
#include "pganalytics/pg/relation_scan.hpp"

#include <algorithm>

#include "pganalytics/pg/compat_relation_counters.hpp"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "executor/tuptable.h"
#include "utils/acl.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace pganalytics::pg {

namespace {

using Source = RelationField::Source;

// --- which columns

struct KnownField {
    std::string_view sql;
    Source source;
    Oid type;
};
constexpr KnownField kKnownFields[] = {
    {kThisDatabase, Source::kDatabase, OIDOID},
    {"c.oid", Source::kRelation, OIDOID},
    {"x.indrelid", Source::kTable, OIDOID},
    {"n.nspname::pg_catalog.text", Source::kSchema, NAMEOID},
    {"c.relname::pg_catalog.text", Source::kName, NAMEOID},
};

Oid type_of(const RelationCounter& counter) {
    switch (counter.type) {
        case ColumnType::kTimestamp:
            return TIMESTAMPTZOID;
        case ColumnType::kFloat64:
            return FLOAT8OID;
        default:
            return INT8OID;
    }
}

bool find_field(const Column& column, RelationField& field) {
    for (const KnownField& known : kKnownFields) {
        if (known.sql != column.sql) continue;
        field = {known.source, known.type, 0};
        return true;
    }
    for (const RelationCounter& counter : relation_counters()) {
        if (counter.sql != column.sql || counter.type != column.type) continue;
        field = {Source::kCounter, type_of(counter), counter.offset};
        return true;
    }
    return false;
}

// --- what the rows are joined with

// The tables of all indexes, by index.
struct IndexTables {
    struct Entry {
        Oid index;
        Oid table;
    };
    Entry* entries;
    size_t count;
    size_t capacity;
    size_t next;  // where the look-up after this one probably ends
};

void add_entry(IndexTables* tables, Oid index, Oid table) {
    if (tables->count == tables->capacity) {
        tables->capacity = std::max<size_t>(1024, tables->capacity * 2);
        const size_t bytes = tables->capacity * sizeof(IndexTables::Entry);
        tables->entries = static_cast<IndexTables::Entry*>(
            tables->entries == nullptr ? MemoryContextAllocHuge(CurrentMemoryContext, bytes)
                                       : repalloc_huge(tables->entries, bytes));
    }
    tables->entries[tables->count++] = {index, table};
}

bool index_is_less(const IndexTables::Entry& a, const IndexTables::Entry& b) {
    return a.index < b.index;
}

// Both catalogs are mostly in the order of the indexes' creation, so the next is mostly at hand.
Oid table_of(IndexTables* tables, Oid index) {
    const IndexTables::Entry* const end = tables->entries + tables->count;
    const IndexTables::Entry* found = tables->entries + tables->next;
    if (found == end || found->index != index)
        found = std::lower_bound<const IndexTables::Entry*>(
            tables->entries, end, IndexTables::Entry{index, InvalidOid}, index_is_less);
    if (found == end || found->index != index) return InvalidOid;
    tables->next = static_cast<size_t>(found - tables->entries) + 1;
    return found->table;
}

// The names of the schemas met last.
struct SchemaNames {
    struct Entry {
        Oid oid;
        NameData name;
    };
    Entry entries[16];
};

// Null: it is gone.
const NameData* schema_name(SchemaNames* names, Oid schema) {
    SchemaNames::Entry& entry = names->entries[schema % std::size(names->entries)];
    if (entry.oid == schema) return &entry.name;
    HeapTuple const tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    entry.name = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspname;
    entry.oid = schema;
    ReleaseSysCache(tuple);
    return &entry.name;
}

// --- the pass

// The row being made.
struct Row {
    const FormData_pg_class* relation;
    Oid table;
    const NameData* schema;
    RelationCounters counters;
};

// Raises ERROR where the query could not be run either.
Relation open_catalog(Oid catalog) {
    if (pg_class_aclcheck(catalog, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
        aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(catalog));
    return table_open(catalog, AccessShareLock);
}

template <class Form, class Visit>
void each_row(Oid catalog, Visit&& visit) {
    Relation const relation = open_catalog(catalog);
    SysScanDesc const scan =
        systable_beginscan(relation, InvalidOid, false, GetActiveSnapshot(), 0, nullptr);
    for (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple);
         tuple = systable_getnext(scan)) {
        CHECK_FOR_INTERRUPTS();
        if (!visit(reinterpret_cast<const Form*>(GETSTRUCT(tuple)))) break;
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

void read_index_tables(IndexTables* tables) {
    each_row<FormData_pg_index>(IndexRelationId, [&](const FormData_pg_index* index) {
        add_entry(tables, index->indexrelid, index->indrelid);
        return true;
    });
    if (!std::is_sorted(tables->entries, tables->entries + tables->count, index_is_less))
        std::sort(tables->entries, tables->entries + tables->count, index_is_less);
}

void put_counter(const RelationField& field, const RelationCounters& counters, Datum* value,
                 bool* is_null) {
    int64_t number = 0;
    std::memcpy(&number, reinterpret_cast<const char*>(&counters) + field.offset, sizeof number);
    *is_null = field.type == TIMESTAMPTZOID && number == 0;
    *value = field.type == FLOAT8OID ? Float8GetDatum(static_cast<double>(number))
                                     : Int64GetDatum(number);
}

void put_field(const RelationField& field, const Row& row, Datum* value, bool* is_null) {
    *is_null = false;
    switch (field.source) {
        case Source::kDatabase:
            *value = ObjectIdGetDatum(MyDatabaseId);
            return;
        case Source::kRelation:
            *value = ObjectIdGetDatum(row.relation->oid);
            return;
        case Source::kTable:
            *value = ObjectIdGetDatum(row.table);
            return;
        case Source::kSchema:
            *value = NameGetDatum(row.schema);
            return;
        case Source::kName:
            *value = NameGetDatum(&row.relation->relname);
            return;
        case Source::kCounter:
            put_counter(field, row.counters, value, is_null);
            return;
    }
}

TupleDesc describe(const RelationScan& scan) {
    TupleDesc const description = CreateTemplateTupleDesc(scan.columns);
    for (int i = 0; i < scan.columns; ++i)
        TupleDescInitEntry(description, static_cast<AttrNumber>(i + 1), "column",
                           scan.fields[i].type, -1, 0);
    return description;
}

// False: not one of those wanted, or without what it is joined with.
bool fill_row(const RelationScan& scan, const FormData_pg_class* relation, IndexTables* tables,
              SchemaNames* schemas, Row* row) {
    if (std::strchr(scan.kinds, relation->relkind) == nullptr ||
        relation->relpersistence == RELPERSISTENCE_TEMP)
        return false;
    row->relation = relation;
    row->table = scan.indexes ? table_of(tables, relation->oid) : InvalidOid;
    if (scan.indexes && !OidIsValid(row->table)) return false;
    row->schema = schema_name(schemas, relation->relnamespace);
    if (row->schema == nullptr) return false;
    read_relation_counters(relation->relisshared ? InvalidOid : MyDatabaseId, relation->oid,
                           &row->counters);
    return true;
}

}  // namespace

RelationScan relation_scan(const Rowset& rowset, std::span<const Column* const> columns) {
    static const Rowset* const tables = find_rowset("pg_stats", "tables");
    static const Rowset* const indexes = find_rowset("pg_stats", "indexes");
    RelationScan scan;
    if (!kReadsRelationCounters || (&rowset != tables && &rowset != indexes) ||
        columns.size() > kMaxColumns)
        return scan;
    for (size_t i = 0; i < columns.size(); ++i) {
        if (!find_field(*columns[i], scan.fields[i])) return scan;
    }
    scan.indexes = &rowset == indexes;
    scan.kinds = scan.indexes ? "i" : "rtmp";
    scan.columns = static_cast<int>(columns.size());
    return scan;
}

void run_relation_scan(const RelationScan& scan, DestReceiver* receiver) {
    IndexTables tables = {};
    if (scan.indexes) read_index_tables(&tables);
    SchemaNames schemas = {};
    TupleTableSlot* const slot = MakeSingleTupleTableSlot(describe(scan), &TTSOpsVirtual);
    receiver->rStartup(receiver, CMD_SELECT, slot->tts_tupleDescriptor);
    Row row = {};
    each_row<FormData_pg_class>(RelationRelationId, [&](const FormData_pg_class* relation) {
        if (!fill_row(scan, relation, &tables, &schemas, &row)) return true;
        ExecClearTuple(slot);
        for (int i = 0; i < scan.columns; ++i)
            put_field(scan.fields[i], row, &slot->tts_values[i], &slot->tts_isnull[i]);
        ExecStoreVirtualTuple(slot);
        return receiver->receiveSlot(slot, receiver);
    });
    receiver->rShutdown(receiver);
    ExecDropSingleTupleTableSlot(slot);
}

}  // namespace pganalytics::pg

// Rows into partitions (see the header). Runs in the hub worker. Plain data only: an ERROR may end
// each function here.
#include "pganalytics/pg/hub_insert.hpp"

#include "pganalytics/pg/hub_fields.hpp"
#include "pganalytics/pg/insert_compat.hpp"

extern "C" {
#include "port/pg_bswap.h"
}

namespace pganalytics::pg {

namespace {

// As many as COPY keeps, before they are stored together; fewer where their values take this much
// memory (of which a row that is moved out of line has two copies more), so that whatever a push
// holds, storing it takes a few MiB beside its bytes.
constexpr int kRowsTogether = 1000;
constexpr Size kMemoryTogether = Size{1} << 20;
constexpr int kOpenPartitions = 4;
// Where a row's time is: behind the number of fields and the length of the first one.
constexpr size_t kTimePlace = sizeof(int16) + sizeof(int32);

struct Partition {
    Oid oid;
    Relation relation;  // null: not plain, COPY stores its rows
    ResultRelInfo* result;
    int* places;  // of each field, in the partition's rows
    BulkInsertState bulk;
    TupleTableSlot** rows;
    int made;    // of them
    int filled;  // of these
};

struct Insertion {
    Relation table;
    const CopyInput* input;
    FieldReader* readers;
    EState* state;
    MemoryContext batch;  // values of the rows that wait
    CommandId command;
    Partition partitions[kOpenPartitions];
    int open;
    int waiting;
    uint64_t stored;
    CopyInput* rest;
    std::string_view* pieces;
    size_t room;
};

// --- rows as bytes

int32 length_at(const char* bytes) {
    uint32 value = 0;
    memcpy(&value, bytes, sizeof value);
    return static_cast<int32>(pg_ntoh32(value));
}

TimestampTz time_of(const char* row) {
    uint64 value = 0;
    memcpy(&value, row + kTimePlace, sizeof value);
    return static_cast<TimestampTz>(pg_ntoh64(value));
}

const char* end_of_row(const char* row, size_t fields) {
    const char* at = row + sizeof(int16);
    for (size_t field = 0; field < fields; ++field) {
        const int32 size = length_at(at);
        at += sizeof(int32) + (size > 0 ? static_cast<size_t>(size) : 0);
    }
    return at;
}

// --- where they go

// A column that only COPY can fill: with a default, an identity, a generation, or never null.
bool is_plain(const FormData_pg_attribute& attribute, const CopyInput& input) {
    if (attribute.attisdropped) return true;
    if (attribute.atthasdef || attribute.attidentity != '\0' || attribute.attgenerated != '\0')
        return false;
    if (!attribute.attnotnull) return true;
    // The two that a walked row always has.
    return input.columns[0] == NameStr(attribute.attname) ||
           input.columns[1] == NameStr(attribute.attname);
}

bool is_plain(Relation partition, const CopyInput& input) {
    if (partition->rd_rel->relkind != RELKIND_RELATION || partition->trigdesc != nullptr)
        return false;
    const TupleDesc row = RelationGetDescr(partition);
    if (row->constr != nullptr && (row->constr->num_check > 0 || has_virtual_columns(*row->constr)))
        return false;
    for (int i = 0; i < row->natts; ++i) {
        if (!is_plain(*TupleDescAttr(row, i), input)) return false;
    }
    return true;
}

// InvalidOid: none, or the default one, whose rows COPY has to check.
Oid find_partition(Relation table, TimestampTz time) {
    const PartitionDesc partitions = partitions_of(table);
    if (partitions->nparts == 0) return InvalidOid;
    const PartitionKey key = RelationGetPartitionKey(table);
    Datum value = TimestampTzGetDatum(time);
    bool is_equal = false;
    const int bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
                                                    partitions->boundinfo, 1, &value, &is_equal);
    const int index = partitions->boundinfo->indexes[bound + 1];
    return index < 0 ? InvalidOid : partitions->oids[index];
}

void fill_places(const CopyInput& input, Partition& partition) {
    partition.places = static_cast<int*>(palloc(input.column_count * sizeof(int)));
    for (size_t i = 0; i < input.column_count; ++i)
        partition.places[i] = get_attnum(partition.oid, input.columns[i].c_str()) - 1;
}

void open_partition(Insertion& insertion, Oid oid, Partition& partition) {
    partition = {};
    partition.oid = oid;
    if (!OidIsValid(oid)) return;
    Relation relation = table_open(oid, RowExclusiveLock);
    if (!is_plain(relation, *insertion.input)) {
        table_close(relation, NoLock);
        return;
    }
    partition.relation = relation;
    fill_places(*insertion.input, partition);
    partition.result = makeNode(ResultRelInfo);
    InitResultRelInfo(partition.result, relation, 1, nullptr, 0);
    ExecOpenIndices(partition.result, false);
    partition.bulk = GetBulkInsertState();
    partition.rows = static_cast<TupleTableSlot**>(palloc(kRowsTogether * sizeof(TupleTableSlot*)));
}

// --- storing

void store_waiting(Insertion& insertion, Partition& partition) {
    if (partition.filled == 0) return;
    const MemoryContext before = MemoryContextSwitchTo(insertion.batch);
    table_multi_insert(partition.relation, partition.rows, partition.filled, insertion.command, 0,
                       partition.bulk);
    MemoryContextSwitchTo(GetPerTupleMemoryContext(insertion.state));
    for (int i = 0; i < partition.filled; ++i) {
        if (partition.result->ri_NumIndices > 0)
            insert_index_entries(partition.result, partition.rows[i], insertion.state);
        ResetPerTupleExprContext(insertion.state);
        ExecClearTuple(partition.rows[i]);
    }
    MemoryContextSwitchTo(before);
    insertion.stored += static_cast<uint64_t>(partition.filled);
    partition.filled = 0;
}

void store_all_waiting(Insertion& insertion) {
    for (int i = 0; i < insertion.open; ++i) store_waiting(insertion, insertion.partitions[i]);
    insertion.waiting = 0;
    MemoryContextReset(insertion.batch);
}

void close_partitions(Insertion& insertion) {
    store_all_waiting(insertion);
    for (int i = 0; i < insertion.open; ++i) {
        Partition& partition = insertion.partitions[i];
        if (partition.relation == nullptr) continue;
        for (int row = 0; row < partition.made; ++row)
            ExecDropSingleTupleTableSlot(partition.rows[row]);
        FreeBulkInsertState(partition.bulk);
        table_finish_bulk_insert(partition.relation, 0);
        ExecCloseIndices(partition.result);
        table_close(partition.relation, NoLock);
    }
    insertion.open = 0;
}

Partition& partition_of(Insertion& insertion, TimestampTz time) {
    const Oid oid = find_partition(insertion.table, time);
    for (int i = 0; i < insertion.open; ++i) {
        if (insertion.partitions[i].oid == oid) return insertion.partitions[i];
    }
    if (insertion.open == kOpenPartitions) close_partitions(insertion);
    Partition& partition = insertion.partitions[insertion.open];
    open_partition(insertion, oid, partition);
    ++insertion.open;
    return partition;
}

TupleTableSlot* next_slot(Partition& partition) {
    if (partition.filled == partition.made)
        partition.rows[partition.made++] = table_slot_create(partition.relation, nullptr);
    return partition.rows[partition.filled++];
}

// The row's values, and where the next row begins.
const char* add_row(Insertion& insertion, Partition& partition, const char* row) {
    TupleTableSlot* slot = next_slot(partition);
    memset(slot->tts_isnull, true,
           static_cast<size_t>(slot->tts_tupleDescriptor->natts) * sizeof(bool));
    const MemoryContext before = MemoryContextSwitchTo(insertion.batch);
    const char* at = row + sizeof(int16);
    for (size_t field = 0; field < insertion.input->column_count; ++field) {
        const int32 size = length_at(at);
        at += sizeof(int32);
        if (size < 0) continue;
        const int place = partition.places[field];
        slot->tts_values[place] = read_field(insertion.readers[field], at, size);
        slot->tts_isnull[place] = false;
        at += size;
    }
    MemoryContextSwitchTo(before);
    ExecStoreVirtualTuple(slot);
    slot->tts_tableOid = partition.oid;
    if (++insertion.waiting == kRowsTogether ||
        MemoryContextMemAllocated(insertion.batch, false) >= kMemoryTogether)
        store_all_waiting(insertion);
    return at;
}

// --- what COPY stores

void leave(Insertion& insertion, const char* from, const char* to) {
    CopyInput& rest = *insertion.rest;
    ++rest.rows;
    if (rest.chunk_count > 0) {
        std::string_view& last = insertion.pieces[rest.chunk_count - 1];
        if (last.data() + last.size() == from) {
            last = {last.data(), static_cast<size_t>(to - last.data())};
            return;
        }
    }
    if (rest.chunk_count == insertion.room) {
        insertion.room *= 2;
        insertion.pieces = static_cast<std::string_view*>(
            repalloc(insertion.pieces, insertion.room * sizeof(std::string_view)));
    }
    insertion.pieces[rest.chunk_count++] = {from, static_cast<size_t>(to - from)};
}

void add_chunk(Insertion& insertion, std::string_view chunk) {
    const char* row = chunk.data();
    const char* const end = row + chunk.size();
    // Rows of a push have few times.
    Partition* partition = nullptr;
    TimestampTz last = 0;
    while (row < end) {
        const TimestampTz time = time_of(row);
        if (partition == nullptr || time != last) partition = &partition_of(insertion, time);
        last = time;
        if (partition->relation != nullptr) {
            row = add_row(insertion, *partition, row);
        } else {
            const char* const next = end_of_row(row, insertion.input->column_count);
            leave(insertion, row, next);
            row = next;
        }
    }
}

// Readers of the columns; null where the table is not as the hub makes it.
FieldReader* find_readers(Relation table, const CopyInput& input) {
    if (table->trigdesc != nullptr || table->rd_rel->relispartition || input.column_count < 2)
        return nullptr;
    const PartitionKey key = RelationGetPartitionKey(table);
    if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
        key->partattrs[0] != get_attnum(RelationGetRelid(table), input.columns[0].c_str()))
        return nullptr;
    auto* readers = static_cast<FieldReader*>(palloc0(input.column_count * sizeof(FieldReader)));
    for (size_t i = 0; i < input.column_count; ++i) {
        const AttrNumber number = get_attnum(RelationGetRelid(table), input.columns[i].c_str());
        if (number <= 0) return nullptr;
        const FormData_pg_attribute* column = TupleDescAttr(RelationGetDescr(table), number - 1);
        if (!find_reader(column->atttypid, column->atttypmod, readers[i])) return nullptr;
        if (i == 0 && column->atttypid != TIMESTAMPTZOID) return nullptr;
    }
    return readers;
}

}  // namespace

uint64_t insert_plain(Relation table, const CopyInput& input, CopyInput& rest) {
    rest = input;
    FieldReader* const readers = find_readers(table, input);
    if (readers == nullptr) return 0;
    Insertion insertion{};
    insertion.table = table;
    insertion.input = &input;
    insertion.readers = readers;
    insertion.state = CreateExecutorState();
    insertion.batch = AllocSetContextCreate(CurrentMemoryContext, "pganalytics rows", 0,
                                            Size{64} * 1024, ALLOCSET_DEFAULT_MAXSIZE);
    insertion.command = GetCurrentCommandId(true);
    insertion.rest = &rest;
    insertion.room = 16;
    insertion.pieces =
        static_cast<std::string_view*>(palloc(insertion.room * sizeof(std::string_view)));
    rest.rows = 0;
    rest.chunk_count = 0;
    for (size_t i = 0; i < input.chunk_count; ++i) add_chunk(insertion, input.chunks[i]);
    close_partitions(insertion);
    rest.chunks = insertion.pieces;
    FreeExecutorState(insertion.state);
    MemoryContextDelete(insertion.batch);
    return insertion.stored;
}

}  // namespace pganalytics::pg

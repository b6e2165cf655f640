// Binary COPY by callback (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_copy.hpp"

#include "pganalytics/pg/copy_compat.hpp"
#include "pganalytics/pg/hub_insert.hpp"

namespace pganalytics::pg {

namespace {

constexpr std::string_view kHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
constexpr std::string_view kTrailer{"\377\377", 2};

// The callback has no argument of its own.
struct Stream {
    const CopyInput* input;
    size_t place;  // 0: header, then the chunks, then the trailer
    size_t offset;
};
Stream stream;

std::string_view current_piece() {
    if (stream.place == 0) return kHeader;
    if (stream.place <= stream.input->chunk_count) return stream.input->chunks[stream.place - 1];
    if (stream.place == stream.input->chunk_count + 1) return kTrailer;
    return {};
}

// As many bytes as there are, `most` at the most; fewer than `least` only at the end.
int read_stream(void* out, int least, int most) {
    auto* to = static_cast<char*>(out);
    int done = 0;
    while (done < most && stream.place <= stream.input->chunk_count + 1) {
        const std::string_view rest = current_piece().substr(stream.offset);
        const size_t count = std::min(rest.size(), static_cast<size_t>(most - done));
        memcpy(to + done, rest.data(), count);
        done += static_cast<int>(count);
        stream.offset += count;
        if (count == rest.size()) {
            ++stream.place;
            stream.offset = 0;
        }
    }
    static_cast<void>(least);
    return done;
}

void check_target(const HubPlace& place, Relation relation) {
    if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
        relation->rd_rel->relnamespace != place.schema || relation->rd_rel->relowner != place.owner)
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("\"%s\" is not a table of the hub", RelationGetRelationName(relation))));
}

List* column_names(const CopyInput& input) {
    List* names = NIL;
    for (size_t i = 0; i < input.column_count; ++i)
        names = lappend(names, makeString(pstrdup(input.columns[i].c_str())));
    return names;
}

uint64_t run_copy(Relation relation, const CopyInput& input) {
    ParseState* state = make_parsestate(nullptr);
    addRangeTableEntryForRelation(state, relation, RowExclusiveLock, nullptr, false, false);
    List* options = list_make1(
        makeDefElem(pstrdup("format"), reinterpret_cast<Node*>(makeString(pstrdup("binary"))), -1));
    stream = {&input, 0, 0};
    const CopyFromHandle copy =
        begin_copy_from(state, relation, read_stream, column_names(input), options);
    const uint64_t rows = CopyFrom(copy);
    EndCopyFrom(copy);
    free_parsestate(state);
    return rows;
}

}  // namespace

void copy_into(const HubPlace& place, const CopyInput& input) {
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "pganalytics copy", ALLOCSET_DEFAULT_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    Relation relation = table_open(input.table, RowExclusiveLock);
    check_target(place, relation);
    CopyInput rest;
    uint64_t rows = insert_plain(relation, input, rest);
    if (rest.rows > 0) rows += run_copy(relation, rest);
    if (rows != input.rows)
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("COPY took %llu of %llu rows", static_cast<unsigned long long>(rows),
                               static_cast<unsigned long long>(input.rows))));
    table_close(relation, NoLock);
    MemoryContextSwitchTo(before);
    MemoryContextDelete(context);
}

}  // namespace pganalytics::pg

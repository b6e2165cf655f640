// Tablespaces, which only a connected process can read (see visitor.cpp). Runs in visitors.
#include "pganalytics/pg/guard.hpp"
#include "visitor_parts.hpp"

extern "C" {
#include "catalog/pg_tablespace.h"
#include "catalog/pg_tablespace_d.h"
}

namespace pganalytics::pg::visiting {

namespace {

constexpr const char* kTablespaces =
    "SELECT t.oid, t.spcname::pg_catalog.text, pg_catalog.pg_tablespace_location(t.oid)"
    " FROM pg_catalog.pg_tablespace t"
    " WHERE t.spcname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_default','pg_global']"
    "::pg_catalog.name[]) ORDER BY t.oid";
constexpr ColumnType kTablespaceTypes[] = {ColumnType::kOid, ColumnType::kText, ColumnType::kText};
constexpr TextForm kTablespaceForms[3] = {};
constexpr RowShape kTablespaceShape = {kTablespaceTypes, kTablespaceForms, 3};

// Besides the two each server has: without any there is nothing to ask.
bool any_tablespace() {
    Relation relation = table_open(TableSpaceRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    bool found = false;
    while (HeapTuple tuple = found ? nullptr : heap_getnext(scan, ForwardScanDirection)) {
        const Oid oid = reinterpret_cast<Form_pg_tablespace>(GETSTRUCT(tuple))->oid;
        found = oid != DEFAULTTABLESPACE_OID && oid != GLOBALTABLESPACE_OID;
    }
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    return found;
}

void collect_tablespaces(const RowEncoder& encoder) {
    for (const RowChunk* chunk = encoder.first; chunk != nullptr; chunk = chunk->next) {
        RowReader rows({chunk->bytes + kFrameHeaderBytes, chunk->used - kFrameHeaderBytes});
        for (std::string_view body; rows.next(body);) {
            Value values[3];
            if (!decode_row(body, kTablespaceTypes, values)) return;
            visitor->facts.tablespaces.push_back({static_cast<uint32_t>(values[0].integer),
                                                  std::string(values[1].text),
                                                  std::string(values[2].text)});
        }
    }
}

}  // namespace

bool visit_tablespaces(RowEncoder* encoder) {
    FlatError error;
    const bool good = run_transaction(
        limits(),
        [&] {
            begin_rows(encoder, kTablespaceShape, visitor->order.max_rows);
            if (any_tablespace()) run_query(kTablespaces, encoder);
        },
        error);
    if (!good) return true;
    collect_tablespaces(*encoder);
    drop_rows(encoder);
    return hand_over(visitor->facts);
}

}  // namespace pganalytics::pg::visiting

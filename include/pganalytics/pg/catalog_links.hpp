// What rows of pg_class are joined with, for a pass over pg_class without a query: the links of
// pg_index and pg_inherits, and names of schemas and access methods. C style, memory by palloc, may
// raise ERROR. Runs in visitors.
#pragma once

#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace pganalytics::pg {

// Raises ERROR where a query could not read the catalog either.
void check_select(Oid catalog);

// Calls visit(tuple, its description) with each row of the active snapshot until that answers
// false.
template <class Visit>
void each_catalog_row(Oid catalog, Visit&& visit) {
    check_select(catalog);
    Relation const relation = table_open(catalog, AccessShareLock);
    SysScanDesc const scan =
        systable_beginscan(relation, InvalidOid, false, GetActiveSnapshot(), 0, nullptr);
    for (HeapTuple tuple = systable_getnext(scan); HeapTupleIsValid(tuple);
         tuple = systable_getnext(scan)) {
        CHECK_FOR_INTERRUPTS();
        if (!visit(tuple, RelationGetDescr(relation))) break;
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

// Of an index its table and what pg_index says of it; of a partition its parent.
struct CatalogLink {
    Oid relation;
    Oid target;
    bool is_unique : 1;
    bool is_primary : 1;
    bool is_exclusion : 1;
    bool is_valid : 1;
    bool is_ready : 1;
    bool is_live : 1;
};

// All of them, 12 bytes each, by relation: a fraction of what the rows read take.
struct CatalogLinks {
    CatalogLink* entries;
    size_t count;
    size_t capacity;
    size_t next;  // where the look-up after this one probably ends
};

void read_indexes(CatalogLinks* links);
void read_partitions(CatalogLinks* links);

// Null: there is none.
const CatalogLink* find_link(CatalogLinks* links, Oid relation);

// The names met last.
struct CatalogNames {
    struct Entry {
        Oid oid;
        NameData name;
    };
    Entry entries[16];
};

// Null: there is none (any more).
const NameData* schema_name(CatalogNames* names, Oid schema);
const NameData* access_method_name(CatalogNames* names, Oid method);

}  // namespace pganalytics::pg

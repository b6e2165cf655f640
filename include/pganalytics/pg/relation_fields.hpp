// The values that a pass over pg_class takes from a relation, each known by the expression the
// catalog declares for it. C style. Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/pg/catalog_links.hpp"
#include "pganalytics/pg/compat_relation_counters.hpp"
#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "catalog/pg_class.h"
}

namespace pganalytics::pg {

// What a value needs beside the row of pg_class and the schema's name.
enum RelationNeeds : unsigned {
    kNeedsIndex = 1U << 0,
    kNeedsParent = 1U << 1,
    kNeedsMethod = 1U << 2,
    kNeedsCounters = 1U << 3,
    kNeedsTuple = 1U << 4,
};

struct RelationRow {
    HeapTuple tuple;        // of pg_class; only where it is needed
    TupleDesc description;  // of pg_class
    const FormData_pg_class* relation;
    const NameData* schema;
    const CatalogLink* index;   // null: it is none
    const CatalogLink* parent;  // null: it is no partition
    const NameData* method;     // null: it has none
    RelationCounters counters;
};

struct RelationField {
    // False: null.
    bool (*read)(const RelationField& field, const RelationRow& row, Datum* value) = nullptr;
    Oid type = InvalidOid;  // of the value
    unsigned needs = 0;
    size_t offset = 0;  // of a counter, in RelationCounters
};

// False: the column's expression is not known here.
bool find_relation_field(const Column& column, RelationField* field);

}  // namespace pganalytics::pg

// What differs between the majors in rows stored from C without COPY. Beside compat.hpp because its
// headers are the hub's alone.
#pragma once

#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "access/hio.h"
#include "commands/trigger.h"
#include "nodes/execnodes.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/partcache.h"
#include "utils/rel.h"
}

namespace pganalytics::pg {

// Without partitions that are about to be detached, where the server knows the difference.
inline PartitionDesc partitions_of(Relation relation) {
#if PG_VERSION_NUM >= 140000
    return RelationGetPartitionDesc(relation, true);
#else
    return RelationGetPartitionDesc(relation);
#endif
}

// Entries of a stored row in every index of its table; opened by ExecOpenIndices().
inline void insert_index_entries(ResultRelInfo* table, TupleTableSlot* row, EState* state) {
#if PG_VERSION_NUM >= 190000
    list_free(ExecInsertIndexTuples(table, state, 0, row, NIL, nullptr));
#elif PG_VERSION_NUM >= 160000
    list_free(ExecInsertIndexTuples(table, row, state, false, false, nullptr, NIL, false));
#elif PG_VERSION_NUM >= 140000
    list_free(ExecInsertIndexTuples(table, row, state, false, false, nullptr, NIL));
#else
    state->es_result_relation_info = table;
    list_free(ExecInsertIndexTuples(row, state, false, nullptr, NIL));
#endif
}

inline bool has_virtual_columns(const TupleConstr& constraints) {
#if PG_VERSION_NUM >= 180000
    return constraints.has_generated_virtual;
#else
    static_cast<void>(constraints);
    return false;
#endif
}

}  // namespace pganalytics::pg

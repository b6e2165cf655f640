// What differs between the majors in COPY called from C. Beside compat.hpp because its headers are
// the hub's alone.
#pragma once

#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/postgres.hpp"

extern "C" {
#include "commands/copy.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/rel.h"
}

namespace pganalytics::pg {

#if PG_VERSION_NUM >= 140000
using CopyFromHandle = CopyFromState;
#else
using CopyFromHandle = CopyState;
#endif

inline CopyFromHandle begin_copy_from(ParseState* state, Relation relation,
                                      copy_data_source_cb source, List* columns, List* options) {
#if PG_VERSION_NUM >= 140000
    return BeginCopyFrom(state, relation, nullptr, nullptr, false, source, columns, options);
#else
    return BeginCopyFrom(state, relation, nullptr, false, source, columns, options);
#endif
}

}  // namespace pganalytics::pg

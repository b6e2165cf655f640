// A user's own rowset, read: under which authority, with which limits, into which rows; and where
// the definitions come from. Everything here calls PostgreSQL and belongs inside a transaction,
// with plain data on the stack, but for what says otherwise. Runs in visitors, and in the session
// that defines one.
#pragma once

#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/pg/row_encoder.hpp"

namespace pganalytics::pg {

struct OwnQuery {
    const char* sql;      // as its user wrote it
    const char* query;    // own_query()
    const char* definer;  // null: whoever the session is
    bool has_key;
    uint64_t max_rows;
};

// Runs it as its definer, or as the session's user where that is no superuser: with the lesser
// rights of the two. Settings that it changes are set back; nothing of the session can be kept by
// it. In a read-only transaction. ERROR where the text is not one SELECT.
void run_own_query(const OwnQuery& query, RowEncoder* encoder);

// ERROR where `sql` is anything but one SELECT (or VALUES, or TABLE) that gives rows.
void require_one_select(const char* sql);

// What came of it; null: good. Fixed text.
const char* own_result_problem(const OwnQuery& query, const RowEncoder& encoder);

// What is wrong with the rows' keys; null: nothing. Fixed text. C++ values only, once the rows are
// ended (end_rows()).
const char* own_keys_problem(const RowEncoder& encoder);

// --- definitions; these hold no transaction and call nothing of PostgreSQL

// The first answers one row where the table is there: whether others than its owner may write it.
const char* own_table_query();
RowShape own_table_shape();
const char* own_definitions_query();
RowShape own_definitions_shape();
std::vector<OwnDefinition> own_definitions_from(const RowEncoder& encoder);

// The definition's digest as an expression over a row `o` of pganalytics.own_rowset.
#define PGANALYTICS_OWN_DIGEST                                                        \
    "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws(" \
    "pg_catalog.chr(31), o.name, o.scope, o.sql, o.columns::pg_catalog.text), 'UTF8')), 'hex')"

}  // namespace pganalytics::pg

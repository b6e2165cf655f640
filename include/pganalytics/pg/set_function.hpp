// Calls a function that returns a set without a query around it: what it returns is all there, and
// nothing has to be planned. Only for functions in C that fill a tuplestore. C style: plain data,
// may raise ERROR. Runs in visitors.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

inline constexpr int kMaxSetArguments = 2;

// One that was called. Its memory is that of the transaction.
struct SetResult {
    Tuplestorestate* rows = nullptr;  // null: it returns its set in another way
    TupleDesc columns = nullptr;
};

// Without a check of rights: see may_execute().
SetResult call_set_function(Oid function, std::span<const Datum> arguments = {});

// Whether there is a first row; true where it can't be told.
bool set_function_has_rows(Oid function);

}  // namespace pganalytics::pg

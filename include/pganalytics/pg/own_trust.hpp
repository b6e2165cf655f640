// Whose code may run while a user's own rowset is read. A visitor is a superuser unless
// pganalytics.role says otherwise, and a query that names nothing but a table can still run the
// code of the table's owner: he may replace it by a view, and a view's functions run with the
// reader's rights. "Read only" does not help, COPY to a program and many functions pass it. So, as
// long as one of these stands and the acting user is a superuser, a function or a view of anybody
// who is none is an ERROR, wherever it is met: in the query, inside a function it calls, in
// planning.
//
// Stands in frames that no longjmp leaves: around run_transaction() or try_postgres(). Not nested.
#pragma once

#include "pganalytics/pg/compat.hpp"

namespace pganalytics::pg {

class SuperusersCodeOnly {
  public:
    SuperusersCodeOnly();
    ~SuperusersCodeOnly();
    SuperusersCodeOnly(const SuperusersCodeOnly&) = delete;
    SuperusersCodeOnly& operator=(const SuperusersCodeOnly&) = delete;
};

}  // namespace pganalytics::pg

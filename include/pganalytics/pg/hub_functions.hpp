// The SQL functions of the hub's side; module.cpp exports them under their SQL names. Run in
// sessions.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

// pganalytics_create_token(name text, valid_for interval): waits up to 10 s for the hub to be
// ready.
Datum sql_create_token(FunctionCallInfo call);
Datum sql_accept_rowset(FunctionCallInfo call);

}  // namespace pganalytics::pg

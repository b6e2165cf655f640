// The SQL functions of the collector's side; module.cpp exports them under their SQL names. Run in
// sessions.
#pragma once

#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

Datum sql_version(FunctionCallInfo call);
Datum sql_catalog(FunctionCallInfo call);
Datum sql_settings(FunctionCallInfo call);
Datum sql_status(FunctionCallInfo call);
Datum sql_collect_now(FunctionCallInfo call);
Datum sql_push_now(FunctionCallInfo call);
Datum sql_preview(FunctionCallInfo call);
Datum sql_reload(FunctionCallInfo call);
Datum sql_register(FunctionCallInfo call);
Datum sql_unregister(FunctionCallInfo call);
Datum sql_add_rowset(FunctionCallInfo call);
Datum sql_drop_rowset(FunctionCallInfo call);
Datum sql_only_superusers(FunctionCallInfo call);

}  // namespace pganalytics::pg

// Whose code may run beside a user's own rowset (see the header), and who may write its definition.
// Runs in visitors and in sessions.
#include "pganalytics/pg/own_trust.hpp"

#include "pganalytics/pg/functions.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/syscache.h"
}

namespace pganalytics::pg {

namespace {

needs_fmgr_hook_type previous_needs = nullptr;
fmgr_hook_type previous_call = nullptr;
ExecutorCheckPerms_hook_type previous_relations = nullptr;

[[noreturn]] void refuse(const char* what, const char* name) {
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("%s \"%s\" does not belong to a superuser", what, name),
             errhint("With a superuser's rights a rowset's query runs the code of superusers "
                     "only. Set pganalytics.role to a role with the rights it needs.")));
}

void check_function(Oid function) {
    if (!superuser_arg(GetUserId())) return;
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return;
    const auto* form = reinterpret_cast<const FormData_pg_proc*>(GETSTRUCT(tuple));
    const bool trusted = superuser_arg(form->proowner);
    const char* name = trusted ? nullptr : pstrdup(NameStr(form->proname));
    ReleaseSysCache(tuple);
    if (!trusted) refuse("function", name);
}

void check_relation(Oid relation) {
    if (!superuser_arg(GetUserId())) return;
    HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return;
    const auto* form = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
    const bool trusted = form->relkind != RELKIND_VIEW || superuser_arg(form->relowner);
    const char* name = trusted ? nullptr : pstrdup(NameStr(form->relname));
    ReleaseSysCache(tuple);
    if (!trusted) refuse("view", name);
}

// Asked for each function that is not built in, before it is called and before it is inlined; but
// for those that have settings or their definer's rights.
bool before_lookup(Oid function) {
    check_function(function);
    return previous_needs != nullptr && previous_needs(function);
}

// Asked for the latter, when its definer's rights are on: with these it does what it likes.
void before_call(FmgrHookEventType event, FmgrInfo* function, Datum* argument) {
    if (event == FHET_START) check_function(function->fn_oid);
    if (previous_call != nullptr) previous_call(event, function, argument);
}

}  // namespace

SuperusersCodeOnly::SuperusersCodeOnly() {
    previous_needs = needs_fmgr_hook;
    previous_call = fmgr_hook;
    previous_relations = ExecutorCheckPerms_hook;
    needs_fmgr_hook = before_lookup;
    fmgr_hook = before_call;
    ExecutorCheckPerms_hook = check_relations<check_relation, &previous_relations>;
}

SuperusersCodeOnly::~SuperusersCodeOnly() {
    needs_fmgr_hook = previous_needs;
    fmgr_hook = previous_call;
    ExecutorCheckPerms_hook = previous_relations;
}

// A trigger. What restores a dump, and a worker that applies changes of another server, pass it
// too.
Datum sql_only_superusers(FunctionCallInfo call) {
    if (!CALLED_AS_TRIGGER(call)) elog(ERROR, "pganalytics: only_superusers() is a trigger");
    const auto* data = reinterpret_cast<const TriggerData*>(call->context);
    if (!superuser())
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be superuser to write \"%s.%s\"",
                               get_namespace_name(RelationGetNamespace(data->tg_relation)),
                               RelationGetRelationName(data->tg_relation))));
    const bool updates = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    return PointerGetDatum(updates ? data->tg_newtuple : data->tg_trigtuple);
}

}  // namespace pganalytics::pg

// Sets without a query (see the header). Runs in visitors.
#include "pganalytics/pg/set_function.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/execnodes.h"
}

namespace pganalytics::pg {

SetResult call_set_function(Oid function, std::span<const Datum> arguments) {
    FmgrInfo call;
    fmgr_info(function, &call);
    ReturnSetInfo answer = {};
    answer.type = T_ReturnSetInfo;
    answer.econtext = CreateStandaloneExprContext();
    answer.allowedModes = static_cast<int>(SFRM_Materialize);
    answer.returnMode = SFRM_ValuePerCall;
    union {
        FunctionCallInfoBaseData info;
        char space[SizeForFunctionCallInfo(kMaxSetArguments)];
    } frame;
    std::memset(static_cast<void*>(&frame), 0, sizeof frame);
    const auto count = static_cast<short>(std::min<size_t>(arguments.size(), kMaxSetArguments));
    InitFunctionCallInfoData(frame.info, &call, count, InvalidOid, nullptr,
                             reinterpret_cast<decltype(frame.info.resultinfo)>(&answer));
    for (short i = 0; i < count; ++i) frame.info.args[i].value = arguments[static_cast<size_t>(i)];
    FunctionCallInvoke(&frame.info);
    if (answer.returnMode != SFRM_Materialize) return {};
    return {answer.setResult, answer.setDesc};
}

bool set_function_has_rows(Oid function) {
    const SetResult result = call_set_function(function);
    if (result.rows == nullptr || result.columns == nullptr) return true;
    TupleTableSlot* const slot = MakeSingleTupleTableSlot(result.columns, &TTSOpsMinimalTuple);
    const bool found = tuplestore_gettupleslot(result.rows, true, false, slot);
    ExecDropSingleTupleTableSlot(slot);
    tuplestore_end(result.rows);
    return found;
}

}  // namespace pganalytics::pg

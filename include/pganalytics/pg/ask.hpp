// A session asks the collector and waits for the answer: interruptibly, with a time limit, on a
// standby as well; fails at once with the cause where nothing can answer. Runs in sessions; may
// raise ERROR, holds plain data only.
#pragma once

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

struct Question {
    RequestKind kind;
    const char* arguments[2] = {nullptr, nullptr};  // those before the first null
    int timeout_ms = 30000;
};

// The answer's bytes, in the current memory context. Raises ERROR with what the answer says went
// wrong, or with why there is none.
StringInfo ask(const Question& question);

// The same, but an error is handed back instead of raised, and a failed answer is null. (Cancel and
// termination are still raised.)
StringInfo ask_softly(const Question& question, struct FlatError* error);

}  // namespace pganalytics::pg

// The body of a push, inflated, into typed rows: everything is checked here, so that nothing of a
// push goes on before all of it is known to be right. Pure: hostile bytes in, a Push or a problem
// out. Runs in `pganalytics serve`.
#pragma once

#include <string>
#include <variant>

#include "pganalytics/serve/json_problem.hpp"
#include "pganalytics/serve/push.hpp"
#include "pganalytics/serve/push_targets.hpp"

namespace pganalytics::serve {

// `targets` outlives the push.
std::variant<Push, JsonProblem> decode_push(std::string body, const PushTargets& targets);

}  // namespace pganalytics::serve
